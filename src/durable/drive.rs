//! Drives one leased task until it ends, parks, stops or loses its lease.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::child::child_id;
use super::last_word::{last_word, take_answers, with_effects};
use super::live::{Halt, Live, Mode, Stillness};
use super::shared::Shared;
use super::step::bounded;
use super::{Context, Cursor, deadline, past};
use crate::journal::{
    Deadline, Error, Event, Failure, FailureKind, Lease, Payload, Record, Result, Sent, Signal,
    StepKind, Task, Wake,
};
use crate::limits;

/// What made the driver let go of the function.
enum Outcome {
    Returned(Result<Payload, Failure>),
    Panicked(String),
    Halted(Halt),
    Cancelled(Option<String>),
    /// Its deadline has passed.
    Overdue(Deadline),
    /// It waits for nothing but a time or a signal.
    Still {
        earliest_ms: Option<i64>,
        /// The count of signals and news of children that it knows of.
        seen: u64,
    },
    /// The process is to stop.
    Stopping,
}

/// What the journal has of a task that was created a moment ago, under the lease that is driven now.
pub(super) struct New {
    pub(super) task: Task,
    pub(super) records: Vec<Record>,
}

/// Drives a task. On return this process has nothing more to do with it, and the lease is freed or
/// lost.
pub(super) async fn drive(shared: Arc<Shared>, lease: Lease, new: Option<New>) {
    let task = lease.task;
    let result = match take_up(&shared, lease, new).await {
        Ok(TakenUp::Live(live)) => {
            shared.insert(Arc::clone(&live));
            let result = run(&live).await;
            shared.remove(&lease);
            result
        }
        Ok(TakenUp::Damaged { seq, failure }) => {
            error!(%task, %failure, "the history is damaged");
            let at_ms = shared.clock.now_ms();
            let event = Event::TaskStopped { failure };
            shared.store.append(&lease, vec![Record { seq, at_ms, event }], None).await
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(Error::LeaseLost { .. }) => info!(%task, "another process has taken the task over"),
        Err(Error::Closed) => debug!(%task, "the journal was closed"),
        Err(error) => {
            warn!(%task, %error, "the task is put back and tried again later");
            put_back(&shared, &lease).await;
        }
    }
}

/// Puts a task back for another try; waits for the journal where it must.
async fn put_back(shared: &Shared, lease: &Lease) {
    let retry = Duration::from_millis(limits::JOURNAL_RETRY_MS);
    loop {
        tokio::time::sleep(retry).await;
        let wake = Wake::At(shared.clock.now_ms());
        match shared.store.release(lease, wake, 0).await {
            Err(error) if error.is_retryable() && !shared.stop.is_cancelled() => {}
            _ => return,
        }
    }
}

enum TakenUp {
    Live(Arc<Live>),
    Damaged { seq: u64, failure: Failure },
}

async fn take_up(shared: &Arc<Shared>, lease: Lease, new: Option<New>) -> Result<TakenUp> {
    let id = lease.task;
    let (task, records) = match new {
        Some(New { task, records }) => (task, Ok(records)),
        None => {
            let task = shared.store.task(id).await?.ok_or(Error::UnknownTask { task: id })?;
            (task, shared.store.history(id, 0).await)
        }
    };
    let damaged = |failure: String| {
        let message = format!("{failure}; the history is kept as it is");
        Ok(TakenUp::Damaged { seq: task.events, failure: Failure::is_final(message) })
    };
    let records = match records {
        Ok(records) => records,
        // It would be found damaged at every try.
        Err(error @ Error::Corrupt { .. }) => return damaged(error.to_string()),
        Err(error) => return Err(error),
    };
    let cursor = match Cursor::new(records) {
        Ok(cursor) => cursor,
        Err(source) => return damaged(Error::Illegal { task: id, source }.to_string()),
    };
    let Some(Event::TaskCreated { seed, deadline, .. }) = cursor.history().created() else {
        return damaged(format!("task {id} has no first event"));
    };
    let (seed, deadline, shared) = (*seed, deadline.clone(), Arc::clone(shared));
    let live = Arc::new(Live::new(shared, lease, task, seed, deadline, cursor, Mode::Run));
    live.record(Event::TaskClaimed { epoch: lease.epoch });
    Ok(TakenUp::Live(live))
}

/// Takes in the signals that have come so far, and returns their count with that of news of children.
/// Waits for the journal where it must, but not past a stop.
async fn hear(live: &Live) -> Result<u64> {
    loop {
        match live.shared.store.signals(live.lease.task).await {
            Ok((signals, count)) => {
                live.take_signals(signals);
                return Ok(count);
            }
            Err(error) if error.is_retryable() && !live.shared.stop.is_cancelled() => {
                warn!(task = %live.lease.task, %error, "waiting for the journal");
                tokio::time::sleep(Duration::from_millis(limits::JOURNAL_RETRY_MS)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn run(live: &Arc<Live>) -> Result<()> {
    // Only now: the runtime knows of the task, and tells it of whatever comes later.
    let seen = hear(live).await?;
    let outcome = match (live.cancel_reason(), deadline::passed(live)) {
        (Some(reason), _) => Outcome::Cancelled(reason),
        (None, Some(deadline)) => Outcome::Overdue(deadline),
        (None, None) => match start(live) {
            Some(function) => poll(live, function, seen).await?,
            None => Outcome::Still { earliest_ms: Some(live.shared.clock.now_ms()), seen },
        },
    };
    let end = match outcome {
        Outcome::Returned(Ok(output)) => match live.cursor(|cursor| cursor.unreached()) {
            None => Event::TaskCompleted { output },
            Some(mismatch) => Event::TaskStopped { failure: mismatch.failure() },
        },
        Outcome::Returned(Err(failure)) if failure.kind == FailureKind::Mismatch => {
            Event::TaskStopped { failure }
        }
        Outcome::Returned(Err(failure)) => failed(live, failure).await?,
        Outcome::Panicked(what) => {
            let failure =
                Failure::is_final(format!("the function panicked: {what}; its history is kept"));
            Event::TaskStopped { failure }
        }
        Outcome::Halted(Halt::Mismatch(mismatch)) => {
            Event::TaskStopped { failure: mismatch.failure() }
        }
        // Only a replay is halted so, and it has a driver of its own.
        Outcome::Halted(Halt::Unrecorded { key, .. }) => {
            let failure = Failure::is_final(format!("step {key:?} is not recorded"));
            Event::TaskStopped { failure }
        }
        Outcome::Halted(Halt::Fail(failure)) => failed(live, failure).await?,
        Outcome::Halted(Halt::LeaseLost) => {
            let Lease { task, epoch, .. } = live.lease;
            return Err(Error::LeaseLost { task, epoch });
        }
        Outcome::Halted(Halt::Journal(error)) if error.is_passing() => return Err(error),
        // It would come again at every try.
        Outcome::Halted(Halt::Journal(error)) => {
            Event::TaskStopped { failure: Failure::is_final(error.to_string()) }
        }
        Outcome::Cancelled(reason) => {
            live.record(Event::CancelRequested { reason: reason.clone() });
            let head = reason
                .map_or_else(|| "cancelled".to_owned(), |reason| format!("cancelled: {reason}"));
            take_answers(live);
            let left = past::stop_what_is_left(live).await?;
            Event::TaskCancelled { message: last_word(live, head, &left) }
        }
        Outcome::Overdue(deadline) => {
            let head = deadline::failure_message(&deadline);
            take_answers(live);
            let left = past::stop_what_is_left(live).await?;
            Event::TaskFailed { failure: Failure::is_final(last_word(live, head, &left)) }
        }
        Outcome::Still { earliest_ms, seen } => {
            return release(live, deadline::wake(live, earliest_ms), seen).await;
        }
        Outcome::Stopping => return release(live, Wake::Now, seen).await,
    };
    cancel_children(live).await?;
    match &end {
        Event::TaskFailed { failure } => live.set_message(format!("failed: {failure}")),
        Event::TaskStopped { failure } => live.set_message(format!("stopped: {failure}")),
        Event::TaskCancelled { message } => live.set_message(message.clone()),
        _ => {}
    }
    live.record(end);
    live.finish().await
}

/// The function's run. It is called when it is first polled, so that whoever catches its panics
/// catches those of the call too.
fn start(live: &Arc<Live>) -> Option<impl Future<Output = Result<Payload, Failure>> + use<>> {
    let function = Arc::clone(live.shared.functions.get(&live.task.function)?);
    let input = live.cursor(|cursor| match cursor.history().created() {
        Some(Event::TaskCreated { input, .. }) => Some(input.clone()),
        _ => None,
    })?;
    let ctx = Context::new(Arc::clone(live));
    Some(async move { function.run(ctx, input).await })
}

/// Polls the function until there is an outcome. The function is dropped on return, and with it
/// whatever it had under way. `seen` counts the signals and news of children that it knows of.
async fn poll(
    live: &Arc<Live>,
    function: impl Future<Output = Result<Payload, Failure>>,
    mut seen: u64,
) -> Result<Outcome> {
    let mut function = pin!(AssertUnwindSafe(function).catch_unwind());
    let mut nudges = live.nudges.subscribe();
    if *nudges.borrow() > seen {
        nudges.mark_changed();
    }
    let mut news = pin!(news(live, nudges));
    let mut stopping = live.stopping.subscribe();
    let mut deadline = pin!(deadline::passes(live));
    let mut still_since: Option<Stillness> = None;
    loop {
        // Nothing but its time ends a wait for a time, and that is known to be far off.
        let after = |still: &Stillness| match still.is_timed {
            true => limits::PARK_TIMER_AFTER_MS,
            false => limits::PARK_AFTER_MS,
        };
        let park = OptionFuture::from(
            still_since.map(|still| tokio::time::sleep(Duration::from_millis(after(&still)))),
        );
        tokio::select! {
            biased;
            out = &mut function => {
                // What halted the task may have been in a branch that the code has dropped.
                return Ok(match (live.halted(), out) {
                    (Some(halt), _) => Outcome::Halted(halt),
                    (None, Ok(result)) => Outcome::Returned(result.and_then(|output| {
                        bounded(&output, || "the task's result".to_owned()).map(|()| output)
                    })),
                    (None, Err(panic)) => Outcome::Panicked(panic_message(panic.as_ref())),
                });
            }
            heard = &mut news => {
                let (count, nudges) = heard?;
                if let Some(reason) = live.cancel_reason() {
                    return Ok(Outcome::Cancelled(reason));
                }
                seen = count;
                news.set(self::news(live, nudges));
            }
            deadline = &mut deadline => return Ok(Outcome::Overdue(deadline)),
            Ok(()) = stopping.changed() => {}
            () = live.change() => {}
            Some(()) = park => {
                let still = live.stillness();
                if still_since.is_some_and(|since| since.generation == still.generation) {
                    return Ok(Outcome::Still { earliest_ms: still.earliest_ms, seen });
                }
            }
        }
        if let Some(halt) = live.halted() {
            return Ok(Outcome::Halted(halt));
        }
        let still = live.stillness();
        if *live.stopping.borrow() && still.running == 0 {
            return Ok(Outcome::Stopping);
        }
        let soon_ms = live.shared.clock.now_ms().saturating_add_unsigned(limits::PARK_AFTER_MS);
        let worth_it = still.running == 0
            && still.waits > 0
            && still.earliest_ms.is_none_or(|at| at > soon_ms);
        still_since = worth_it.then_some(still);
    }
}

/// Takes in what comes next, beside the function. Returns the count that the task was told of, and not
/// what the journal has by now: a child that ends after this must wake a task that is being parked.
async fn news(
    live: &Live,
    mut nudges: watch::Receiver<u64>,
) -> Result<(u64, watch::Receiver<u64>)> {
    if nudges.changed().await.is_err() {
        // The sender lives in `live`.
        pending::<()>().await;
    }
    let count = *nudges.borrow_and_update();
    hear(live).await?;
    Ok((count, nudges))
}

/// The end of a task whose function has given up. It may have dropped what other branches had under
/// way, at tool servers too.
async fn failed(live: &Arc<Live>, failure: Failure) -> Result<Event> {
    take_answers(live);
    let left = past::stop_what_is_left(live).await?;
    Ok(Event::TaskFailed { failure: with_effects(live, failure, &left) })
}

/// Commits what is left to commit and gives the lease back.
async fn release(live: &Arc<Live>, wake: Wake, seen: u64) -> Result<()> {
    live.finish().await?;
    live.shared.store.release(&live.lease, wake, seen).await
}

/// Passes a cancel, or the parent's own end, on to the children that still run. Those that nobody runs
/// end here, too: this process may be gone before another one looks for what is due.
async fn cancel_children(live: &Arc<Live>) -> Result<()> {
    let shared = &live.shared;
    let children: Vec<_> = live.cursor(|cursor| {
        let steps = cursor.history().steps();
        let open =
            steps.filter(|(_, step)| step.kind == StepKind::Child && !step.state.is_finished());
        open.map(|(key, _)| child_id(live.lease.task, key)).collect()
    });
    if !children.is_empty() {
        // Where a child cannot be reached now, all of this is done again later, by the journal.
        live.finish().await?;
    }
    for child in children {
        let reason = Some("the task that started it has ended".to_owned());
        let now_ms = shared.clock.now_ms();
        match shared.store.signal(child, Signal::Cancel { reason }, now_ms).await {
            Ok(Sent::Delivered) => match shared.store.task(child).await? {
                Some(child) if shared.functions.contains_key(&child.function) => {
                    shared.take_up_if_idle(&child).await?;
                }
                // One that only others can run is theirs to end.
                _ => {}
            },
            // A crash between the parent's step and the child's creation leaves none to cancel.
            Ok(_) | Err(Error::UnknownTask { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
