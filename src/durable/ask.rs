//! Questions to people: a step whose outcome comes from outside.
//!
//! The question's key is the step's key, so it is unique for the task's life, and a question that
//! was asked before a crash is the same question after it. While it is open the task is
//! `input_required` and, after a moment, parked, until it is answered or its time is over.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::context::{Awaited, Context};
use super::{Ask, step};
use crate::journal::{Effect, Event, Failure, Payload, StepKind};

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The words.
    pub message: String,
    /// JSON Schema of the form to fill in: an object with plain properties.
    pub schema: Payload,
    /// How long an answer is waited for, in milliseconds from the asking. Without a bound the
    /// question stays open for the task's life: a person's silence is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_ms: Option<u64>,
}

impl Question {
    /// A question that stays open until it is answered.
    pub fn new(message: impl Into<String>, schema: Payload) -> Self {
        Self { message: message.into(), schema, expire_ms: None }
    }
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
    /// Nobody answered in time. Never what a person says.
    Expired,
}

impl Context {
    /// Asks a person and waits for the answer, for weeks if need be.
    ///
    /// # Errors
    /// When the name or the question is too long, or a recorded answer cannot be read.
    pub async fn ask(&self, name: &str, question: &Question) -> Result<Answer, Failure> {
        let name = self.scoped(name)?;
        let shown = Payload::of(question)?;
        step::bounded(&shown, || format!("question {name:?}"))?;
        let open = self.open(&name).await;
        let ask = asked(shown);
        let until_ms = match self.awaited(&open.key, &ask).await {
            Awaited::Over(outcome) => return step::read(&open.key, &outcome?),
            Awaited::Begun { until_ms } => until_ms,
            Awaited::New => {
                let now_ms = self.live.shared.clock.now_ms();
                let until_ms = question.expire_ms.map(|ms| now_ms.saturating_add_unsigned(ms));
                self.put(&open.key, ask, until_ms).await;
                until_ms
            }
        };
        let answer = self.answer(&open.key, until_ms).await;
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
    pub(super) async fn put(&self, key: &str, ask: Ask, until_ms: Option<i64>) {
        self.live.gate().await;
        let _running = self.live.running();
        if !self.is_asking() {
            self.live.record(Event::InputRequested {});
        }
        self.record_start(key, ask, until_ms);
        // Questions that are asked side by side are to be seen together: the others are put down
        // before the first is committed.
        tokio::task::yield_now().await;
        self.live.commit().await;
    }

    fn is_asking(&self) -> bool {
        self.live.cursor(|cursor| cursor.history().questions().next().is_some())
    }

    /// An answer that is there counts, however late it came: it is looked for before the time is.
    async fn answer(&self, key: &str, until_ms: Option<i64>) -> Answer {
        let mut answers = self.live.answers.subscribe();
        let _waiting = self.live.waiting(until_ms);
        let answered = async {
            let found = answers.wait_for(|answers| answers.contains_key(key)).await;
            match found.ok().and_then(|answers| answers.get(key).cloned()) {
                Some(answer) => answer,
                // The sender lives as long as the task.
                None => std::future::pending().await,
            }
        };
        let expired = async {
            match until_ms {
                Some(until_ms) => self.live.shared.clock.sleep_until(until_ms).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answered => answer,
            () = expired => Answer::Expired,
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
