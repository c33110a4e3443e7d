//! Runs a function against a history, and against nothing else: no clock, no network, no journal.
//!
//! It is recovery without what comes after it. A step that the history holds answers from it; at the
//! first one that it does not hold the replay ends.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::drive::panic_message;
use super::live::{Halt, Live, Mode};
use super::shared::Shared;
use super::{Ask, Context, Cursor, Function, Mismatch};
use crate::journal::{
    Error, Event, Failure, Hash, Lease, Payload, Recording, Result, RunnerId, Store, TaskId,
};
use crate::limits;

/// Where a replay ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// The function returned.
    Returned(std::result::Result<Payload, Failure>),
    /// It got to a step whose outcome the history does not hold.
    Unrecorded {
        /// The step.
        key: String,
        /// What the code wants of it.
        ask: Ask,
        /// The first step that the history holds as done and that was not asked for on the way.
        skipped: Option<String>,
    },
    /// It asked for something else than the history holds, or left out a step that it holds.
    Mismatch(Mismatch),
    /// It panicked.
    Panicked(String),
    /// It waits for something that is no step.
    Stalled,
}

/// Replays one task of a recording.
///
/// # Errors
/// [`Error::UnknownTask`] where the recording has no such task, [`Error::Illegal`] for a history
/// that contradicts itself.
pub async fn replay(
    function: &Arc<dyn Function>,
    recording: &Arc<Recording>,
    task: TaskId,
) -> Result<Replayed> {
    let live = live(recording, task, Mode::Replay).await?;
    Ok(run(function, &live).await)
}

/// Replays a task and takes whatever its steps are asked with as their recorded input. Returns the
/// hashes by the steps' keys, and where it ended: a recording whose payloads were changed fits
/// itself again with them.
///
/// # Errors
/// As [`replay`].
pub async fn rehash(
    function: &Arc<dyn Function>,
    recording: &Arc<Recording>,
    task: TaskId,
) -> Result<(HashMap<String, Hash>, Replayed)> {
    let live = live(recording, task, Mode::Rehash).await?;
    let replayed = run(function, &live).await;
    let hashes = live.cursor(|cursor| {
        cursor.history().steps().map(|(key, step)| (key.to_owned(), step.input)).collect()
    });
    Ok((hashes, replayed))
}

async fn live(recording: &Arc<Recording>, id: TaskId, mode: Mode) -> Result<Arc<Live>> {
    let unknown = Error::UnknownTask { task: id };
    let task = recording.task(id).await?.ok_or(unknown.clone())?;
    let records = recording.history(id, 0).await?;
    let cursor = Cursor::new(records).map_err(|source| Error::Illegal { task: id, source })?;
    let Some(Event::TaskCreated { seed, deadline, .. }) = cursor.history().created() else {
        return Err(unknown);
    };
    let (seed, deadline) = (*seed, deadline.clone());
    let shared = Arc::new(Shared::reading(Arc::clone(recording) as _));
    let lease = Lease { task: id, runner: RunnerId::from_bits(0), epoch: task.epoch };
    Ok(Arc::new(Live::new(shared, lease, task, seed, deadline, cursor, mode)))
}

async fn run(function: &Arc<dyn Function>, live: &Arc<Live>) -> Replayed {
    let Some(Event::TaskCreated { input, .. }) =
        live.cursor(|cursor| cursor.history().created().cloned())
    else {
        return Replayed::Stalled;
    };
    let context = Context::new(Arc::clone(live));
    let code = async { function.run(context, input).await };
    let mut code = pin!(AssertUnwindSafe(code).catch_unwind());
    let stall = Duration::from_millis(limits::REPLAY_STALL_MS);
    loop {
        let out = tokio::select! {
            biased;
            out = &mut code => Some(out),
            () = live.change() => None,
            () = tokio::time::sleep(stall) => return Replayed::Stalled,
        };
        // All branches of the code have been polled by now: whatever of them is recorded has been
        // asked for, in whatever order they are written.
        return match (live.halted(), out) {
            // It failed for one branch, whatever another one had under way.
            (Some(Halt::Unrecorded { .. }), Some(Ok(Err(failure)))) => {
                Replayed::Returned(Err(failure))
            }
            (Some(halt), _) => halted(halt, live),
            (None, Some(Ok(result))) => match live.cursor(|cursor| cursor.unreached()) {
                None => Replayed::Returned(result),
                Some(mismatch) => Replayed::Mismatch(mismatch),
            },
            (None, Some(Err(panic))) => Replayed::Panicked(panic_message(panic.as_ref())),
            (None, None) => continue,
        };
    }
}

fn halted(halt: Halt, live: &Live) -> Replayed {
    match halt {
        Halt::Mismatch(mismatch) => Replayed::Mismatch(mismatch),
        Halt::Unrecorded { key, ask } => {
            let skipped = live.cursor(|cursor| match cursor.unreached() {
                Some(Mismatch::Unreached { key }) => Some(key),
                _ => None,
            });
            Replayed::Unrecorded { key, ask, skipped }
        }
        Halt::Fail(failure) => Replayed::Returned(Err(failure)),
        Halt::Journal(error) => Replayed::Returned(Err(Failure::is_final(error.to_string()))),
        Halt::LeaseLost => Replayed::Stalled,
    }
}
