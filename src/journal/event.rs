//! The facts that a task's history is made of.
//!
//! Names are in the past tense. The stored form is documented in ARCHITECTURE.md ("The stored
//! format") and pinned by tests: a change here is a change of format version.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::payload::present;
use super::{Deadline, Hash, ParentLink, Payload, Status, TaskId};

/// What running a step twice would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing outside changes. Safe to run again.
    Pure,
    /// A second run under the same idempotency key changes nothing more. Safe to run again.
    Idempotent,
    /// A second run would take effect a second time. Never run again on suspicion.
    Once,
}

/// What a step does, for whoever reads the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Code of a durable function.
    Run,
    /// A model call.
    Model,
    /// A tool call.
    Tool,
    /// A durable sleep.
    Timer,
    /// A reading of the clock.
    Clock,
    /// A child task.
    Child,
    /// A question to a person.
    Question,
}

impl StepKind {
    /// Whether such a step may change something outside.
    pub fn is_outside(self) -> bool {
        matches!(self, Self::Run | Self::Tool | Self::Child)
    }
}

/// Why a step or a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It failed, and it would fail again.
    Final,
    /// It failed, it did not take effect, and another attempt may succeed.
    Transient,
    /// Nobody knows whether it took effect: it was started and its outcome was never seen.
    InDoubt,
    /// It was cancelled.
    Cancelled,
    /// The code or its inputs no longer match the history.
    Mismatch,
}

/// A failure as it is recorded and shown.
///
/// It is no [`std::error::Error`] itself, so that `?` turns any error into one. Such an error says
/// nothing about whether the work took effect, so it counts as [`FailureKind::InDoubt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What follows from it.
    pub kind: FailureKind,
    /// What happened and what to do about it, for a person.
    pub message: String,
    /// The JSON-RPC error code, where the failure is to reach a client as a protocol error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// When to try again, in milliseconds from the failure, where the other side said so
    /// (`Retry-After`). Only of use on [`FailureKind::Transient`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// More, for a program.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub details: Option<Payload>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::in_doubt(message)
    }
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, code: None, retry_after_ms: None, details: None }
    }

    /// [`FailureKind::Final`]: trying again is of no use.
    pub fn is_final(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Final, message)
    }

    /// [`FailureKind::Transient`]: it did not take effect, and may be tried again.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, message)
    }

    /// [`FailureKind::InDoubt`]: it may have taken effect.
    pub fn in_doubt(message: impl Into<String>) -> Self {
        Self::new(FailureKind::InDoubt, message)
    }

    /// Says when the other side wants to be asked again.
    #[must_use]
    pub fn retry_after_ms(mut self, wait_ms: Option<u64>) -> Self {
        self.retry_after_ms = wait_ms;
        self
    }

    /// Sets the JSON-RPC error code that a client is to see.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.code = Some(code);
        self
    }
}

/// One fact about a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The task exists. Always the first event, and only that.
    TaskCreated {
        /// The registered function that runs it.
        function: String,
        /// What people call it: the name of the tool that started it.
        name: String,
        /// What it was called with.
        input: Payload,
        /// What it is pinned to (an agent's definition), whatever the files say later.
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        definition: Option<Payload>,
        /// Where all randomness of the task comes from.
        seed: u64,
        /// The task and step that started it, for a child.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<ParentLink>,
        /// When it must have ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Deadline>,
    },
    /// The task began with what another one had done. Only ever the second event; the steps between it
    /// and the first [`Event::TaskClaimed`] are the other task's.
    TaskForked {
        /// The other task.
        task: TaskId,
        /// The first step, or scope of steps, that was not taken over.
        at: String,
    },
    /// A runner took the task up, for the first time or after a crash, a stop or a wait.
    TaskClaimed {
        /// The lease's epoch.
        epoch: u64,
    },
    /// A step is about to run.
    StepStarted {
        /// The step's name within the task.
        key: String,
        /// What it does.
        kind: StepKind,
        /// What running it twice would do.
        effect: Effect,
        /// The hash of its input.
        input: Hash,
        /// The input itself, or what is worth showing of it.
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        shown: Option<Payload>,
        /// 1 for the first try.
        attempt: u32,
        /// When a timer fires or a question expires, in Unix milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<i64>,
    },
    /// One attempt failed and another one will follow.
    StepAttemptFailed {
        /// The step.
        key: String,
        /// Which attempt it was, from 1.
        attempt: u32,
        /// What went wrong.
        failure: Failure,
        /// When the next attempt is due, in Unix milliseconds.
        retry_at_ms: i64,
    },
    /// A step ended well. It never runs again.
    StepCompleted {
        /// The step.
        key: String,
        /// What it returned.
        output: Payload,
    },
    /// A step failed for good. It never runs again.
    StepFailed {
        /// The step.
        key: String,
        /// What went wrong.
        failure: Failure,
    },
    /// The task began to wait for a person.
    InputRequested {},
    /// Every question of the task is answered.
    InputReceived {},
    /// Somebody asked for the task to be cancelled.
    CancelRequested {
        /// Why, where they said so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody decided that what was recorded so far stands, whatever the code asks for now.
    DriftAccepted {},
    /// A stopped task was set going again.
    TaskResumed {},
    /// The task ended well.
    TaskCompleted {
        /// What it returned.
        output: Payload,
    },
    /// The task failed.
    TaskFailed {
        /// Why.
        failure: Failure,
    },
    /// The task was cancelled.
    TaskCancelled {
        /// What was done and what is in doubt, for a person.
        message: String,
    },
    /// The task cannot go on with this code, and its history is kept.
    TaskStopped {
        /// Why, and what to do.
        failure: Failure,
    },
}

