//! Whose tasks a runtime takes up: everybody's, or its own and their children only. A runtime of all
//! tasks becomes one of its own when it is to finish what it has begun.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Runtime;
use crate::journal::{Result, TaskId};

/// The tasks of one runtime.
#[derive(Debug)]
pub(super) struct Own(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Whether no others are taken up.
    only: bool,
    /// What is driven now, and with `only` all that is not known to have ended.
    tasks: HashSet<TaskId>,
}

impl Own {
    pub(super) fn new(only: bool) -> Self {
        Self(Mutex::new(State { only, tasks: HashSet::new() }))
    }

    /// Takes a task among them, where it makes a difference. Returns whether it does.
    pub(super) fn adopt(&self, task: TaskId) -> bool {
        let mut own = self.lock();
        own.only && own.tasks.insert(task)
    }

    pub(super) fn begun(&self, task: TaskId) {
        self.lock().tasks.insert(task);
    }

    /// The driver has let go of it, at its end or before.
    pub(super) fn let_go(&self, task: TaskId) {
        let mut own = self.lock();
        if !own.only {
            own.tasks.remove(&task);
        }
    }

    pub(super) fn has_ended(&self, task: TaskId) {
        self.lock().tasks.remove(&task);
    }

    /// The only tasks that are taken up; `None` where everybody's are.
    pub(super) fn only(&self) -> Option<Vec<TaskId>> {
        let own = self.lock();
        own.only.then(|| own.tasks.iter().copied().collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    /// Finishes what runs here, and takes up nothing else: returns when each of these tasks, and of
    /// the children that they call meanwhile, has ended or is parked. May be dropped at any time;
    /// [`Runtime::shutdown`] is due after it either way.
    ///
    /// # Errors
    /// When the journal cannot be looked at for tasks that have come due.
    pub async fn finish(&self) -> Result<()> {
        let shared = &self.shared;
        // What was started here a moment ago is among them.
        shared.look().await?;
        shared.own.lock().only = true;
        // A tracker that is closed can be waited for, and still takes tasks in.
        shared.drivers.close();
        loop {
            shared.drivers.wait().await;
            // The end of a child may have made its parent due.
            shared.look().await?;
            if shared.drivers.is_empty() {
                return Ok(());
            }
        }
    }
}
