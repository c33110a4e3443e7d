//! The fold of a task's events into what is known of it.
//!
//! [`History::apply`] is the one place where an event changes anything, live and in recovery. An
//! event that cannot follow what went before is a typed error with both in it, never a panic.

use std::collections::HashMap;

use super::{Effect, End, Event, Failure, Hash, Payload, Record, StepKind};

/// What is known of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// What running it twice would do.
    pub effect: Effect,
    /// The hash of its input.
    pub input: Hash,
    /// What was recorded of the input for people.
    pub shown: Option<Payload>,
    /// Whether its outcome stands whatever the code asks of it now: see
    /// [`Event::DriftAccepted`].
    pub stands: bool,
    /// How many attempts were started.
    pub attempts: u32,
    /// When its first attempt started, in Unix milliseconds.
    pub started_at_ms: i64,
    /// When a timer fires or a question expires, in Unix milliseconds.
    pub until_ms: Option<i64>,
    /// How far it got.
    pub state: StepState,
}

/// How far a step got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Started, and no outcome is recorded.
    Started,
    /// The last attempt failed and another is due.
    Waiting {
        /// When, in Unix milliseconds.
        retry_at_ms: i64,
        /// What went wrong last.
        failure: Failure,
    },
    /// It ended well.
    Completed(Payload),
    /// It failed for good.
    Failed(Failure),
}

impl StepState {
    /// Whether the outcome is recorded.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed(_))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Waiting { .. } => "waiting for another attempt",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
        }
    }
}

/// An event that cannot follow the ones before it: the journal is damaged, or two processes ran
/// one task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} cannot follow: {why} (the event: {event:?})")]
pub struct IllegalEvent {
    /// Its place.
    pub seq: u64,
    /// What it contradicts.
    pub why: String,
    /// The event.
    pub event: Box<Event>,
}

/// All that is known of one task.
#[derive(Debug, Clone, Default)]
pub struct History {
    next_seq: u64,
    steps: HashMap<String, Step>,
    order: Vec<String>,
    /// The keys of the steps that are not finished, in that order. They are few, and looked for often.
    open: Vec<String>,
    /// The keys of all questions, answered or not, in that order.
    asked: Vec<String>,
    created: Option<Event>,
    cancel: Option<Option<String>>,
    end: Option<End>,
    claims: u32,
}

