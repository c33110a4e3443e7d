//! Questions to people: a step whose outcome comes from outside.
//!
//! The question's key is the step's key, so it is unique for the task's life, and a question that
//! was asked before a crash is the same question after it. While it is open the task is
//! `input_required` and, after a moment, parked, until it is answered or its time is over.

use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::context::{Awaited, Context, Open};
use super::{Ask, step};
use crate::journal::{Effect, Event, Failure, FailureKind, Payload, StepKind};
use crate::limits;

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

/// How far a question is.
enum Put {
    Over { key: String, outcome: Result<Payload, Failure> },
    Open(Asked),
}

/// A question that is open.
struct Asked {
    open: Open,
    until_ms: Option<i64>,
    /// Whether it was asked just now.
    is_new: bool,
}

impl Context {
    /// Asks a person and waits for the answer, for weeks if need be.
    ///
    /// # Errors
    /// When the name or the question is too long, or a recorded answer cannot be read.
    pub async fn ask(&self, name: &str, question: &Question) -> Result<Answer, Failure> {
        let Asked { open, until_ms, .. } = match self.put_question(name, question).await? {
            Put::Over { key, outcome } => return step::read(&key, &outcome?),
            Put::Open(asked) => asked,
        };
        let answer = self.answer(&open.key, until_ms).await;
        self.answered(&open.key, &answer).await?;
        Ok(answer)
    }

    /// As [`Context::ask`], for a question that is asked elsewhere: `still` looks now and then
    /// whether it still is, and one that is not any more is taken back, which is `None`.
    ///
    /// Between two looks lies at least `every_ms`, and up to half of the question's age: the task is
    /// parked meanwhile.
    ///
    /// # Errors
    /// As [`Context::ask`]. A look that fails is one that has found nothing.
    pub async fn ask_while<F, Fut>(
        &self,
        name: &str,
        question: &Question,
        every_ms: u64,
        still: F,
    ) -> Result<Option<Answer>, Failure>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<bool, Failure>>,
    {
        let asked = match self.put_question(name, question).await? {
            Put::Over { outcome: Err(failure), .. } if failure.kind == FailureKind::Cancelled => {
                return Ok(None);
            }
            Put::Over { key, outcome } => return step::read(&key, &outcome?).map(Some),
            Put::Open(asked) => asked,
        };
        let key = &asked.open.key;
        let answer = tokio::select! {
            biased;
            answer = self.answer(key, asked.until_ms) => Some(answer),
            () = self.until_not_asked(&asked, every_ms, still) => None,
        };
        match &answer {
            Some(answer) => self.answered(key, answer).await?,
            None => self.settle(taken_back(key.clone())).await,
        }
        Ok(answer)
    }

    /// Asks the question, unless it was asked before.
    async fn put_question(&self, name: &str, question: &Question) -> Result<Put, Failure> {
        let name = self.scoped(name)?;
        let shown = Payload::of(question)?;
        step::bounded(&shown, || format!("question {name:?}"))?;
        let open = self.open(&name).await;
        let ask = asked(shown);
        Ok(match self.awaited(&open.key, &ask).await {
            Awaited::Over(outcome) => Put::Over { key: open.key.clone(), outcome },
            Awaited::Begun { until_ms } => Put::Open(Asked { open, until_ms, is_new: false }),
            Awaited::New => {
                let until_ms = self.put_for(&open.key, ask, question).await;
                Put::Open(Asked { open, until_ms, is_new: true })
            }
        })
    }

    /// Commits that the question is open for as long as it says; until when that is, in Unix
    /// milliseconds.
    pub(super) async fn put_for(&self, key: &str, ask: Ask, question: &Question) -> Option<i64> {
        let now_ms = self.live.shared.clock.now_ms();
        let until_ms = question.expire_ms.map(|ms| now_ms.saturating_add_unsigned(ms));
        self.put(key, ask, until_ms).await;
        until_ms
    }

    /// Returns when two looks in a row, a moment apart, have found that nobody asks any more: who is
    /// answered one of several questions may seem to wait for nothing for a moment.
    async fn until_not_asked<F, Fut>(&self, asked: &Asked, every_ms: u64, still: F)
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<bool, Failure>>,
    {
        let (key, clock) = (&asked.open.key, &self.live.shared.clock);
        let asked_at_ms =
            self.live.cursor(|cursor| cursor.history().step(key).map(|step| step.started_at_ms));
        let mut is_due = !asked.is_new;
        let mut was_gone = false;
        loop {
            if !is_due {
                let now_ms = clock.now_ms();
                let age_ms = u64::try_from(now_ms - asked_at_ms.unwrap_or(now_ms));
                let wait_ms = match was_gone {
                    true => every_ms.clamp(limits::POLL_MIN_MS, limits::POLL_MS),
                    false => (age_ms.unwrap_or_default() / 2)
                        .max(every_ms)
                        .clamp(limits::POLL_MIN_MS, limits::QUESTION_LOOK_MAX_MS),
                };
                self.live.wait_until(now_ms.saturating_add_unsigned(wait_ms)).await;
            }
            is_due = false;
            self.live.gate().await;
            let _running = self.live.running();
            match still().await {
                Ok(true) => was_gone = false,
                Ok(false) if was_gone => return,
                Ok(false) => was_gone = true,
                Err(failure) => tracing::debug!(key, %failure, "looking again later"),
            }
        }
    }

    /// Commits an answer.
    pub(super) async fn answered(&self, key: &str, answer: &Answer) -> Result<(), Failure> {
        let (key, output) = (key.to_owned(), Payload::of(answer)?);
        self.settle(Event::StepCompleted { key, output }).await;
        Ok(())
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
    pub(super) async fn answer(&self, key: &str, until_ms: Option<i64>) -> Answer {
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

/// The end of a question that nobody asks any more.
pub(super) fn taken_back(key: String) -> Event {
    let failure = Failure::new(FailureKind::Cancelled, "it is not asked any more");
    Event::StepFailed { key, failure }
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