impl Event {
    /// The task's state after this event, where it changes that.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::InputRequested {} => Some(Status::InputRequired),
            Self::InputReceived {} | Self::TaskResumed {} => Some(Status::Working),
            _ => self.end().as_ref().map(Status::from),
        }
    }

    /// The key of the step that this event is of.
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::StepStarted { key, .. }
            | Self::StepAttemptFailed { key, .. }
            | Self::StepCompleted { key, .. }
            | Self::StepFailed { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whether a parent that waits for this task has something to do about it: the task has ended,
    /// asks, or asks no more.
    pub fn concerns_parent(&self) -> bool {
        matches!(self, Self::StepStarted { kind: StepKind::Question, .. } | Self::InputReceived {})
            || self.end().is_some()
    }

    /// The failure that this event tells of.
    pub fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            Self::StepAttemptFailed { failure, .. }
            | Self::StepFailed { failure, .. }
            | Self::TaskFailed { failure }
            | Self::TaskStopped { failure } => Some(failure),
            _ => None,
        }
    }

    /// The payloads of this event. Their places are part of the stored format.
    pub(super) fn payloads_mut(&mut self) -> [Option<&mut Payload>; 2] {
        match self {
            Self::TaskCreated { input, definition, .. } => [Some(input), definition.as_mut()],
            Self::StepStarted { shown, .. } => [shown.as_mut(), None],
            Self::StepCompleted { output, .. } | Self::TaskCompleted { output } => {
                [Some(output), None]
            }
            Self::StepAttemptFailed { failure, .. }
            | Self::StepFailed { failure, .. }
            | Self::TaskFailed { failure }
            | Self::TaskStopped { failure } => [failure.details.as_mut(), None],
            Self::TaskForked { .. }
            | Self::TaskClaimed { .. }
            | Self::InputRequested {}
            | Self::InputReceived {}
            | Self::DriftAccepted {}
            | Self::TaskResumed {}
            | Self::CancelRequested { .. }
            | Self::TaskCancelled { .. } => [None, None],
        }
    }

    /// How the task ended, where this event ends it.
    pub fn end(&self) -> Option<End> {
        match self {
            Self::TaskCompleted { output } => Some(End::Completed(output.clone())),
            Self::TaskFailed { failure } => Some(End::Failed(failure.clone())),
            Self::TaskCancelled { message } => Some(End::Cancelled(message.clone())),
            Self::TaskStopped { failure } => Some(End::Stopped(failure.clone())),
            _ => None,
        }
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It returned this.
    Completed(Payload),
    /// It failed with this.
    Failed(Failure),
    /// It was cancelled; the message says what had been done by then.
    Cancelled(String),
    /// It cannot go on with this code.
    Stopped(Failure),
}

/// An event in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the task's history, from 0, without gaps.
    pub seq: u64,
    /// When it happened, in Unix milliseconds, by the clock of who recorded it.
    pub at_ms: i64,
    /// What happened.
    pub event: Event,
}
