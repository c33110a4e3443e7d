//! What tasks looked like when a client last asked: the same until the journal says that something
//! has changed, which spares the clients that poll a look at it.
//!
//! A change by this process is known before whoever made it is answered. One by another process is
//! known within [`limits::WATCH_MS`], and a client may see the task as it was for so long.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::DetailedTask;
use tokio::sync::watch;

use crate::journal::{Status, Task, TaskId};
use crate::limits;

/// The views of one server.
pub(super) struct Views {
    /// Counts the journal's changes.
    changes: watch::Receiver<u64>,
    known: Mutex<HashMap<TaskId, View>>,
}

struct View {
    /// The count of changes before the journal was looked at.
    as_of: u64,
    task: Task,
    shown: DetailedTask,
}

impl Views {
    pub(super) fn new(changes: watch::Receiver<u64>) -> Self {
        Self { changes, known: Mutex::default() }
    }

    /// How many changes of the journal are known. To be asked for before a look at it.
    pub(super) fn now(&self) -> u64 {
        *self.changes.borrow()
    }

    /// How the task looks, where that is known without asking the journal and the task is one that
    /// `may` be shown.
    pub(super) fn current(&self, id: TaskId, may: impl Fn(&Task) -> bool) -> Option<DetailedTask> {
        let now = self.now();
        let known = self.lock();
        known
            .get(&id)
            .filter(|view| view.as_of == now && may(&view.task))
            .map(|view| view.shown.clone())
    }

    /// How an ended task looked, where nothing has come after: a stopped one may have been set going
    /// again, and have ended otherwise.
    pub(super) fn ended(&self, task: &Task) -> Option<DetailedTask> {
        let known = self.lock();
        known
            .get(&task.id)
            .filter(|view| task.status.is_ended() && view.task.events == task.events)
            .map(|view| view.shown.clone())
    }

    /// Remembers how a task looks. One that asks is not remembered: its questions may be answered
    /// without a change of the task. Nor is one with a long result.
    pub(super) fn remember(&self, as_of: u64, task: Task, shown: &DetailedTask) {
        if task.status == Status::InputRequired || !is_short(shown) {
            return;
        }
        let mut known = self.lock();
        if known.len() >= limits::TASK_VIEWS && !known.contains_key(&task.id) {
            known.retain(|_, view| view.as_of == as_of);
            if known.len() >= limits::TASK_VIEWS {
                known.clear();
            }
        }
        known.insert(task.id, View { as_of, task, shown: shown.clone() });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, View>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_short(shown: &DetailedTask) -> bool {
    serde_json::to_writer(Room(limits::TASK_VIEW_BYTES), shown).is_ok()
}

/// Takes so many bytes, and forgets them.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
