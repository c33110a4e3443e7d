//! What a durable function does its work through.

use std::sync::Arc;
use std::time::Duration;

use super::live::{Halt, Live};
use super::{Ask, Decision, StepBuilder, entropy, step};
use crate::journal::{Effect, Event, Failure, Hash, Payload, StepKind, TaskId};
use crate::limits;

/// The way of a durable function to everything outside itself. Cheap to clone.
///
/// A function runs again from its start after every crash and every long wait. It gets to the same
/// point by asking for the same steps, so what it does between steps must follow from its input and
/// from what steps returned: no clock, no randomness, no I/O but through the context.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) live: Arc<Live>,
    scope: String,
}

/// How far a step is whose outcome comes from outside or with time: a timer, a question, a child.
pub(super) enum Awaited {
    /// The outcome is recorded.
    Over(Result<Payload, Failure>),
    /// It was begun before, and goes on by itself.
    Begun {
        /// When it is over at the latest, in Unix milliseconds.
        until_ms: Option<i64>,
    },
    /// It is yet to begin.
    New,
}

/// A step while the code works on it.
pub(super) struct Open {
    pub(super) live: Arc<Live>,
    pub(super) key: String,
    name: String,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.live.cursor(|cursor| cursor.close(&self.name));
    }
}

impl Context {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { live, scope: String::new() }
    }

    /// The task's id.
    pub fn task_id(&self) -> TaskId {
        self.live.lease.task
    }

    /// What people call the task: the name of the tool that started it.
    pub fn task_name(&self) -> &str {
        &self.live.task.name
    }

    /// When the task was created, in Unix milliseconds. Costs no step.
    pub fn created_at_ms(&self) -> i64 {
        self.live.task.created_at_ms
    }

    /// What the task was pinned to when it was created.
    pub fn definition(&self) -> Option<Payload> {
        self.live.cursor(|cursor| match cursor.history().created() {
            Some(Event::TaskCreated { definition, .. }) => definition.clone(),
            _ => None,
        })
    }

    /// The idempotency key that the first step of this name in this scope carries, for a further
    /// step that makes the same request again ([`StepBuilder::idempotency_key`]).
    pub fn idempotency_key(&self, name: &str) -> String {
        step::idempotency_key(self.task_id(), &format!("{}{name}", self.scope))
    }

    /// When the first step of this name in this scope was started, in Unix milliseconds, as the
    /// journal has it. Costs no step. `None` before it was started.
    pub fn started_at_ms(&self, name: &str) -> Option<i64> {
        let key = format!("{}{name}", self.scope);
        self.live.cursor(|cursor| cursor.history().step(&key).map(|step| step.started_at_ms))
    }

    /// A context whose steps are named below `name`. Every branch that runs side by side with others
    /// wants one of its own, so that its keys do not depend on timing.
    #[must_use]
    pub fn scope(&self, name: impl AsRef<str>) -> Self {
        Self { live: Arc::clone(&self.live), scope: format!("{}{}/", self.scope, name.as_ref()) }
    }

    /// A step that changes nothing outside.
    pub fn pure(&self, name: impl Into<String>) -> StepBuilder<'_> {
        StepBuilder::new(self, name.into(), Effect::Pure)
    }

    /// A step that may run twice under the same idempotency key without harm.
    pub fn idempotent(&self, name: impl Into<String>) -> StepBuilder<'_> {
        StepBuilder::new(self, name.into(), Effect::Idempotent)
    }

    /// A step that must not take effect twice.
    pub fn once(&self, name: impl Into<String>) -> StepBuilder<'_> {
        StepBuilder::new(self, name.into(), Effect::Once)
    }

    /// A step of an effect that is only known at run time.
    pub fn step(&self, name: impl Into<String>, effect: Effect) -> StepBuilder<'_> {
        StepBuilder::new(self, name.into(), effect)
    }

    /// Tells people what the task is at (`statusMessage` in MCP). It is shown at the latest when the
    /// next step is committed, and is no part of the history.
    pub fn report(&self, message: impl Into<String>) {
        self.live.set_message(message.into());
    }

    /// As [`Context::report`], and shown at once: it costs a commit. For a wait that may be long and
    /// that no step stands for.
    pub async fn report_now(&self, message: impl Into<String>) {
        self.report(message);
        self.live.commit().await;
    }

    /// Whether the task is being cancelled: for code that is being dropped and has something to take
    /// back outside. What a function decides must not follow from it.
    pub fn is_being_cancelled(&self) -> bool {
        self.live.cancel_reason().is_some()
    }

    /// The time, in Unix milliseconds, as it was when this was first asked.
    ///
    /// # Errors
    /// When the recorded time cannot be read.
    pub async fn now_ms(&self) -> Result<i64, Failure> {
        let clock = Arc::clone(&self.live.shared.clock);
        self.pure("now").kind(StepKind::Clock).run(|_| std::future::ready(Ok(clock.now_ms()))).await
    }

    /// 64 random bits that follow from the task's seed and this name: the same in every run, at no
    /// cost. Not for secrets.
    pub fn random(&self, name: &str) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] =
            entropy::derive(self.live.seed, &format!("{}{name}", self.scope));
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Waits, for weeks if need be: over about a second the task is parked, and holds no memory.
    /// The time runs on while the process is down.
    ///
    /// # Errors
    /// When the name is too long.
    pub async fn sleep(&self, name: &str, time: Duration) -> Result<(), Failure> {
        let wait_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let input = Hash::of(&wait_ms.to_be_bytes());
        self.timer(name, input, |now_ms| now_ms.saturating_add_unsigned(wait_ms)).await
    }

    /// As [`Context::sleep`], until a time in Unix milliseconds. One that has passed is not waited
    /// for.
    ///
    /// # Errors
    /// When the name is too long.
    pub async fn sleep_until(&self, name: &str, at_ms: i64) -> Result<(), Failure> {
        let input = Hash::of(b"until").then(&at_ms.to_be_bytes());
        self.timer(name, input, |_| at_ms).await
    }

    async fn timer(
        &self,
        name: &str,
        input: Hash,
        until: impl FnOnce(i64) -> i64,
    ) -> Result<(), Failure> {
        let open = self.open(&self.scoped(name)?).await;
        let ask = Ask { kind: StepKind::Timer, effect: Effect::Pure, input, shown: None };
        let until_ms = match self.awaited(&open.key, &ask).await {
            Awaited::Over(outcome) => return outcome.map(|_| ()),
            Awaited::Begun { until_ms } => until_ms.unwrap_or_default(),
            Awaited::New => {
                let until_ms = until(self.live.shared.clock.now_ms());
                self.start(&open.key, ask, Some(until_ms)).await;
                until_ms
            }
        };
        self.live.wait_for_timer(until_ms).await;
        self.complete(&open.key, Payload::null()).await;
        Ok(())
    }

    /// How far such a step is.
    pub(super) async fn awaited(&self, key: &str, ask: &Ask) -> Awaited {
        match self.live.decide(key, ask).await {
            Decision::Recorded(outcome) => Awaited::Over(outcome),
            Decision::Mismatch(mismatch) => self.live.never(Halt::Mismatch(mismatch)).await,
            Decision::Resume { until_ms } => Awaited::Begun { until_ms },
            Decision::Run { .. } | Decision::RunAt { .. } | Decision::InDoubt { .. } => {
                Awaited::New
            }
        }
    }

    /// Commits that a timer or a child was started.
    pub(super) async fn start(&self, key: &str, ask: Ask, until_ms: Option<i64>) {
        self.live.gate().await;
        let _running = self.live.running();
        self.record_start(key, ask, until_ms);
        self.live.commit().await;
    }

    /// Puts down that a timer, a child or a question was started.
    pub(super) fn record_start(&self, key: &str, ask: Ask, until_ms: Option<i64>) {
        let Ask { kind, effect, input, shown } = ask;
        let key = key.to_owned();
        let attempt = 1;
        self.live.record(Event::StepStarted { key, kind, effect, input, shown, attempt, until_ms });
    }

    pub(super) async fn complete(&self, key: &str, output: Payload) {
        let _running = self.live.running();
        self.live.record(Event::StepCompleted { key: key.to_owned(), output });
        self.live.commit().await;
    }

    /// What the keys of questions begin with that steps of this name ask from within.
    pub(super) fn within(&self, name: &str) -> String {
        format!("{}{name}#", self.scope)
    }

    /// The full name of a step in this scope.
    pub(super) fn scoped(&self, name: &str) -> Result<String, Failure> {
        let full = format!("{}{name}", self.scope);
        let max = limits::STEP_NAME_MAX_BYTES;
        if name.is_empty() || full.len() > max {
            return Err(Failure::is_final(format!(
                "a step's name has 1 to {max} bytes, scopes included: {full:?}"
            )));
        }
        if full.contains('#') {
            return Err(Failure::is_final(format!(
                "a step's name has no #, which numbers a name that comes again: {full:?}"
            )));
        }
        Ok(full)
    }

    /// Gives the step its key.
    pub(super) async fn open(&self, name: &str) -> Open {
        match self.live.cursor(|cursor| cursor.open(name)) {
            Ok(key) => Open { live: Arc::clone(&self.live), key, name: name.to_owned() },
            Err(mismatch) => self.live.never(Halt::Mismatch(mismatch)).await,
        }
    }
}