impl History {
    /// Folds events from the first one on.
    ///
    /// # Errors
    /// At the first event that cannot follow.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Result<Self, IllegalEvent> {
        let mut history = Self::default();
        for record in records {
            history.apply(record)?;
        }
        Ok(history)
    }

    /// Takes in the next event.
    ///
    /// # Errors
    /// When it cannot follow; the history is then as it was.
    pub fn apply(&mut self, record: Record) -> Result<(), IllegalEvent> {
        if let Err(why) = self.check(&record) {
            let Record { seq, event, .. } = record;
            return Err(IllegalEvent { seq, why, event: Box::new(event) });
        }
        self.next_seq += 1;
        if let Some(end) = record.event.end() {
            self.end = Some(end);
        }
        match record.event {
            event @ Event::TaskCreated { .. } => self.created = Some(event),
            Event::TaskClaimed { .. } => self.claims += 1,
            Event::StepStarted { key, kind, effect, input, shown, attempt, until_ms } => {
                match self.steps.get_mut(&key) {
                    Some(step) => {
                        step.attempts = attempt;
                        step.state = StepState::Started;
                    }
                    None => {
                        let started_at_ms = record.at_ms;
                        let state = StepState::Started;
                        let attempts = attempt;
                        self.order.push(key.clone());
                        self.open.push(key.clone());
                        if kind == StepKind::Question {
                            self.asked.push(key.clone());
                        }
                        let step = Step {
                            kind,
                            effect,
                            input,
                            shown,
                            stands: false,
                            attempts,
                            started_at_ms,
                            until_ms,
                            state,
                        };
                        self.steps.insert(key, step);
                    }
                }
            }
            Event::StepAttemptFailed { key, failure, retry_at_ms, .. } => {
                self.set_state(&key, StepState::Waiting { retry_at_ms, failure });
            }
            Event::StepCompleted { key, output } => {
                self.set_state(&key, StepState::Completed(output))
            }
            Event::StepFailed { key, failure } => self.set_state(&key, StepState::Failed(failure)),
            Event::CancelRequested { reason } => self.cancel = Some(reason),
            Event::DriftAccepted {} => {
                self.steps.values_mut().for_each(|step| step.stands = true);
            }
            Event::TaskResumed {} => self.end = None,
            Event::TaskForked { .. }
            | Event::TaskCompleted { .. }
            | Event::TaskFailed { .. }
            | Event::TaskCancelled { .. }
            | Event::TaskStopped { .. }
            | Event::InputRequested {}
            | Event::InputReceived {} => {}
        }
        Ok(())
    }

    fn set_state(&mut self, key: &str, state: StepState) {
        if let Some(step) = self.steps.get_mut(key) {
            if state.is_finished() {
                self.open.retain(|open| open != key);
            }
            step.state = state;
        }
    }

    fn check(&self, record: &Record) -> Result<(), String> {
        if record.seq != self.next_seq {
            return Err(format!("event {} was expected here", self.next_seq));
        }
        match (&self.end, &record.event) {
            (Some(End::Stopped(_)), Event::TaskResumed {}) => {}
            (None, Event::TaskResumed {}) => return Err("the task was not stopped".to_owned()),
            (Some(_), _) => return Err("the task has already ended".to_owned()),
            (None, _) => {}
        }
        let first = matches!(record.event, Event::TaskCreated { .. });
        if first != (record.seq == 0) {
            return Err("a history begins with task_created, and holds it once".to_owned());
        }
        match &record.event {
            Event::TaskForked { .. } if record.seq != 1 => {
                Err("a fork is told of right after its creation".to_owned())
            }
            Event::StepStarted { key, attempt, .. } => {
                let before = self.steps.get(key).map_or(0, |step| step.attempts);
                if let Some(step) = self.steps.get(key)
                    && step.state.is_finished()
                {
                    return Err(format!("step {key:?} has already {}", step.state.name()));
                }
                if *attempt != before + 1 {
                    return Err(format!(
                        "step {key:?} has {before} attempts, and this says attempt {attempt}"
                    ));
                }
                Ok(())
            }
            Event::StepAttemptFailed { key, .. }
            | Event::StepCompleted { key, .. }
            | Event::StepFailed { key, .. } => match self.steps.get(key) {
                None => Err(format!("step {key:?} was never started")),
                Some(step) if step.state == StepState::Started => Ok(()),
                // A wait that is cut short (by a final decision) may fail or complete the step.
                Some(step)
                    if matches!(step.state, StepState::Waiting { .. })
                        && !matches!(record.event, Event::StepAttemptFailed { .. }) =>
                {
                    Ok(())
                }
                Some(step) => Err(format!("step {key:?} is {}", step.state.name())),
            },
            _ => Ok(()),
        }
    }

    /// Sets the hash of a step's input, for a recording whose inputs were redacted.
    pub(crate) fn set_input(&mut self, key: &str, input: Hash) {
        if let Some(step) = self.steps.get_mut(key) {
            step.input = input;
        }
    }

    /// The seq that the next event must have.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// A step by its key.
    pub fn step(&self, key: &str) -> Option<&Step> {
        self.steps.get(key)
    }

    /// The steps in the order in which they were first started.
    pub fn steps(&self) -> impl Iterator<Item = (&str, &Step)> {
        self.order.iter().filter_map(|key| self.steps.get(key).map(|step| (key.as_str(), step)))
    }

    /// The questions that wait for an answer: the key to answer under, and what was asked.
    pub fn questions(&self) -> impl Iterator<Item = (&str, &Payload)> {
        let asked = |key: &String| {
            let step = self.steps.get(key).filter(|step| step.kind == StepKind::Question)?;
            step.shown.as_ref()
        };
        self.open.iter().filter_map(move |key| asked(key).map(|asked| (key.as_str(), asked)))
    }

    /// All questions that were ever put, in the order in which they were.
    pub fn asked(&self) -> impl Iterator<Item = (&str, &Step)> {
        self.asked.iter().filter_map(|key| self.steps.get(key).map(|step| (key.as_str(), step)))
    }

    /// The first event.
    pub fn created(&self) -> Option<&Event> {
        self.created.as_ref()
    }

    /// Whether a cancel was recorded, and its reason.
    pub fn cancel_requested(&self) -> Option<&Option<String>> {
        self.cancel.as_ref()
    }

    /// How the task ended.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// How many times a runner took the task up.
    pub fn claims(&self) -> u32 {
        self.claims
    }
}
