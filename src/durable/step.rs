//! One step: asked of the cursor, run if it must be, retried, recorded.
//!
//! ```text
//! started ──> effect ──> outcome ──> committed ──> handed to the code
//!    └ committed before the effect for `Once`; for the others it goes along with the outcome, or
//!      by itself where the effect takes longer than a moment
//! ```

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::asking::{Attempt, take_back_all};
use super::doubt::{self, Doubt, Settled};
use super::live::{Halt, Live, trim};
use super::{Ask, Context, Decision, RetryPolicy};
use crate::journal::{Effect, Event, Failure, FailureKind, Hash, Payload, StepKind, TaskId};
use crate::limits;

/// A step that is about to be asked for. Made by [`Context::pure`], [`Context::idempotent`] and
/// [`Context::once`].
#[derive(Debug)]
#[must_use = "a step does nothing until run"]
pub struct StepBuilder<'a> {
    ctx: &'a Context,
    name: String,
    kind: StepKind,
    effect: Effect,
    input: Hash,
    shown: Option<Payload>,
    retry: RetryPolicy,
    doubt: Doubt,
    admission: Option<Admission<'a>>,
    idempotency_key: Option<String>,
    timeout: Option<Duration>,
    unreadable: Option<String>,
}

/// Waits for what an attempt needs. What it gets is held until the attempt is over.
struct Admission<'a>(Box<dyn Fn() -> BoxFuture<'a, Box<dyn Send>> + Send + Sync + 'a>);

impl fmt::Debug for Admission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission")
    }
}

impl<'a> StepBuilder<'a> {
    pub(super) fn new(ctx: &'a Context, name: String, effect: Effect) -> Self {
        Self {
            ctx,
            name,
            kind: StepKind::Run,
            effect,
            input: Hash::default(),
            shown: None,
            retry: RetryPolicy::default(),
            doubt: Doubt::default(),
            admission: None,
            idempotency_key: None,
            timeout: None,
            unreadable: None,
        }
    }

    /// Says what the step does, for whoever reads the history.
    pub fn kind(mut self, kind: StepKind) -> Self {
        self.kind = kind;
        self
    }

    /// Records what the step is run with. On replay another input under the same name is a
    /// mismatch, which stops the task instead of answering from the wrong history.
    pub fn input<T: Serialize + ?Sized>(mut self, input: &T) -> Self {
        match Payload::of(input) {
            Ok(shown) => {
                self.input = shown.hash();
                self.shown = Some(shown);
            }
            Err(error) => self.unreadable = Some(error.to_string()),
        }
        self
    }

    /// As [`StepBuilder::input`] for an input whose hash is known and which is too long to record:
    /// only `shown` is.
    pub fn input_hash(mut self, input: Hash, shown: Option<Payload>) -> Self {
        self.input = input;
        self.shown = shown;
        self
    }

    /// Sets when a failed attempt is tried again.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets what to do when it is unknown whether a [`Effect::Once`] step took effect.
    pub fn in_doubt(mut self, doubt: Doubt) -> Self {
        self.doubt = doubt;
        self
    }

    /// Waits for something, such as a place in a queue, before each attempt, and holds it until the
    /// attempt is over. The attempt begins only then: a task that stops or is cancelled meanwhile
    /// has not begun it. The wait is not durable, and a recorded outcome does not wait.
    pub fn admit(
        mut self,
        wait: impl Fn() -> BoxFuture<'a, Box<dyn Send>> + Send + Sync + 'a,
    ) -> Self {
        self.admission = Some(Admission(Box::new(wait)));
        self
    }

