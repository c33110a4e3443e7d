//! How a task begins: where this runtime has a place for it, under a lease of this runtime from its first
//! commit on. So no claim and no look at the journal comes before its first step. Where there is no
//! place, it is due, and whoever has one claims it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::drive::New;
use super::shared::Shared;
use crate::journal::{Created, NewTask, Result, Task, TaskId};
use crate::limits;

/// A place that is kept for a task from before its commit until its driver has it.
struct Place {
    shared: Arc<Shared>,
    task: TaskId,
    /// Whether the journal may have a lease of ours that no driver knows of.
    unsure: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.unsure {
            let place = Self { shared: Arc::clone(&self.shared), unsure: false, ..*self };
            self.shared.tokio.spawn(look_for(place));
        } else {
            self.shared.beginning.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// Commits a new task. Returns how it looks, too, unless it was there already.
    pub(super) async fn begin(
        self: &Arc<Self>,
        mut task: NewTask,
    ) -> Result<(TaskId, Option<Task>)> {
        let mut place = self.place_for(&task);
        // What is wrong with the leases is for the scheduler to mend; the task is due then.
        if let Some(place) = &mut place
            && self.renew_if_overdue().await.is_ok()
        {
            task.runner = Some(self.runner);
            place.unsure = true;
        }
        let (lease, looks) = (task.lease(), Task::created(&task));
        let records = lease.map(|_| task.records());
        // A caller that goes away while this waits drops the place, which then looks for the task.
        let created = self.store.create(task).await;
        if let Some(place) = &mut place {
            place.unsure &= created.as_ref().is_err_and(|error| error.is_retryable());
        }
        let created = created?;
        self.adopt(created.id());
        let Created::New(id) = created else { return Ok((created.id(), None)) };
        if let (Some(lease), Some(records)) = (lease, records) {
            self.drive(lease, Some(New { task: looks.clone(), records }));
        }
        Ok((id, Some(looks)))
    }

    /// A place for a task, where there is one and this runtime can run it.
    fn place_for(self: &Arc<Self>, task: &NewTask) -> Option<Place> {
        if self.stop.is_cancelled() || !self.functions.contains_key(&task.function) {
            return None;
        }
        let before = self.beginning.fetch_add(1, Ordering::Relaxed);
        let place = Place { shared: Arc::clone(self), task: task.id, unsure: false };
        (before + self.drivers.len() < limits::LIVE_TASKS).then_some(place)
    }
}

/// Drives a task of which nobody knows whether it was committed: if it was, it has our lease, and
/// nobody else would take it up.
async fn look_for(place: Place) {
    let (shared, task) = (&place.shared, place.task);
    while let Err(error) = shared.claim_one(task).await
        && error.is_retryable()
        && !shared.stop.is_cancelled()
    {
        tokio::time::sleep(Duration::from_millis(limits::JOURNAL_RETRY_MS)).await;
    }
}
