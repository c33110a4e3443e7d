//! Questions to people: a step whose outcome comes from outside.
//!
//! The question's key is the step's key, so it is unique for the task's life, and a question that
//! was asked before a crash is the same question after it. While it is open the task is
//! `input_required` and, after a moment, parked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::context::Context;
use super::live::Halt;
use super::{Ask, Decision, step};
use crate::journal::{Effect, Event, Failure, Payload, StepKind};

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The words.
    pub message: String,
    /// JSON Schema of the form to fill in: an object with plain properties.
    pub schema: Payload,
}

/// What a person answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Answer {
    /// The form, filled in.
    Accept {
        /// What was filled in.
        #[serde(default)]
        content: Map<String, Value>,
    },
    /// No.
    Decline,
    /// Neither yes nor no: the form was put away.
    Cancel,
}

impl Context {
    /// Asks a person and waits for the answer, for weeks if need be.
    ///
    /// # Errors
    /// When the name is too long, or a recorded answer cannot be read.
    pub async fn ask(&self, name: &str, question: &Question) -> Result<Answer, Failure> {
        let open = self.open(&self.scoped(name)?).await;
        let shown = Payload::of(question)?;
        let ask = asked(shown);
        match self.live.decide(&open.key, &ask).await {
            Decision::Recorded(outcome) => return step::read(&open.key, &outcome?),
            Decision::Mismatch(mismatch) => {
                return self.live.never(Halt::Mismatch(mismatch)).await;
            }
            Decision::Resume { .. } => {}
            Decision::Run { .. } | Decision::RunAt { .. } | Decision::InDoubt { .. } => {
                self.put(&open.key, ask).await;
            }
        }
        let answer = self.answer(&open.key).await;
        let output = Payload::of(&answer)?;
        self.settle(Event::StepCompleted { key: open.key.clone(), output }).await;
        Ok(answer)
    }

    /// Commits the end of a question.
    pub(super) async fn settle(&self, end: Event) {
        let _running = self.live.running();
        self.live.record(end);
        if !self.is_asking() {
            self.live.record(Event::InputReceived {});
        }
        self.live.commit().await;
    }

    /// Commits that the question is open.
    pub(super) async fn put(&self, key: &str, ask: Ask) {
        self.live.gate().await;
        if !self.is_asking() {
            self.live.record(Event::InputRequested {});
        }
        self.start(key, ask, None).await;
    }

    fn is_asking(&self) -> bool {
        self.live.cursor(|cursor| cursor.history().questions().next().is_some())
    }

    async fn answer(&self, key: &str) -> Answer {
        let mut answers = self.live.answers.subscribe();
        let _waiting = self.live.waiting(None);
        let found = answers.wait_for(|answers| answers.contains_key(key)).await;
        match found.ok().and_then(|answers| answers.get(key).cloned()) {
            Some(answer) => answer,
            // The sender lives as long as the task.
            None => std::future::pending().await,
        }
    }
}

/// The step of a question, which is a [`Question`] in JSON.
pub(super) fn asked(question: Payload) -> Ask {
    Ask {
        kind: StepKind::Question,
        effect: Effect::Pure,
        input: question.hash(),
        shown: Some(question),
    }
}
