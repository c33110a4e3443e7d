//! Waiting for something elsewhere that can only be looked at: a step that looks again and again, and
//! records nothing but what came of it.
//!
//! A look changes nothing, so a crash costs no more than the next look. The looks between leave no
//! events: a task may wait so for days.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::Context;
use super::live::{Halt, trim};
use super::step::{self, bounded};
use super::{Ask, Decision, RetryPolicy};
use crate::journal::{Effect, Failure, FailureKind, Payload, StepKind};
use crate::limits;

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// What was waited for.
    Done(T),
    /// Nothing yet.
    Again {
        /// When to look again, in milliseconds from now; within [`limits::POLL_MIN_MS`] and
        /// [`limits::POLL_MAX_MS`] whatever is said here.
        after_ms: Option<u64>,
        /// What it is at over there, for people.
        message: Option<String>,
    },
}

/// When a look that failed is repeated.
const RETRY: RetryPolicy = RetryPolicy {
    attempts: limits::POLL_FAILURES,
    first_ms: limits::STEP_RETRY_FIRST_MS,
    max_ms: limits::STEP_RETRY_MAX_MS,
};

impl Context {
    /// Looks until there is what was waited for, or answers from the journal. The task stays in
    /// memory meanwhile, and gives way to a stop between two looks.
    ///
    /// `input` is recorded, as by [`StepBuilder::input`](super::StepBuilder::input).
    ///
    /// # Errors
    /// A look's final failure; a transient one after [`limits::POLL_FAILURES`] of them in a row.
    pub async fn poll<T, F, Fut>(
        &self,
        name: &str,
        kind: StepKind,
        input: &(impl Serialize + ?Sized),
        mut look: F,
    ) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Look<T>, Failure>>,
    {
        let name = self.scoped(name)?;
        let shown = Payload::of(input)?;
        bounded(&shown, || format!("the input of step {name:?}"))?;
        let open = self.open(&name).await;
        let (effect, input) = (Effect::Pure, shown.hash());
        let ask = Ask { kind, effect, input, shown: Some(shown) };
        match self.live.decide(&open.key, &ask).await {
            Decision::Recorded(outcome) => return step::read(&open.key, &outcome?),
            Decision::Mismatch(mismatch) => return self.live.never(Halt::Mismatch(mismatch)).await,
            Decision::Run { attempt: 1 } => self.start(&open.key, ask, None).await,
            // It was looking before.
            Decision::Run { .. }
            | Decision::RunAt { .. }
            | Decision::Resume { .. }
            | Decision::InDoubt { .. } => {}
        }
        let mut failures = 0;
        let mut shown = None;
        loop {
            let wait_ms = match self.look_once(&mut look).await {
                Ok(Look::Done(found)) => {
                    let what = || format!("the outcome of step {:?}", open.key);
                    let output = Payload::of(&found).map_err(Failure::from);
                    let output = output.and_then(|output| bounded(&output, what).map(|()| output));
                    return match output {
                        Ok(output) => {
                            self.complete(&open.key, output).await;
                            Ok(found)
                        }
                        Err(failure) => self.live.fail(&open.key, failure).await,
                    };
                }
                Ok(Look::Again { after_ms, message }) => {
                    failures = 0;
                    if message.is_some() && message != shown {
                        self.tell(message.clone().unwrap_or_default()).await;
                        shown = message;
                    }
                    let after_ms = after_ms.unwrap_or(limits::POLL_MS);
                    after_ms.clamp(limits::POLL_MIN_MS, limits::POLL_MAX_MS)
                }
                Err(mut failure) => {
                    trim(&mut failure);
                    failures += 1;
                    let again =
                        matches!(failure.kind, FailureKind::Transient | FailureKind::InDoubt);
                    let wait_ms =
                        again.then(|| RETRY.wait_ms(self.live.seed, &open.key, failures, &failure));
                    let Some(Some(wait_ms)) = wait_ms else {
                        return self.live.fail(&open.key, failure).await;
                    };
                    tracing::debug!(key = open.key, %failure, "looking again later");
                    wait_ms
                }
            };
            self.pause(wait_ms).await;
        }
    }

    async fn look_once<T, F, Fut>(&self, look: &mut F) -> Result<Look<T>, Failure>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Look<T>, Failure>>,
    {
        self.live.gate().await;
        let _running = self.live.running();
        look().await
    }

    /// Waits in memory. It counts as a wait that is nearly over: the task may be stopped meanwhile,
    /// and is not parked, which would cost a replay for every look.
    async fn pause(&self, wait_ms: u64) {
        let clock = Arc::clone(&self.live.shared.clock);
        let now_ms = clock.now_ms();
        let _waiting = self.live.waiting(Some(now_ms));
        clock.sleep_until(now_ms.saturating_add_unsigned(wait_ms)).await;
    }

    /// Tells people at once, and not with the next event: none may come for long.
    async fn tell(&self, message: String) {
        self.live.set_message(message);
        if let Err(error) = self.live.try_commit().await {
            // It goes along with the next events.
            tracing::debug!(%error, "a status message waits");
        }
    }
}
