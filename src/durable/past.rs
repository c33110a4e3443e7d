//! What a cancelled task has behind it, for its function to clean up by.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use tokio::time::timeout;
use tracing::warn;

use super::live::Live;
use crate::journal::{Event, History, Payload, Result, TaskId};
use crate::limits;

/// A task's history, to be looked at only.
#[derive(Debug, Clone)]
pub struct Past {
    live: Arc<Live>,
}

impl Past {
    /// The task's id.
    pub fn task_id(&self) -> TaskId {
        self.live.lease.task
    }

    /// What the task was pinned to when it was created.
    pub fn definition(&self) -> Option<Payload> {
        self.history(|history| match history.created() {
            Some(Event::TaskCreated { definition, .. }) => definition.clone(),
            _ => None,
        })
    }

    /// Looks something up.
    pub fn history<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        self.live.cursor(|cursor| look(cursor.history()))
    }
}

/// What a cancelled task has left running elsewhere.
pub struct Left {
    /// The keys of the steps that did: whether their work takes effect is in doubt, though they are
    /// completed.
    pub steps: Vec<String>,
    /// Tells the other side, as well as that can be done; waited for at most
    /// [`limits::CANCEL_HOOK_MS`].
    pub stop: BoxFuture<'static, ()>,
}

impl Left {
    /// Both of these.
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Self {
                steps: [one.steps, other.steps].concat(),
                stop: join(one.stop, other.stop).map(|((), ())| ()).boxed(),
            }),
            (one, other) => one.or(other),
        }
    }
}

/// Lets the function of a cancelled task stop what it has left running, once what was recorded so far
/// is committed: a process that has lost the task stops nothing. Returns the steps that left
/// something, whether it could be stopped or not.
pub(super) async fn stop_what_is_left(live: &Arc<Live>) -> Result<Vec<String>> {
    let past = Past { live: Arc::clone(live) };
    let function = live.shared.functions.get(&live.task.function);
    let Some(Left { steps, stop }) = function.and_then(|function| function.cancelled(&past)) else {
        return Ok(Vec::new());
    };
    live.finish().await?;
    let task = live.lease.task;
    let patience = Duration::from_millis(limits::CANCEL_HOOK_MS);
    match timeout(patience, AssertUnwindSafe(stop).catch_unwind()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => warn!(%task, "passing on the cancel panicked"),
        Err(_) => warn!(%task, "no answer to the cancel in {} ms", limits::CANCEL_HOOK_MS),
    }
    Ok(steps)
}
