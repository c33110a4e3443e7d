//! What a runtime does by itself: it keeps its leases, looks for tasks that are due, takes them up, and
//! removes what has expired. It starts no tasks and ends none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::yield_now;
use tracing::warn;

use super::drive::{self, New};
use super::live::Halt;
use super::shared::Shared;
use crate::journal::{Error, Lease, Renewal, Result, Task, TaskId, joined};
use crate::limits;

impl Shared {
    pub(super) async fn renew(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms.saturating_add_unsigned(limits::LEASE_MS);
        let renewal = self.store.renew(self.runner, until_ms).await?;
        self.renewed_at_ms.store(now_ms, Ordering::Relaxed);
        if renewal == Renewal::Afresh {
            self.leases_in_question.store(true, Ordering::Relaxed);
        }
        if self.leases_in_question.load(Ordering::Relaxed) {
            self.let_go().await?;
            self.leases_in_question.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Halts every task whose lease is not held any more: what it has under way is dropped now, and
    /// not only when its outcome is refused.
    async fn let_go(&self) -> Result<()> {
        for live in self.all_live() {
            let Lease { task, runner, epoch } = live.lease;
            let found = self.store.task(task).await?;
            if found.is_none_or(|found| (found.runner, found.epoch) != (Some(runner), epoch)) {
                live.halt(Halt::LeaseLost);
            }
        }
        Ok(())
    }

    /// Renews the leases where that is overdue: a process that was stopped for a while must not take
    /// up tasks on leases that have run out.
    pub(super) async fn renew_if_overdue(&self) -> Result<()> {
        let since_ms = self.clock.now_ms() - self.renewed_at_ms.load(Ordering::Relaxed);
        if since_ms.unsigned_abs() > 2 * limits::LEASE_RENEW_MS {
            self.renew().await?;
        }
        Ok(())
    }

    /// Renews the leases and removes what has expired.
    pub(super) async fn keep_house(self: Arc<Self>) {
        const PURGED_AT_ONCE: usize = 100;
        let mut renewals: u64 = 0;
        let mut tick = tokio::time::interval(Duration::from_millis(limits::LEASE_RENEW_MS));
        while self.stop.run_until_cancelled(tick.tick()).await.is_some() {
            match self.renew().await {
                Err(Error::Closed) => return,
                Err(error) => warn!(%error, "cannot renew the leases"),
                Ok(()) => {}
            }
            renewals += 1;
            if renewals % (limits::PURGE_EVERY_MS / limits::LEASE_RENEW_MS) != 1 {
                continue;
            }
            match self.store.purge(self.clock.now_ms(), PURGED_AT_ONCE).await {
                Err(Error::Closed) => return,
                Err(error) => warn!(%error, "cannot remove expired tasks"),
                Ok(_) => {}
            }
        }
    }

    /// Takes up what is due, and tells live tasks of their signals, until the runtime stops.
    pub(super) async fn schedule(self: Arc<Self>) {
        let mut changes = self.store.changes();
        let retry = Duration::from_millis(limits::JOURNAL_RETRY_MS);
        // Said once, and not every half second for as long as it lasts.
        let mut told = false;
        while !self.stop.is_cancelled() {
            // What has changed is most often the end of a call, whose answer is on its way.
            after_answers().await;
            changes.mark_unchanged();
            let next_due_ms = match self.look().await {
                Ok(next_due_ms) => {
                    told = false;
                    next_due_ms
                }
                Err(Error::Closed) => return,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(%error, "cannot look for due tasks");
                    }
                    tokio::time::sleep(retry).await;
                    continue;
                }
            };
            let due = async {
                match next_due_ms {
                    Some(at_ms) => self.clock.sleep_until(at_ms).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.look.notified() => {}
                () = due => {}
                () = tokio::time::sleep(Duration::from_millis(limits::LEASE_RENEW_MS)) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// One look at the journal. Returns when the next parked task is due, where there is a place
    /// for it.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Option<i64>> {
        for (task, count) in self.store.nudged(self.runner).await? {
            if let Some(live) = self.lock().get(&task) {
                live.nudges
                    .send_if_modified(|known| count > std::mem::replace(known, count.max(*known)));
            }
        }
        let taken = self.drivers.len() + self.beginning.load(Ordering::Relaxed);
        let places = limits::LIVE_TASKS.saturating_sub(taken);
        if places == 0 {
            return Ok(None);
        }
        self.renew_if_overdue().await?;
        let now_ms = self.clock.now_ms();
        match self.own.only() {
            None => {
                let next_due_ms = self.store.next_due(&self.names).await?;
                // A claim is a write: most looks need none.
                if next_due_ms.is_none_or(|at_ms| at_ms > now_ms)
                    && self.has_claimed_within(Duration::from_millis(limits::DEAD_CHECK_MS))
                {
                    return Ok(next_due_ms);
                }
                for lease in self.store.claim(self.runner, &self.names, now_ms, places).await? {
                    self.drive(lease, None);
                }
                self.note_claim();
                self.store.next_due(&self.names).await
            }
            Some(own) => self.claim_own(own, now_ms).await,
        }
    }

    /// Drives a task on the side; a new one may come with what is in the journal of it. Every lease
    /// comes here at once: one that is dropped is held by this process and run by nobody.
    pub(super) fn drive(self: &Arc<Self>, lease: Lease, new: Option<New>) {
        let shared = Arc::clone(self);
        self.own.begun(lease.task);
        let driver = async move {
            // The answer to who has created it goes first.
            after_answers().await;
            let driven = Box::pin(drive::drive(Arc::clone(&shared), lease, new));
            shared.give_up.run_until_cancelled(driven).await;
            shared.own.let_go(lease.task);
            shared.look.notify_one();
        };
        self.drivers.spawn_on(driver, &self.tokio);
    }

    /// Takes up a task that nobody runs, due or not.
    pub(super) async fn take_up_if_idle(self: &Arc<Self>, task: &Task) -> Result<()> {
        // A lease of this process is left as it is: its driver hears of signals by itself.
        if task.runner == Some(self.runner) {
            return Ok(());
        }
        // A claim makes a runner known again, and would hide that it had lost its leases.
        self.renew_if_overdue().await?;
        self.claim_one(task.id).await
    }

    /// Takes up this task, due or not, unless another live runner has it or it has ended. A caller that
    /// goes away meanwhile changes nothing, or the lease would be held by this process and run by nobody;
    /// and a stop waits for the claim as it does for drivers.
    pub(super) async fn claim_one(self: &Arc<Self>, task: TaskId) -> Result<()> {
        let shared = Arc::clone(self);
        let claim = async move {
            let now_ms = shared.clock.now_ms();
            if let Some(lease) = shared.store.claim_one(shared.runner, task, now_ms).await? {
                shared.drive(lease, None);
            }
            Ok(())
        };
        joined(self.drivers.spawn_on(claim, &self.tokio).await)
    }

    async fn claim_own(self: &Arc<Self>, own: Vec<TaskId>, now_ms: i64) -> Result<Option<i64>> {
        let mut next_due_ms = None;
        for id in own {
            match self.store.task(id).await? {
                Some(task) if !task.status.is_ended() => match task.wake_at_ms {
                    // A child that only others can run is theirs to claim.
                    _ if !self.functions.contains_key(&task.function) => {}
                    // A runner that died leaves its tasks without a time to wake at.
                    None if task.runner == Some(self.runner) => {}
                    Some(at_ms) if at_ms > now_ms => {
                        next_due_ms = Some(next_due_ms.map_or(at_ms, |due: i64| due.min(at_ms)));
                    }
                    Some(_) | None if task.runner.is_some() || task.wake_at_ms.is_some() => {
                        self.claim_one(id).await?;
                    }
                    _ => {}
                },
                _ => self.own.has_ended(id),
            }
        }
        Ok(next_due_ms)
    }
}

/// Lets run what is ready, down to the answer that is written to a socket. Who yields is taken up when
/// nothing else is ready, but also whenever tokio looks for I/O in between: hence twice.
async fn after_answers() {
    yield_now().await;
    yield_now().await;
}