    /// Runs the step under this idempotency key instead of its own: it is the same request as an
    /// earlier step's, made once more. See [`Context::idempotency_key`].
    pub fn idempotency_key(mut self, key: String) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Sets how long an attempt may take. One that takes longer is dropped, and counts as a failure
    /// that may be tried again; for [`Effect::Once`] it is in doubt.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Runs the step, or answers from the journal.
    ///
    /// The code may run several times over the life of the task: after a failure that may be retried,
    /// and after a crash unless the step is [`Effect::Once`]. It must not use the context.
    ///
    /// # Errors
    /// The step's final failure, as it was recorded: the same on every replay. An error that the code
    /// returns with `?` counts as "may have taken effect" and is retried unless the step is `Once`;
    /// [`Failure::is_final`] and [`Failure::transient`] say it more precisely.
    pub async fn run<T, F, Fut>(self, mut code: F) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let name = self.ctx.scoped(&self.name)?;
        if let Some(why) = &self.unreadable {
            return Err(Failure::is_final(format!(
                "the input of step {name:?} has no JSON form: {why}"
            )));
        }
        if let Some(shown) = &self.shown {
            bounded(shown, || format!("the input of step {name:?}"))?;
        }
        let ctx = self.ctx;
        let open = ctx.open(&name).await;
        let ask =
            Ask { kind: self.kind, effect: self.effect, input: self.input, shown: self.shown };
        let Self { retry, doubt, timeout, admission, idempotency_key: key, .. } = self;
        let idempotency_key = key.unwrap_or_else(|| idempotency_key(ctx.task_id(), &open.key));
        let rules = Rules { ask, retry, doubt, timeout, admission, idempotency_key };
        let output = rules.settle(&open.live, &open.key, &mut code).await?;
        read(&open.key, &output)
    }
}

/// Refuses what the journal would not take.
pub(super) fn bounded(payload: &Payload, what: impl FnOnce() -> String) -> Result<(), Failure> {
    let (bytes, max) = (payload.json().len(), limits::PAYLOAD_MAX_BYTES);
    if bytes > max {
        let what = what();
        return Err(Failure::is_final(format!(
            "{what} has {bytes} bytes, and at most {max} are kept"
        )));
    }
    Ok(())
}

/// Reads an outcome as the type that the code wants.
pub(super) fn read<T: DeserializeOwned>(key: &str, output: &Payload) -> Result<T, Failure> {
    output.read().map_err(|error| {
        let message = format!(
            "the recorded outcome of step {key:?} is not of the type that the code wants: {error}"
        );
        Failure::new(FailureKind::Mismatch, message)
    })
}

/// What a step's attempts carry to the other side unless it is told otherwise.
pub(super) fn idempotency_key(task: TaskId, key: &str) -> String {
    format!("{task}/{key}")
}

struct Rules<'a> {
    ask: Ask,
    retry: RetryPolicy,
    doubt: Doubt,
    admission: Option<Admission<'a>>,
    idempotency_key: String,
    timeout: Option<Duration>,
}

