//! Questions put to a client as `elicitation/create`, for clients of the protocols in which a server
//! may ask by itself (up to 2025-11-25).
//!
//! A question is the journal's: nothing is lost with a connection. What is kept here is only which
//! questions this client has before it, so that it is not asked twice, and a form whose question is
//! settled is taken back. Not only when the client looks at its task again, which it may never do: each
//! new question has a few of the others looked at.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{
    ClientCapabilities, ClientResult, InputRequest, InputRequests, InputResponses, ProtocolVersion,
    RequestMetaObject, ServerRequest,
};
use rmcp::service::{Peer, PeerRequestOptions, RequestContext, RequestHandle, ServiceError};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::questions;
use crate::durable::Runtime;
use crate::journal::{Status, Store, TaskId};
use crate::limits;
use crate::mcp::RELATED_TASK;

/// A question: the task, and the key in it.
type Asked = (TaskId, String);

/// How it stands with a question that the client was asked.
enum State {
    /// The client has it. Cancelling takes it back.
    Open(CancellationToken),
    /// The client gave no answer that could be used: an error, or a form that is none.
    Refused,
}

/// The questions that one client was asked and has not answered. Clones are one.
#[derive(Clone)]
pub(super) struct Asking {
    asked: Arc<watch::Sender<BTreeMap<Asked, State>>>,
    /// The task that was looked at last by itself: the next one comes after it.
    looked_at: Arc<Mutex<Option<TaskId>>>,
}

/// Which of a client's requests a question comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// A plain call: the client knows nothing of the task.
    Call,
    /// A request about the task.
    Task,
}

/// Whether the client can be asked: it declared forms, and speaks a protocol in which a server may
/// send requests.
pub(super) fn can_be_asked(context: &RequestContext<RoleServer>) -> bool {
    let older = context
        .protocol_version()
        .is_some_and(|version| version.as_str() < ProtocolVersion::V_2026_07_28.as_str());
    older && shows_forms(context)
}

/// Whether the client declared forms. One that names no modes means these: older protocols have no
/// others.
pub(super) fn shows_forms(context: &RequestContext<RoleServer>) -> bool {
    let forms = |client: ClientCapabilities| {
        client.elicitation.is_some_and(|modes| modes.form.is_some() || modes.url.is_none())
    };
    context.client_capabilities().is_some_and(forms)
}

impl Asking {
    pub(super) fn new() -> Self {
        Self { asked: Arc::new(watch::Sender::new(BTreeMap::new())), looked_at: Arc::default() }
    }

    /// Asks what the client has not been asked yet. To be called within the handler of the request
    /// that the questions belong to: over HTTP they go the way of its response.
    pub(super) async fn put(
        &self,
        runtime: &Runtime,
        peer: &Peer<RoleServer>,
        within: Within,
        task: TaskId,
        questions: InputRequests,
    ) {
        if questions.keys().any(|key| self.is_new(task, key)) {
            self.look_at_others(runtime.store().as_ref(), task).await;
        }
        for (key, question) in questions {
            let InputRequest::Elicitation(question) = question else { continue };
            let asked = (task, key);
            let Some(taken_back) = self.open(&asked) else { continue };
            let mut meta = RequestMetaObject::new();
            if within == Within::Task {
                meta.insert(RELATED_TASK.to_owned(), json!({"taskId": task}));
            }
            let request = ServerRequest::ElicitRequest(question);
            let options = PeerRequestOptions::no_options().with_meta(meta);
            match peer.send_cancellable_request(request, options).await {
                Ok(handle) => {
                    let (asking, runtime) = (self.clone(), runtime.clone());
                    tokio::spawn(asking.receive(runtime, asked, handle, taken_back));
                }
                Err(error) => self.conclude(&asked, &taken_back, Err(error.to_string())),
            }
        }
    }

    fn is_new(&self, task: TaskId, key: &str) -> bool {
        !self.asked.borrow().contains_key(&(task, key.to_owned()))
    }

    /// Takes note of a question that is put now. `None` for one that the client was asked already, and
    /// where it has too many before it.
    fn open(&self, asked: &Asked) -> Option<CancellationToken> {
        let taken_back = CancellationToken::new();
        let is_put = self.asked.send_if_modified(|all| {
            if all.contains_key(asked) {
                return false;
            }
            let has_room = all.len() < limits::ASKED_QUESTIONS;
            if has_room {
                all.insert(asked.clone(), State::Open(taken_back.clone()));
            } else {
                let (task, key) = asked;
                tracing::debug!(%task, key, "a client has too many questions before it");
            }
            has_room
        });
        is_put.then_some(taken_back)
    }

    /// Takes back the questions of tasks that ask nothing any more, of the next few but this one.
    async fn look_at_others(&self, store: &dyn Store, but: TaskId) {
        for task in self.next_few(but) {
            let asks = match store.task(task).await {
                Ok(task) => task.is_some_and(|task| task.status == Status::InputRequired),
                // Whether it does is not known.
                Err(_) => true,
            };
            if !asks {
                self.settle(task, &HashSet::new());
            }
        }
    }

    /// The tasks whose turn it is to be looked at, in a round of all.
    fn next_few(&self, but: TaskId) -> Vec<TaskId> {
        let mut tasks: Vec<_> = self.asked.borrow().keys().map(|(task, _)| *task).collect();
        tasks.dedup();
        tasks.retain(|task| *task != but);
        let mut last = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = tasks.partition_point(|task| last.is_some_and(|last| *task <= last));
        tasks.rotate_left(next);
        tasks.truncate(limits::ASKED_LOOKS);
        *last = tasks.last().copied().or(*last);
        tasks
    }

