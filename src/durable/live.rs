//! One task while it runs in this process: its cursor, the events not yet committed, and what it
//! waits for.
//!
//! Events are put down in order under one lock, and sent in order by whoever needs them committed:
//! parallel steps of a task that end together share one append. Code never sees an outcome before
//! it is committed. What cannot go on (a mismatch, a lost lease, a stop) *halts*: the code that
//! asked simply never gets an answer, and the driver drops it. So no code can swallow it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tracing::warn;

use super::shared::Shared;
use super::{Answer, Ask, Cursor, Decision, Mismatch};
use crate::journal::{
    Deadline, Error, Event, Failure, Lease, Payload, Record, Signal, Task, joined,
};
use crate::limits;

/// Why a task cannot go on in this process now.
#[derive(Debug, Clone)]
pub(super) enum Halt {
    /// The code and the history differ.
    Mismatch(Mismatch),
    /// It failed in a way that no code may catch (it is out of room for events).
    Fail(Failure),
    /// Another process has the task.
    LeaseLost,
    /// The journal does not answer as it should.
    Journal(Error),
    /// A replay got to a step whose outcome is not recorded.
    Unrecorded {
        /// The step.
        key: String,
        /// What the code wants of it.
        ask: Ask,
    },
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It answers from the history, or runs.
    Run,
    /// It answers from the history, or ends the replay.
    Replay,
    /// As [`Mode::Replay`], but a step's input may differ from what is recorded: it is taken in.
    Rehash,
}

/// What a live task is shared by: its driver and every clone of its context.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) shared: Arc<Shared>,
    pub(super) lease: Lease,
    pub(super) task: Task,
    pub(super) seed: u64,
    mode: Mode,
    pub(super) deadline: Option<Deadline>,
    state: Mutex<State>,
    /// Held by whoever sends events, so that appends keep their order.
    sending: tokio::sync::Mutex<()>,
    /// Places for steps that run side by side.
    pub(super) places: Semaphore,
    /// Tells the driver, and only it, to look again.
    changed: Notify,
    /// The count of signals and news of children that the task was told of in this run.
    pub(super) nudges: watch::Sender<u64>,
    /// The answers that came, by the questions' keys.
    pub(super) answers: watch::Sender<HashMap<String, Answer>>,
    /// Set once the process is to stop: no step begins any more.
    pub(super) stopping: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    cursor: Cursor,
    /// Recorded, and not yet committed.
    unsent: Vec<Record>,
    message: Option<String>,
    /// Steps whose code runs, or whose outcome is being committed.
    running: usize,
    /// What is waited for: the time where there is one.
    waits: HashMap<u64, Option<i64>>,
    next_wait: u64,
    halt: Option<Halt>,
    cancel: Option<Option<String>>,
    /// Grows with every change of `running` and `waits`.
    generation: u64,
}

