//! Forks: a new task that begins with what another one had done up to some step.
//!
//! Nothing before the fork runs again; what comes after it runs anew, in a task of its own with
//! idempotency keys of its own. What the other task did after the fork stays done.

use std::collections::{BTreeMap, HashSet};

use super::cursor::owner;
use crate::journal::{
    Effect, Event, FailureKind, History, Payload, Record, Step, StepKind, StepState, TaskId,
};

/// Where a task is forked, and what is to be different then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForkPlan {
    /// The first step that is not taken over, or the scope of the first one (`turn-3`).
    pub at: String,
    /// Other outcomes for steps that are taken over, by their keys.
    pub edits: BTreeMap<String, Payload>,
    /// Whether what is taken over stands whatever the new task asks of it: it may have another
    /// definition. Any edit implies it.
    pub drift: bool,
    /// Steps before the fork that run anew all the same, because the new task is to see them with its
    /// own eyes. They must be pure.
    pub anew: Vec<String>,
}

/// What a new task takes over from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The other task's seed: what is random before the fork comes out the same.
    pub seed: u64,
    /// The events of the steps before the fork.
    pub events: Vec<Event>,
    /// The keys of these steps.
    pub kept: Vec<String>,
    /// The keys of the other task's steps that may have changed something outside, are not undone, and
    /// that the new task does not know of: later ones, and earlier ones without an outcome.
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

/// Takes over the finished steps of a task that began before the fork.
///
/// # Errors
/// When there is no such step, or an edited one is not taken over.
pub fn fork(task: TaskId, records: &[Record], plan: ForkPlan) -> Result<Fork, ForkError> {
    let damaged = |why: &dyn ToString| ForkError::Damaged(why.to_string());
    let history = History::of(records.iter().cloned()).map_err(|error| damaged(&error))?;
    let Some(Event::TaskCreated { seed, .. }) = history.created() else {
        return Err(damaged(&"it has no first event"));
    };
    let ForkPlan { at, mut edits, drift, anew } = plan;
    let scope = format!("{at}/");
    let here = |key: &str| key == at || key.starts_with(&scope);
    let order: Vec<_> = history.steps().collect();
    let Some(first) = order.iter().position(|(key, _)| here(key)) else {
        let steps = order.iter().map(|(key, _)| (*key).to_owned()).collect();
        return Err(ForkError::NoSuchStep { at, steps });
    };
    let finished: HashSet<&str> = order[..first]
        .iter()
        .filter(|(key, step)| step.state.is_finished() && !anew.iter().any(|anew| anew == key))
        .map(|(key, _)| *key)
        .collect();
    // A question of a step, or of a child, goes with it.
    let is_kept = |key: &str| finished.contains(key) && finished.contains(owner(key));
    let (kept, left): (Vec<_>, Vec<_>) = order.into_iter().partition(|(key, _)| is_kept(key));
    let kept: Vec<String> = kept.into_iter().map(|(key, _)| key.to_owned()).collect();
    let not_undone = landed(left.into_iter());
    if let Some(key) = edits.keys().find(|key| !kept.contains(key)) {
        return Err(ForkError::NotKept { key: key.clone(), kept });
    }
    let accepts = drift || !edits.is_empty();
    let taken_over =
        records.iter().map(|record| record.event.clone()).filter(|event| match event {
            // It goes on standing what was decided to stand, unless all of it does.
            Event::DriftAccepted {} => !accepts,
            event => event.step().is_some_and(is_kept),
        });
    let mut events = vec![Event::TaskForked { task, at }];
    events.extend(taken_over.map(|event| match event {
        Event::StepCompleted { key, output } => {
            let output = edits.remove(&key).unwrap_or(output);
            Event::StepCompleted { key, output }
        }
        Event::StepFailed { key, failure } => match edits.remove(&key) {
            Some(output) => Event::StepCompleted { key, output },
            None => Event::StepFailed { key, failure },
        },
        event => event,
    }));
    if accepts {
        events.push(Event::DriftAccepted {});
    }
    Ok(Fork { seed: *seed, events, kept, not_undone })
}

/// The keys of those steps that may have changed something outside. A child counts whatever became of
/// it: what it did before it ended is known from its own history only.
pub fn landed<'h>(steps: impl Iterator<Item = (&'h str, &'h Step)>) -> Vec<String> {
    steps
        .filter(|(_, step)| step.effect != Effect::Pure && step.kind.is_outside())
        .filter(|(_, step)| match &step.state {
            StepState::Started | StepState::Completed(_) => true,
            StepState::Waiting { failure, .. } | StepState::Failed(failure) => {
                step.kind == StepKind::Child || failure.kind == FailureKind::InDoubt
            }
        })
        .map(|(key, _)| key.to_owned())
        .collect()
}