    /// Takes the answer to one question, or takes the question back.
    async fn receive(
        self,
        runtime: Runtime,
        asked: Asked,
        mut handle: RequestHandle<RoleServer>,
        taken_back: CancellationToken,
    ) {
        let answer = tokio::select! {
            answer = &mut handle.rx => answer.unwrap_or(Err(ServiceError::TransportClosed)),
            () = taken_back.cancelled() => {
                let reason = "the question is settled, or asked again".to_owned();
                if let Err(error) = handle.cancel(Some(reason)).await {
                    tracing::debug!(%error, "a question was not taken back");
                }
                return;
            }
        };
        self.conclude(&asked, &taken_back, pass_on(&runtime, &asked, answer).await);
    }

    /// Takes note of what came of a question: an answer was passed on, or there is none. A question
    /// that was taken back meanwhile is no more the one that stands under its name, if one does.
    fn conclude(&self, asked: &Asked, taken_back: &CancellationToken, came: Result<(), String>) {
        if let Err(why) = &came {
            tracing::debug!(task = %asked.0, key = asked.1, why, "a question was not answered");
        }
        self.asked.send_if_modified(|all| {
            if taken_back.is_cancelled() {
                return false;
            }
            match came {
                Ok(()) => all.remove(asked),
                Err(_) => all.insert(asked.clone(), State::Refused),
            };
            true
        });
    }

    /// Takes back, or forgets, what this task has asked, but for the questions in `keep`.
    pub(super) fn settle(&self, task: TaskId, keep: &HashSet<String>) {
        self.asked.send_if_modified(|all| {
            let before = all.len();
            all.retain(|(of, key), state| {
                let stays = *of != task || keep.contains(key);
                if !stays && let State::Open(taken_back) = state {
                    taken_back.cancel();
                }
                stays
            });
            before != all.len()
        });
    }

    /// Whether the client was asked all of these and has refused all of them.
    pub(super) fn all_refused(&self, task: TaskId, questions: &InputRequests) -> bool {
        let all = self.asked.borrow();
        !questions.is_empty()
            && questions
                .keys()
                .all(|key| matches!(all.get(&(task, key.clone())), Some(State::Refused)))
    }

    /// Follows what becomes of questions from now on.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.asked.subscribe())
    }
}

/// See [`Asking::changes`].
pub(super) struct Changes(watch::Receiver<BTreeMap<Asked, State>>);

impl Changes {
    pub(super) fn mark_unchanged(&mut self) {
        self.0.mark_unchanged();
    }

    /// Until a question has been asked, answered, refused or taken back since the mark.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

async fn pass_on(
    runtime: &Runtime,
    (task, key): &Asked,
    answer: Result<ClientResult, ServiceError>,
) -> Result<(), String> {
    let ClientResult::ElicitResult(answer) = answer.map_err(|error| error.to_string())? else {
        return Err("its answer is no elicitation result".to_owned());
    };
    let value = serde_json::to_value(answer).map_err(|error| error.to_string())?;
    let answers = InputResponses::from([(key.clone(), value)]);
    questions::answer(runtime, *task, answers).await.map_err(|error| error.message.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_a_question_that_was_taken_back_is_not_laid_to_the_next() {
        let (asking, task) = (Asking::new(), TaskId::from_bits(1));
        let asked = (task, "sure".to_owned());
        let question = json!({"mode": "form", "message": "m", "requestedSchema": {"type": "object", "properties": {}}});
        let question = json!({"method": "elicitation/create", "params": question});
        let questions: InputRequests =
            [("sure".to_owned(), serde_json::from_value(question).unwrap())].into();
        let first = asking.open(&asked).unwrap();
        assert!(asking.open(&asked).is_none(), "it is asked once");
        asking.settle(task, &HashSet::new());
        let again = asking.open(&asked).unwrap();
        asking.conclude(&asked, &first, Ok(()));
        asking.conclude(&asked, &first, Err("no screen".to_owned()));
        assert!(asking.open(&asked).is_none() && !asking.all_refused(task, &questions));
        asking.conclude(&asked, &again, Err("no screen".to_owned()));
        assert!(asking.all_refused(task, &questions));
    }

    #[test]
    fn a_client_has_so_many_questions_before_it_and_no_more() {
        let asking = Asking::new();
        let asked = |n: usize| (TaskId::from_bits(n.try_into().unwrap()), "sure".to_owned());
        for n in 0..limits::ASKED_QUESTIONS {
            assert!(asking.open(&asked(n)).is_some());
        }
        let more = asked(limits::ASKED_QUESTIONS);
        assert!(asking.open(&more).is_none(), "one too many");
        assert!(asking.is_new(more.0, &more.1), "it is put later");
        asking.settle(asked(0).0, &HashSet::new());
        assert!(asking.open(&more).is_some());
    }

    #[test]
    fn every_task_has_its_turn_to_be_looked_at() {
        let asking = Asking::new();
        let task = |n: usize| TaskId::from_bits(n.try_into().unwrap());
        let tasks = 3 * limits::ASKED_LOOKS;
        for n in 0..=tasks {
            asking.open(&(task(n), "one".to_owned()));
            asking.open(&(task(n), "two".to_owned()));
        }
        let new = task(tasks);
        let mut seen = HashSet::new();
        for _ in 0..3 {
            seen.extend(asking.next_few(new));
        }
        assert!(seen.len() == tasks && !seen.contains(&new));
    }
}