impl Live {
    pub(super) fn new(
        shared: Arc<Shared>,
        lease: Lease,
        task: Task,
        seed: u64,
        deadline: Option<Deadline>,
        cursor: Cursor,
        mode: Mode,
    ) -> Self {
        let state = State {
            cursor,
            unsent: Vec::new(),
            message: None,
            running: 0,
            waits: HashMap::new(),
            next_wait: 0,
            halt: None,
            cancel: None,
            generation: 0,
        };
        Self {
            shared,
            lease,
            task,
            seed,
            mode,
            deadline,
            state: Mutex::new(state),
            sending: tokio::sync::Mutex::new(()),
            places: Semaphore::new(limits::PARALLEL_STEPS),
            changed: Notify::new(),
            nudges: watch::Sender::new(0),
            answers: watch::Sender::default(),
            stopping: watch::Sender::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks something up in the cursor, or changes it.
    pub(super) fn cursor<T>(&self, f: impl FnOnce(&mut Cursor) -> T) -> T {
        f(&mut self.state().cursor)
    }

    /// What to do about a step. A replay that can go no further halts here.
    pub(super) async fn decide(self: &Arc<Self>, key: &str, ask: &Ask) -> Decision {
        let decision = self.cursor(|cursor| {
            if self.mode == Mode::Rehash {
                cursor.rehash(key, ask);
            }
            cursor.decide(key, ask)
        });
        match decision {
            Decision::Recorded(_) | Decision::Mismatch(_) => decision,
            Decision::Run { attempt: 1 } if self.mode == Mode::Run => {
                self.stood_in(key, ask).await.unwrap_or(decision)
            }
            _ if self.mode == Mode::Run => decision,
            _ => self.never(Halt::Unrecorded { key: key.to_owned(), ask: ask.clone() }).await,
        }
    }

    /// Puts an event down. It is committed by the next [`Live::commit`].
    pub(super) fn record(&self, mut event: Event) {
        match &mut event {
            Event::CancelRequested { reason: Some(text) }
            | Event::TaskCancelled { message: text } => clip(text, limits::FAILURE_MESSAGE_BYTES),
            other => other.failure_mut().into_iter().for_each(trim),
        }
        let at_ms = self.shared.clock.now_ms();
        let mut state = self.state();
        let seq = state.cursor.history().next_seq();
        if seq >= limits::TASK_EVENTS_MAX && event.end().is_none() {
            let message = format!(
                "the task has {seq} events, the most that one task may have; split the work into child tasks"
            );
            drop(state);
            self.halt(Halt::Fail(Failure::is_final(message)));
            return;
        }
        let record = Record { seq, at_ms, event };
        match state.cursor.apply(record.clone()) {
            Ok(()) => state.unsent.push(record),
            Err(source) => {
                drop(state);
                let task = self.lease.task;
                self.halt(Halt::Journal(Error::Illegal { task, source }));
            }
        }
    }

    /// Sets what the task is at, for people. It is committed with the next events.
    pub(super) fn set_message(&self, mut message: String) {
        clip(&mut message, limits::STATUS_MESSAGE_BYTES);
        self.state().message = Some(message);
    }

    /// Returns once everything put down so far is committed. Never returns when that cannot be: the
    /// task is halted then. Nor does it in a task that was halted before: what was to be committed
    /// may not even have been put down.
    pub(super) async fn commit(self: &Arc<Self>) {
        if self.halted().is_some() {
            pending::<()>().await;
        }
        let mut told = false;
        loop {
            match self.try_commit().await {
                Ok(()) => return,
                Err(error) if error.is_retryable() => {
                    self.tell_once(&mut told, &error);
                    tokio::time::sleep(Duration::from_millis(limits::JOURNAL_RETRY_MS)).await;
                }
                Err(Error::LeaseLost { .. }) => return self.never(Halt::LeaseLost).await,
                Err(error) => return self.never(Halt::Journal(error)).await,
            }
        }
    }

    /// Commits that a step failed for good, and hands the failure on.
    pub(super) async fn fail<T>(
        self: &Arc<Self>,
        key: &str,
        failure: Failure,
    ) -> Result<T, Failure> {
        let _running = self.running();
        self.record(Event::StepFailed { key: key.to_owned(), failure: failure.clone() });
        self.commit().await;
        Err(failure)
    }

    /// Logs what is waited for, at the first try only: a log that grows is no help on a full disk.
    fn tell_once(&self, told: &mut bool, error: &Error) {
        if !std::mem::replace(told, true) {
            warn!(task = %self.lease.task, %error, "waiting for the journal");
        }
    }

    /// Sends what is unsent, once. In a task of its own: code may hold on to a step without polling it
    /// any more, and whoever sends holds back all others.
    pub(super) async fn try_commit(self: &Arc<Self>) -> Result<(), Error> {
        let live = Arc::clone(self);
        joined(tokio::spawn(async move { live.send().await }).await)
    }

    async fn send(&self) -> Result<(), Error> {
        let _order = self.sending.lock().await;
        let (records, message) = {
            let state = self.state();
            (state.unsent.clone(), state.message.clone())
        };
        if records.is_empty() && message.is_none() {
            return Ok(());
        }
        let sent = records.len();
        self.shared.store.append(&self.lease, records, message.clone()).await?;
        let mut state = self.state();
        state.unsent.drain(..sent);
        if state.message == message {
            state.message = None;
        }
        Ok(())
    }

    /// Halts the task. The first reason stands.
    pub(super) fn halt(&self, why: Halt) {
        self.state().halt.get_or_insert(why);
        self.changed.notify_one();
    }

    /// Halts the task; the caller never goes on.
    pub(super) async fn never<T>(&self, why: Halt) -> T {
        self.halt(why);
        pending().await
    }

    /// Why the task was halted, if it is.
    pub(super) fn halted(&self) -> Option<Halt> {
        self.state().halt.clone()
    }

    /// Takes in what came from outside.
    pub(super) fn take_signals(&self, signals: Vec<Signal>) {
        let mut state = self.state();
        for signal in signals {
            match signal {
                Signal::Cancel { reason } => {
                    state.cancel.get_or_insert(reason);
                }
                Signal::Answer { key, value } => match value.read() {
                    Ok(Answer::Expired) => {
                        warn!(task = %self.lease.task, key, "no answer of a person; it is passed over");
                    }
                    Ok(answer) => self.answers.send_modify(|answers| {
                        // The first answer stands, whatever comes after it.
                        answers.entry(key).or_insert(answer);
                    }),
                    Err(error) => {
                        warn!(task = %self.lease.task, key, %error, "no answer; it is passed over");
                    }
                },
            }
        }
    }

    /// Whether the task is to be cancelled, and why.
    pub(super) fn cancel_reason(&self) -> Option<Option<String>> {
        self.state().cancel.clone()
    }

    /// Commits what is left when the code is not running any more; waits for the journal where it
    /// must, but not past a stop.
    pub(super) async fn finish(self: &Arc<Self>) -> Result<(), Error> {
        let mut told = false;
        loop {
            match self.try_commit().await {
                Err(error) if error.is_retryable() && !self.shared.stop.is_cancelled() => {
                    self.tell_once(&mut told, &error);
                    tokio::time::sleep(Duration::from_millis(limits::JOURNAL_RETRY_MS)).await;
                }
                result => return result,
            }
        }
    }

    /// Returns at once while steps may begin, and never once the process is to stop.
    pub(super) async fn gate(&self) {
        if *self.stopping.borrow() {
            pending::<()>().await;
        }
    }

    /// Counts a step as running until the guard is dropped.
    pub(super) fn running(self: &Arc<Self>) -> Running {
        self.update(|state| state.running += 1);
        Running(Arc::clone(self))
    }

    /// Counts a wait, for a time or for a nudge, until the guard is dropped.
    pub(super) fn waiting(self: &Arc<Self>, until_ms: Option<i64>) -> Waiting {
        let id = self.update(|state| {
            state.next_wait += 1;
            state.waits.insert(state.next_wait, until_ms);
            state.next_wait
        });
        Waiting { live: Arc::clone(self), id }
    }

    /// Waits for a time; the task may be parked meanwhile.
    pub(super) async fn wait_until(self: &Arc<Self>, at_ms: i64) {
        let _waiting = self.waiting(Some(at_ms));
        self.shared.clock.sleep_until(at_ms).await;
    }

    /// Waits for a timer's time; the task may be parked meanwhile.
    pub(super) async fn wait_for_timer(self: &Arc<Self>, at_ms: i64) {
        let _waiting = self.waiting(Some(at_ms));
        self.shared.clock.reach(at_ms).await;
    }

    fn update<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        state.generation += 1;
        let out = f(&mut state);
        // The driver looks again only where it may have to park or stop: not at every step.
        let still = state.running == 0 && (!state.waits.is_empty() || *self.stopping.borrow());
        drop(state);
        if still {
            self.changed.notify_one();
        }
        out
    }

    /// What the task is at, as far as parking is concerned.
    pub(super) fn stillness(&self) -> Stillness {
        let state = self.state();
        Stillness {
            generation: state.generation,
            running: state.running,
            waits: state.waits.len(),
            is_timed: state.waits.values().all(Option::is_some),
            earliest_ms: state.waits.values().flatten().min().copied(),
        }
    }

    /// Returns when there is something for the driver to look at.
    pub(super) async fn change(&self) {
        self.changed.notified().await;
    }
}

/// Makes a failure one that the journal takes: cuts its message, and leaves out details that are too
/// large.
pub(super) fn trim(failure: &mut Failure) {
    clip(&mut failure.message, limits::FAILURE_MESSAGE_BYTES);
    let fits = |details: &Payload| details.json().len() <= limits::PAYLOAD_MAX_BYTES;
    failure.details = failure.details.take().filter(fits);
}

/// Cuts a text that is too long, and says so.
fn clip(text: &mut String, max_bytes: usize) {
    if text.len() > max_bytes {
        text.truncate(text.floor_char_boundary(max_bytes));
        text.push_str(" [cut]");
    }
}

/// A look at what a task does and waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stillness {
    pub(super) generation: u64,
    pub(super) running: usize,
    pub(super) waits: usize,
    /// Whether all waits are for a time.
    pub(super) is_timed: bool,
    /// The first time that is waited for.
    pub(super) earliest_ms: Option<i64>,
}

/// A step counts as running while this lives.
#[derive(Debug)]
pub(super) struct Running(Arc<Live>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.update(|state| state.running -= 1);
    }
}

/// A wait counts while this lives.
#[derive(Debug)]
pub(super) struct Waiting {
    live: Arc<Live>,
    id: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.live.update(|state| state.waits.remove(&self.id));
    }
}
