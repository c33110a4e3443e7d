//! Forks: a new task that begins with what another one had done up to some step.
//!
//! Nothing before the fork runs again; what comes after it runs anew, in a task of its own with
//! idempotency keys of its own. What the other task did after the fork stays done.

use std::collections::{BTreeMap, HashSet};

use super::cursor::owner;
use crate::journal::{Effect, Event, FailureKind, History, Payload, Record, StepState};

/// What a new task takes over from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The other task's seed: what is random before the fork comes out the same.
    pub seed: u64,
    /// The events of the steps before the fork.
    pub events: Vec<Event>,
    /// The keys of these steps.
    pub kept: Vec<String>,
    /// The keys of later steps of the other task that may have changed something outside, and are
    /// not undone.
    pub not_undone: Vec<String>,
}

/// Why a task cannot be forked so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// No such step.
    #[error("the task has no step {at:?}; its steps are {}", steps.join(", "))]
    NoSuchStep {
        /// What was asked for.
        at: String,
        /// What there is.
        steps: Vec<String>,
    },
    /// An outcome was to be edited that the fork does not take over.
    #[error(
        "step {key:?} is not among the finished steps before the fork, so its outcome cannot be edited; they are {}",
        kept.join(", ")
    )]
    NotKept {
        /// The step.
        key: String,
        /// What could be edited.
        kept: Vec<String>,
    },
    /// The history has no first event, or contradicts itself.
    #[error("the task's history cannot be read: {0}")]
    Damaged(String),
}

/// Takes over the finished steps that began before the step `at`, or before the first step of the
/// scope `at` (`turn-3`). `edits` are other outcomes for some of them. With `drift` (as with any
/// edit) the steps stand whatever the new task asks of them: it may have another definition.
///
/// # Errors
/// When there is no such step, or an edited one is not taken over.
pub fn fork(
    records: &[Record],
    at: &str,
    mut edits: BTreeMap<String, Payload>,
    drift: bool,
) -> Result<Fork, ForkError> {
    let damaged = |why: &dyn ToString| ForkError::Damaged(why.to_string());
    let history = History::of(records.iter().cloned()).map_err(|error| damaged(&error))?;
    let Some(Event::TaskCreated { seed, .. }) = history.created() else {
        return Err(damaged(&"it has no first event"));
    };
    let scope = format!("{at}/");
    let here = |key: &str| key == at || key.starts_with(&scope);
    let order: Vec<_> = history.steps().collect();
    let Some(first) = order.iter().position(|(key, _)| here(key)) else {
        let steps = order.iter().map(|(key, _)| (*key).to_owned()).collect();
        return Err(ForkError::NoSuchStep { at: at.to_owned(), steps });
    };
    let (before, after) = order.split_at(first);
    let finished: HashSet<&str> =
        before.iter().filter(|(_, step)| step.state.is_finished()).map(|(key, _)| *key).collect();
    // A question of a step, or of a child, goes with it.
    let is_kept = |key: &str| finished.contains(key) && finished.contains(owner(key));
    let kept: Vec<String> =
        before.iter().map(|(key, _)| (*key).to_owned()).filter(|key| is_kept(key)).collect();
    let not_undone = after
        .iter()
        .filter(|(_, step)| step.effect != Effect::Pure && step.kind.is_outside())
        .filter(|(_, step)| match &step.state {
            StepState::Failed(failure) => failure.kind == FailureKind::InDoubt,
            _ => true,
        })
        .map(|(key, _)| (*key).to_owned())
        .collect();
    if let Some(key) = edits.keys().find(|key| !kept.contains(key)) {
        return Err(ForkError::NotKept { key: key.clone(), kept });
    }
    let accepts = drift || !edits.is_empty();
    let mut events: Vec<Event> = records
        .iter()
        .map(|record| record.event.clone())
        .filter(|event| event.step().is_some_and(is_kept))
        .map(|event| match event {
            Event::StepCompleted { key, output } => {
                let output = edits.remove(&key).unwrap_or(output);
                Event::StepCompleted { key, output }
            }
            Event::StepFailed { key, failure } => match edits.remove(&key) {
                Some(output) => Event::StepCompleted { key, output },
                None => Event::StepFailed { key, failure },
            },
            event => event,
        })
        .collect();
    if accepts {
        events.push(Event::DriftAccepted {});
    }
    Ok(Fork { seed: *seed, events, kept, not_undone })
}
