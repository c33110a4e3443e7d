//! A recording as a store that can be read: whatever reads a journal reads a recording too.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{RecordedTask, Recording};
use crate::journal::{
    Created, End, Error, Event, Filter, Lease, NewTask, Record, Renewal, Result, RunnerId, Sent,
    Signal, Status, Store, Task, TaskId, Wake,
};

impl RecordedTask {
    /// What a store would tell of the task.
    fn task(&self) -> Option<Task> {
        let first = self.records.first()?;
        let Event::TaskCreated { function, name, parent, .. } = &first.event else { return None };
        let status = self.records.iter().rev().find_map(|record| record.event.status());
        let claimed = self.records.iter().rev().find_map(|record| match record.event {
            Event::TaskClaimed { epoch } => Some(epoch),
            _ => None,
        });
        let cancelled = |record: &Record| matches!(record.event, Event::CancelRequested { .. });
        Some(Task {
            id: self.id,
            function: function.clone(),
            name: name.clone(),
            owner: None,
            parent: parent.clone(),
            status: status.unwrap_or(Status::Working),
            message: None,
            created_at_ms: first.at_ms,
            updated_at_ms: self.records.last().map_or(first.at_ms, |last| last.at_ms),
            ttl_ms: None,
            wake_at_ms: None,
            runner: None,
            epoch: claimed.unwrap_or_default(),
            cancel_requested: self.records.iter().any(cancelled),
            events: self.records.len() as u64,
        })
    }
}

impl Recording {
    fn find(&self, task: TaskId) -> Option<&RecordedTask> {
        self.tasks.iter().find(|recorded| recorded.id == task)
    }
}

/// Reads answer from the recording; writes are refused with [`Error::ReadOnly`].
#[async_trait]
impl Store for Recording {
    async fn history(&self, task: TaskId, from_seq: u64) -> Result<Vec<Record>> {
        let records = self.find(task).map(|task| task.records.as_slice()).unwrap_or_default();
        Ok(records.iter().filter(|record| record.seq >= from_seq).cloned().collect())
    }

    async fn task(&self, task: TaskId) -> Result<Option<Task>> {
        Ok(self.find(task).and_then(RecordedTask::task))
    }

    async fn end(&self, task: TaskId) -> Result<Option<End>> {
        let last = self.find(task).and_then(|task| task.records.last());
        Ok(last.and_then(|record| record.event.end()))
    }

    async fn tasks(&self, filter: Filter) -> Result<Vec<Task>> {
        let Filter { owner, status, parent, id_prefix, after, limit } = filter;
        let mut tasks: Vec<_> = self.tasks.iter().filter_map(RecordedTask::task).collect();
        tasks.sort_by_key(|task| std::cmp::Reverse((task.created_at_ms, task.id)));
        let place = after.and_then(|after| tasks.iter().position(|task| task.id == after));
        let wanted = |task: &Task| {
            owner.as_ref().is_none_or(|owner| *owner == task.owner)
                && (status.is_empty() || status.contains(&task.status))
                && parent.is_none_or(|of| task.parent.as_ref().is_some_and(|link| link.task == of))
                && id_prefix.as_ref().is_none_or(|hex| task.id.to_string().starts_with(hex))
        };
        let skipped = place.map_or(0, |place| place + 1);
        Ok(tasks.into_iter().skip(skipped).filter(wanted).take(limit).collect())
    }

    async fn signals(&self, _task: TaskId) -> Result<(Vec<Signal>, u64)> {
        Ok((Vec::new(), 0))
    }

    async fn next_due(&self, _functions: &[String]) -> Result<Option<i64>> {
        Ok(None)
    }

    async fn nudged(&self, _runner: RunnerId) -> Result<Vec<(TaskId, u64)>> {
        Ok(Vec::new())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    async fn close(&self) {}

    async fn create(&self, _task: NewTask) -> Result<Created> {
        Err(Error::ReadOnly)
    }

    async fn append(
        &self,
        _lease: &Lease,
        _records: Vec<Record>,
        _message: Option<String>,
    ) -> Result<()> {
        Err(Error::ReadOnly)
    }

    async fn renew(&self, _runner: RunnerId, _until_ms: i64) -> Result<Renewal> {
        Err(Error::ReadOnly)
    }

    async fn claim(
        &self,
        _runner: RunnerId,
        _functions: &[String],
        _now_ms: i64,
        _limit: usize,
    ) -> Result<Vec<Lease>> {
        Err(Error::ReadOnly)
    }

    async fn claim_one(
        &self,
        _runner: RunnerId,
        _task: TaskId,
        _now_ms: i64,
    ) -> Result<Option<Lease>> {
        Err(Error::ReadOnly)
    }

    async fn release(&self, _lease: &Lease, _wake: Wake, _seen: u64) -> Result<()> {
        Err(Error::ReadOnly)
    }

    async fn retire(&self, _runner: RunnerId) -> Result<()> {
        Err(Error::ReadOnly)
    }

    async fn signal(&self, _task: TaskId, _signal: Signal, _now_ms: i64) -> Result<Sent> {
        Err(Error::ReadOnly)
    }

    async fn purge(&self, _now_ms: i64, _limit: usize) -> Result<usize> {
        Err(Error::ReadOnly)
    }

    async fn remove(&self, _task: TaskId) -> Result<bool> {
        Err(Error::ReadOnly)
    }
}