impl Rules<'_> {
    async fn settle<T, F, Fut>(
        &self,
        live: &Arc<Live>,
        key: &str,
        code: &mut F,
    ) -> Result<Payload, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let mut number = match live.decide(key, &self.ask).await {
            Decision::Recorded(outcome) => return outcome,
            Decision::Mismatch(mismatch) => return live.never(Halt::Mismatch(mismatch)).await,
            Decision::Run { attempt } => attempt,
            Decision::RunAt { attempt, at_ms } => {
                live.wait_until(at_ms).await;
                attempt
            }
            // Timers and children do not come this way.
            Decision::Resume { .. } => 1,
            Decision::InDoubt { attempts } if self.doubt == Doubt::Rerun => attempts + 1,
            Decision::InDoubt { attempts } => {
                take_back_all(live, key);
                let message = format!(
                    "step {key:?} was started and its outcome was not recorded: it may have taken effect"
                );
                match self.settled::<T>(live, key, attempts, Failure::in_doubt(message)).await? {
                    Settled::Happened(output) => return Ok(output),
                    Settled::DidNotHappen => attempts + 1,
                }
            }
        };
        loop {
            let mut failure = match self.attempt(live, key, number, code).await {
                Ok(output) => return Ok(output),
                Err(failure) => failure,
            };
            // The code is told what is recorded, and so the same on every replay.
            trim(&mut failure);
            take_back_all(live, key);
            if failure.kind == FailureKind::InDoubt
                && self.ask.effect == Effect::Once
                && self.doubt == Doubt::Ask
            {
                match self.settled::<T>(live, key, number, failure).await? {
                    Settled::Happened(output) => return Ok(output),
                    Settled::DidNotHappen => number += 1,
                }
                continue;
            }
            let wait_ms = self
                .may_retry(&failure)
                .then(|| self.retry.wait_ms(live.seed, key, number, &failure));
            let Some(Some(wait_ms)) = wait_ms else { return live.fail(key, failure).await };
            let retry_at_ms = live.shared.clock.now_ms().saturating_add_unsigned(wait_ms);
            live.record(Event::StepAttemptFailed {
                key: key.to_owned(),
                attempt: number,
                failure,
                retry_at_ms,
            });
            {
                let _running = live.running();
                live.commit().await;
            }
            live.wait_until(retry_at_ms).await;
            number += 1;
        }
    }

    /// What a person says of an attempt in doubt, where the step is to ask one. A failure, and an
    /// outcome, are committed on return.
    async fn settled<T: DeserializeOwned>(
        &self,
        live: &Arc<Live>,
        key: &str,
        attempt: u32,
        failure: Failure,
    ) -> Result<Settled, Failure> {
        if self.doubt != Doubt::Ask {
            return live.fail(key, failure).await;
        }
        match doubt::ask::<T>(live, key, attempt, failure).await {
            Err(failure) => live.fail(key, failure).await,
            Ok(Settled::Happened(output)) => {
                self.complete(live, key, output.clone()).await;
                Ok(Settled::Happened(output))
            }
            Ok(settled) => Ok(settled),
        }
    }

    async fn complete(&self, live: &Arc<Live>, key: &str, output: Payload) {
        let _running = live.running();
        take_back_all(live, key);
        live.record(Event::StepCompleted { key: key.to_owned(), output });
        live.commit().await;
    }

    fn may_retry(&self, failure: &Failure) -> bool {
        match failure.kind {
            FailureKind::Transient => true,
            FailureKind::InDoubt => self.ask.effect != Effect::Once || self.doubt == Doubt::Rerun,
            FailureKind::Final | FailureKind::Cancelled | FailureKind::Mismatch => false,
        }
    }

    /// Runs the code once. A success is committed on return; a failure is not recorded yet.
    async fn attempt<T, F, Fut>(
        &self,
        live: &Arc<Live>,
        key: &str,
        number: u32,
        code: &mut F,
    ) -> Result<Payload, Failure>
    where
        T: Serialize,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let Ok(_place) = live.places.acquire().await else { return std::future::pending().await };
        let _held = match &self.admission {
            Some(Admission(wait)) => Some(wait().await),
            None => None,
        };
        live.gate().await;
        let _running = live.running();
        let Ask { kind, effect, input, shown } = self.ask.clone();
        live.record(Event::StepStarted {
            key: key.to_owned(),
            kind,
            effect,
            input,
            shown,
            attempt: number,
            until_ms: None,
        });
        if effect == Effect::Once {
            live.commit().await;
        }
        let attempt = Attempt::new(live, key, number, self.idempotency_key.clone());
        let work = self.in_time(key, code(attempt));
        let output = with_late_commit(live, work).await?;
        let output = Payload::of(&output).map_err(|error| {
            Failure::is_final(format!("the outcome of step {key:?} has no JSON form: {error}"))
        })?;
        bounded(&output, || format!("the outcome of step {key:?}"))?;
        self.complete(live, key, output.clone()).await;
        Ok(output)
    }

    /// Drops the work where it takes too long. By the monotonic clock: an attempt lives within one
    /// process, and a wall clock that jumps must not end it.
    async fn in_time<T>(
        &self,
        key: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(timeout) = self.timeout else { return work.await };
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
            let message = format!("step {key:?} had no outcome after {timeout:?}");
            Err(match self.ask.effect {
                Effect::Once => Failure::in_doubt(message),
                Effect::Pure | Effect::Idempotent => Failure::transient(message),
            })
        })
    }
}

/// Runs an effect; where it takes longer than a moment, what was put down before it is committed
/// meanwhile.
async fn with_late_commit<T>(live: &Arc<Live>, effect: impl Future<Output = T>) -> T {
    let mut effect = pin!(effect);
    tokio::select! {
        biased;
        out = &mut effect => return out,
        () = tokio::time::sleep(Duration::from_millis(limits::STARTED_FLUSH_MS)) => {}
    }
    let ((), out) = tokio::join!(live.commit(), effect);
    out
}
