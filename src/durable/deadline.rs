//! A task's deadline, as its driver sees it.
//!
//! It is the wall clock's, so that it holds across processes: a clock that is set back puts it off,
//! and one that jumps ahead brings it on, as with timers.

use std::future::pending;

use jiff::Timestamp;

use super::live::Live;
use crate::journal::{Deadline, Wake};

/// How long a task may take from its creation. What it has under way by then is dropped, as by a
/// cancel, and it ends as failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeLimit {
    /// Milliseconds.
    pub ms: u64,
    /// What sets it, in the words of whoever can change that. It is part of the failure's message.
    pub set_by: Option<String>,
}

impl TimeLimit {
    /// The deadline of a task that is created now.
    pub(super) fn from(self, now_ms: i64) -> Deadline {
        Deadline { at_ms: now_ms.saturating_add_unsigned(self.ms), set_by: self.set_by }
    }
}

/// The task's deadline, where it has passed.
pub(super) fn passed(live: &Live) -> Option<Deadline> {
    let now_ms = live.shared.clock.now_ms();
    live.deadline.clone().filter(|deadline| deadline.at_ms <= now_ms)
}

/// Returns when the task's deadline has passed; never where it has none.
pub(super) async fn passes(live: &Live) -> Deadline {
    let Some(deadline) = &live.deadline else { return pending().await };
    live.shared.clock.sleep_until(deadline.at_ms).await;
    deadline.clone()
}

/// When to take up a task that waits until this time, or else for a signal: at its deadline at the
/// latest.
pub(super) fn wake(live: &Live, earliest_ms: Option<i64>) -> Wake {
    let deadline_ms = live.deadline.as_ref().map(|deadline| deadline.at_ms);
    earliest_ms.into_iter().chain(deadline_ms).min().map_or(Wake::OnSignal, Wake::At)
}

/// What a task that was not done in time fails with.
pub(super) fn failure_message(deadline: &Deadline) -> String {
    let at = Timestamp::from_millisecond(deadline.at_ms).unwrap_or(Timestamp::MAX);
    let by = deadline.set_by.as_deref();
    let by = by.map_or_else(String::new, |by| format!(", set by `{by}`; give new tasks more"));
    format!("out of time: the task's deadline was {at:.0}{by}")
}
