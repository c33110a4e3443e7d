//! Recordings: the events of one task and of all tasks below it, as one file that stands by itself.
//!
//! A recording holds facts only, so whoever reads it folds it as the journal's own histories are
//! folded. It is JSON Lines, so that a person can read it and `diff` can compare two:
//!
//! ```text
//! {"relight_recording":1,"tasks":2}
//! {"task":"0b5c…","events":14}
//! {"seq":0,"at_ms":1800000000000,"event":{"task_created":{…}}}
//! …
//! {"task":"91aa…","events":6}
//! …
//! ```
//!
//! A parent stands before its children, and children in the order of their creation. Payloads are
//! inlined. What is no part of the history is left out: owner, idempotency key, time to live.

mod format;
mod redact;
mod store;
mod tokens;

use std::cmp::Reverse;
use std::collections::HashSet;

pub use self::format::RecordingError;
pub(crate) use self::redact::is_same_but_redacted;
pub use self::redact::{BadPattern, Redaction};
use super::{
    Error, Event, Filter, History, IllegalEvent, Record, Result, Store, TaskId, all_tasks,
};

/// The events of a task and of all tasks below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Never empty; the first one is the task that was recorded.
    tasks: Vec<RecordedTask>,
}

/// The events of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTask {
    /// Its id.
    pub id: TaskId,
    /// Its events from the first one on: a legal history.
    pub records: Vec<Record>,
}

impl RecordedTask {
    /// What people call it: the name of the tool that started it.
    pub fn name(&self) -> &str {
        match self.records.first().map(|record| &record.event) {
            Some(Event::TaskCreated { name, .. }) => name,
            _ => "",
        }
    }

    /// The fold of the events.
    ///
    /// # Errors
    /// Never for one that came out of a [`Recording`]: it was folded on the way in.
    pub fn history(&self) -> Result<History, IllegalEvent> {
        History::of(self.records.iter().cloned())
    }
}

impl Recording {
    /// Reads a task and all tasks below it from a store.
    ///
    /// # Errors
    /// [`Error::UnknownTask`], what the store says, [`Error::Illegal`] for a damaged history.
    pub async fn of(store: &dyn Store, task: TaskId) -> Result<Self> {
        let mut tasks = Vec::new();
        // Depth first; what is pushed last comes next.
        let mut left = vec![task];
        while let Some(id) = left.pop() {
            let records = store.history(id, 0).await?;
            if records.is_empty() {
                return Err(Error::UnknownTask { task: id });
            }
            History::of(records.iter().cloned())
                .map_err(|source| Error::Illegal { task: id, source })?;
            tasks.push(RecordedTask { id, records });
            left.extend(children(store, id).await?);
        }
        Ok(Self { tasks })
    }

    /// The task that was recorded.
    pub fn root(&self) -> &RecordedTask {
        &self.tasks[0]
    }

    /// All tasks, the recorded one first, parents before children.
    pub fn tasks(&self) -> &[RecordedTask] {
        &self.tasks
    }

    /// The child task that this step of this task started.
    pub fn child(&self, task: TaskId, key: &str) -> Option<&RecordedTask> {
        self.tasks.iter().find(|child| {
            matches!(
                child.records.first().map(|record| &record.event),
                Some(Event::TaskCreated { parent: Some(parent), .. })
                    if parent.task == task && parent.key == key
            )
        })
    }

    /// The recording with these tasks' events changed, and nothing else.
    pub(crate) fn map(mut self, mut change: impl FnMut(&RecordedTask) -> Vec<Record>) -> Self {
        for task in &mut self.tasks {
            task.records = change(task);
        }
        self
    }

    fn checked(tasks: Vec<RecordedTask>) -> Result<Self, String> {
        let Some(root) = tasks.first() else { return Err("it holds no task".to_owned()) };
        let mut seen = HashSet::from([root.id]);
        for task in &tasks[1..] {
            let parent = match task.records.first().map(|record| &record.event) {
                Some(Event::TaskCreated { parent: Some(parent), .. }) => parent.task,
                _ => return Err(format!("task {} is no child of a task before it", task.id)),
            };
            if !seen.contains(&parent) {
                return Err(format!("task {} stands before its parent {parent}", task.id));
            }
            if !seen.insert(task.id) {
                return Err(format!("task {} is in it twice", task.id));
            }
        }
        Ok(Self { tasks })
    }
}

/// The children of a task, the youngest first.
async fn children(store: &dyn Store, parent: TaskId) -> Result<Vec<TaskId>> {
    let filter = Filter { parent: Some(parent), ..Filter::default() };
    let mut children = all_tasks(store, filter).await?;
    children.sort_unstable_by_key(|task| Reverse((task.created_at_ms, task.id)));
    Ok(children.into_iter().map(|task| task.id).collect())
}
