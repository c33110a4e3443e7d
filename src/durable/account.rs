//! What a child that ended without a word of its own (cancelled, out of time, stopped) has to tell
//! its parent: read from its journal by the function that ran it.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::child::child_id;
use super::shared::Shared;
use crate::journal::{Error, History, Payload, Result, StepKind, StepState, TaskId};

/// The account of a task, with those of its own children that have not told theirs. `None` where its
/// function keeps none, or its history cannot be read any more.
pub(super) fn account(shared: &Shared, id: TaskId) -> BoxFuture<'_, Result<Option<Payload>>> {
    async move {
        let Some(task) = shared.store.task(id).await? else { return Ok(None) };
        let Some(function) = shared.functions.get(&task.function) else { return Ok(None) };
        let records = match shared.store.history(id, 0).await {
            Ok(records) => records,
            Err(Error::Corrupt { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(history) = History::of(records) else { return Ok(None) };
        let mut below = HashMap::new();
        for key in silent_children(&history) {
            if let Some(told) = account(shared, child_id(id, &key)).await? {
                below.insert(key, told);
            }
        }
        Ok(function.account(&history, &below))
    }
    .boxed()
}

/// The steps of children whose outcome says nothing of what they did.
fn silent_children(history: &History) -> Vec<String> {
    let children = history.steps().filter(|(_, step)| step.kind == StepKind::Child);
    let silent = children.filter(|(_, step)| match &step.state {
        StepState::Completed(_) => false,
        StepState::Failed(failure) => failure.details.is_none(),
        StepState::Started | StepState::Waiting { .. } => true,
    });
    silent.map(|(key, _)| key.to_owned()).collect()
}
