//! The replay cursor: history in; for a step, what to do about it, out.
//!
//! It does no I/O, knows no clock and never awaits. What it says depends on the history and on the
//! names of the steps alone, never on the order in which parallel steps finish.

use std::collections::{HashMap, HashSet};

use super::Mismatch;
use crate::journal::{
    Effect, Failure, Hash, History, IllegalEvent, Payload, Record, StepKind, StepState,
};

/// What stands between the key of a child's step and the key of a question of that child, in the
/// key under which its parent passes the question on. No name has a `#` in it.
pub(crate) const OF_CHILD: &str = "#child/";

/// The same between a step and a question that it asks from within: the hash of what is asked.
pub(super) const ASKED_WITHIN: &str = "#asks/";

/// The same between a step in doubt and the question what became of it: the attempt.
pub(super) const IN_DOUBT: &str = "#doubt-";

/// The step that the code asks for by its key, of a key that may be that of a question of this step.
pub(super) fn owner(key: &str) -> &str {
    let marks = [OF_CHILD, ASKED_WITHIN, IN_DOUBT];
    let first = marks.iter().filter_map(|mark| key.find(mark)).min();
    first.map_or(key, |at| &key[..at])
}

/// What the code wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What the step does.
    pub kind: StepKind,
    /// What running it twice would do.
    pub effect: Effect,
    /// The hash of its input.
    pub input: Hash,
    /// What to record of the input for people, and for the diff of a mismatch.
    pub shown: Option<Payload>,
}

/// What to do about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The outcome is recorded: hand it over, run nothing.
    Recorded(Result<Payload, Failure>),
    /// Run it, as this attempt. It has not run before, or running it again is safe.
    Run {
        /// From 1.
        attempt: u32,
    },
    /// Run it as this attempt, but not before this time (Unix milliseconds).
    RunAt {
        /// From 2.
        attempt: u32,
        /// When it is due.
        at_ms: i64,
    },
    /// A timer, a child or a question that was started before and goes on by itself: wait for it.
    Resume {
        /// When a timer fires (Unix milliseconds).
        until_ms: Option<i64>,
    },
    /// It was started, may have taken effect, and must not take effect twice.
    InDoubt {
        /// How many attempts were started.
        attempts: u32,
    },
    /// The history holds something else under this key.
    Mismatch(Mismatch),
}

/// Answers a function's steps from its history, and takes in what it does beyond it.
#[derive(Debug, Default)]
pub struct Cursor {
    history: History,
    /// How often each name was asked for in this run.
    asked: HashMap<String, u32>,
    /// Names that are being worked on.
    open: HashSet<String>,
    /// Keys that were reached in this run.
    reached: HashSet<String>,
}

impl Cursor {
    /// A cursor at the start of a function with this history.
    ///
    /// # Errors
    /// When the records contradict each other.
    pub fn new(records: impl IntoIterator<Item = Record>) -> Result<Self, IllegalEvent> {
        Ok(Self { history: History::of(records)?, ..Self::default() })
    }

    /// Gives a step its key: its name the first time, `name#2` the next time, and so on.
    ///
    /// # Errors
    /// [`Mismatch::SameName`] while an earlier step of that name is still open.
    pub fn open(&mut self, name: &str) -> Result<String, Mismatch> {
        if !self.open.insert(name.to_owned()) {
            return Err(Mismatch::SameName { key: name.to_owned() });
        }
        let count = self.asked.entry(name.to_owned()).or_default();
        *count += 1;
        let key = if *count == 1 { name.to_owned() } else { format!("{name}#{count}") };
        self.reached.insert(key.clone());
        Ok(key)
    }

    /// Says that the code is done with the step of this name, or dropped it.
    pub fn close(&mut self, name: &str) {
        self.open.remove(name);
    }

    /// Takes the input of a recorded step to be what the code asks now.
    pub(super) fn rehash(&mut self, key: &str, ask: &Ask) {
        self.history.set_input(key, ask.input);
    }

    /// What to do about the step of this key.
    pub fn decide(&self, key: &str, ask: &Ask) -> Decision {
        let Some(step) = self.history.step(key) else { return Decision::Run { attempt: 1 } };
        let same = (step.effect, step.input) == (ask.effect, ask.input) || step.stands;
        if step.kind != ask.kind || !same {
            return Decision::Mismatch(Mismatch::of_step(key, step, ask));
        }
        let attempt = step.attempts + 1;
        match &step.state {
            StepState::Completed(output) => Decision::Recorded(Ok(output.clone())),
            StepState::Failed(failure) => Decision::Recorded(Err(failure.clone())),
            StepState::Waiting { retry_at_ms, .. } => {
                Decision::RunAt { attempt, at_ms: *retry_at_ms }
            }
            StepState::Started => match (step.kind, step.effect) {
                (StepKind::Timer | StepKind::Child | StepKind::Question, _) => {
                    Decision::Resume { until_ms: step.until_ms }
                }
                (_, Effect::Once) => Decision::InDoubt { attempts: step.attempts },
                (_, Effect::Pure | Effect::Idempotent) => Decision::Run { attempt },
            },
        }
    }

    /// Takes in what just happened.
    ///
    /// # Errors
    /// When it cannot follow what went before.
    pub fn apply(&mut self, record: Record) -> Result<(), IllegalEvent> {
        self.history.apply(record)
    }

    /// The first step, in the order of starting, that the history holds as finished and that this
    /// run never asked for.
    pub fn unreached(&self) -> Option<Mismatch> {
        self.history
            .steps()
            .find(|(key, step)| step.state.is_finished() && !step.stands && !self.is_reached(key))
            .map(|(key, _)| Mismatch::Unreached { key: key.to_owned() })
    }

    /// The questions of a step, and of a child, are reached with it: whether they are still put
    /// depends on how far it is.
    fn is_reached(&self, key: &str) -> bool {
        self.reached.contains(owner(key))
    }

    /// What is known so far.
    pub fn history(&self) -> &History {
        &self.history
    }
}
