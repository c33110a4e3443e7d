//! What answers steps in the place of the world, for a run that is to meet only a part of it.
//!
//! It is asked about steps that the task's own history does not hold, and its answers become part of
//! that history: a task that is parked and taken up again asks for no step twice.

use std::sync::Arc;

use super::live::{Halt, Live};
use super::{Ask, Decision};
use crate::journal::{Event, Failure, Payload, Task};

/// What becomes of a step that is about to run for the first time.
#[derive(Debug, Clone, PartialEq)]
pub enum Stand {
    /// It runs for real.
    Run,
    /// This is its outcome, recorded as if it had run.
    Outcome(Result<Payload, Failure>),
    /// There is no outcome for it, and it must not run. The task ends with this failure, whatever its
    /// code does about failures.
    Refuse(Failure),
}

/// Stands in for the world: see [`Builder::stand_in`](super::Builder::stand_in).
pub trait StandIn: Send + Sync + 'static {
    /// What becomes of a step of this task. It is asked at most once for each step, and in the order
    /// in which the code asks for them.
    fn stand_in(&self, task: &Task, key: &str, ask: &Ask) -> Stand;
}

impl Live {
    /// The outcome that something stands in with, recorded and committed; `None` where the step is to
    /// run.
    pub(super) async fn stood_in(self: &Arc<Self>, key: &str, ask: &Ask) -> Option<Decision> {
        let stand_in = self.shared.stand_in.as_ref()?;
        self.gate().await;
        let outcome = match stand_in.stand_in(&self.task, key, ask) {
            Stand::Run => return None,
            Stand::Refuse(failure) => return self.never(Halt::Fail(failure)).await,
            Stand::Outcome(outcome) => outcome,
        };
        let _running = self.running();
        let Ask { kind, effect, input, shown } = ask.clone();
        let (attempt, until_ms) = (1, None);
        self.record(Event::StepStarted {
            key: key.to_owned(),
            kind,
            effect,
            input,
            shown,
            attempt,
            until_ms,
        });
        let key = key.to_owned();
        self.record(match outcome.clone() {
            Ok(output) => Event::StepCompleted { key, output },
            Err(failure) => Event::StepFailed { key, failure },
        });
        self.commit().await;
        Some(Decision::Recorded(outcome))
    }
}
