//! A call in several rounds, as protocol 2026-07-28 has it: a task's questions are the call's result
//! (`InputRequiredResult`), and the client makes the call again with the answers.
//!
//! The task is the same in every round, and `requestState` says which it is. Nothing is kept between
//! two rounds but the journal, so another process may serve the next one.

use rmcp::RoleServer;
use rmcp::model::{ErrorData, InputRequests, InputRequiredResult, InputResponses};
use rmcp::service::RequestContext;

use super::session::is_modern;
use super::translate::refusal;
use super::{elicit, questions};
use crate::durable::Runtime;
use crate::journal::{Task, TaskId};

/// Whether the client can be asked in this way: it declared forms, and speaks the protocol.
pub(super) fn are_for(context: &RequestContext<RoleServer>) -> bool {
    is_modern(context) && elicit::shows_forms(context)
}

/// The task of an earlier round.
///
/// # Errors
/// -32602 for a state that this server has not made.
pub(super) fn task(state: &str) -> Result<TaskId, ErrorData> {
    let id = state.split_once('.').and_then(|(id, round)| {
        let _: u64 = round.parse().ok()?;
        id.parse().ok()
    });
    id.ok_or_else(unknown_state)
}

pub(super) fn unknown_state() -> ErrorData {
    let message = "requestState is not of an earlier round of this call; make the call without it";
    ErrorData::invalid_params(message, None)
}

/// What the client brought to this round.
pub(super) struct Round {
    /// Each is good once.
    pub(super) answers: InputResponses,
    /// Whether the task was made in this round, so that the client knows of no way back to it.
    pub(super) is_first: bool,
}

impl Round {
    /// Passes on what answers these questions, and returns the result that asks the others; `None`
    /// where none is left.
    ///
    /// # Errors
    /// As [`questions::answer`].
    pub(super) async fn meet(
        &mut self,
        runtime: &Runtime,
        task: &Task,
        mut asked: InputRequests,
    ) -> Result<Option<InputRequiredResult>, ErrorData> {
        let answers: InputResponses =
            asked.keys().filter_map(|key| self.answers.remove_entry(key)).collect();
        asked.retain(|key, _| !answers.contains_key(key));
        if !answers.is_empty()
            && let Err(error) = questions::answer(runtime, task.id, answers).await
        {
            if self.is_first {
                let reason = Some("the client's answers could not be read".to_owned());
                runtime.cancel(task.id, reason).await.map_err(|error| refusal(&error))?;
            }
            return Err(error);
        }
        if asked.is_empty() {
            return Ok(None);
        }
        let state = format!("{}.{}", task.id, task.events);
        Ok(Some(InputRequiredResult::new(Some(asked), Some(state))))
    }
}
