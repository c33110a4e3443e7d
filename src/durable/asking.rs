//! Questions from within a step: of something whose answer is waited for as long as the step's own
//! code runs, such as a server that asks in the middle of a call.
//!
//! They belong to the step, not to the code around it, which asks for nothing by their keys. A
//! repeated attempt that asks the same again has the answer that was given, and what the step leaves
//! unanswered is taken back with its outcome.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use super::ask::{asked, taken_back};
use super::context::Awaited;
use super::cursor::ASKED_WITHIN;
use super::live::Live;
use super::{Answer, Context, Question, step};
use crate::journal::{Event, Failure, Hash, History, Payload, StepState};

/// What a step's code is told about the attempt that it makes.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Task id and step key, unless the step was given another: the same on every attempt, after every
    /// crash. To be handed to the other side, so that it can tell a repetition from a new request.
    pub idempotency_key: String,
    asking: Asking,
}

impl Attempt {
    pub(super) fn new(live: &Arc<Live>, step: &str, number: u32, idempotency_key: String) -> Self {
        let (live, step) = (Arc::clone(live), step.to_owned());
        Self { number, idempotency_key, asking: Asking { live, step, asked: Arc::default() } }
    }

    /// Asks a person while the step runs, for whoever the step has to do with outside and who asks
    /// in the middle of it. The task is not parked meanwhile. A repeated attempt that asks the same
    /// has the same answer. `gone` is over when nobody waits for the answer any more: then the
    /// question is taken back, and `None` is the answer.
    ///
    /// # Errors
    /// When the question is too long, or a recorded answer cannot be read.
    pub async fn ask(
        &self,
        question: &Question,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Answer>, Failure> {
        self.asking.ask(question, gone).await
    }
}

/// How the code of a step asks people.
#[derive(Debug, Clone)]
struct Asking {
    live: Arc<Live>,
    step: String,
    /// How often this attempt has asked each question.
    asked: Arc<Mutex<HashMap<Hash, usize>>>,
}

impl Asking {
    /// See [`Attempt::ask`].
    async fn ask(
        &self,
        question: &Question,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Answer>, Failure> {
        let shown = Payload::of(question)?;
        step::bounded(&shown, || format!("a question of step {:?}", self.step))?;
        let ctx = Context::new(Arc::clone(&self.live));
        let key = self.key(shown.hash());
        let ask = asked(shown);
        let until_ms = match ctx.awaited(&key, &ask).await {
            Awaited::Over(outcome) => return step::read(&key, &outcome?).map(Some),
            Awaited::Begun { until_ms } => until_ms,
            Awaited::New => ctx.put_for(&key, ask, question).await,
        };
        let answer = tokio::select! {
            biased;
            answer = ctx.answer(&key, until_ms) => Some(answer),
            () = gone => None,
        };
        match &answer {
            Some(answer) => ctx.answered(&key, answer).await?,
            None => ctx.settle(taken_back(key)).await,
        }
        Ok(answer)
    }

    /// The key of the question that this attempt asks now. Those that were taken back are over.
    fn key(&self, question: Hash) -> String {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = asked.entry(question).or_default();
        let (place, hash) = (*before, question.to_string());
        *before += 1;
        let short = hash.get(..SHORT).unwrap_or(&hash);
        let base = format!("{}{ASKED_WITHIN}{short}", self.step);
        self.live.cursor(|cursor| {
            let history = cursor.history();
            let keys =
                (1..).map(|n: u32| if n == 1 { base.clone() } else { format!("{base}-{n}") });
            let mut keys = keys.filter(|key| !is_taken_back(history, key));
            keys.nth(place).unwrap_or(base.clone())
        })
    }
}

/// How many letters of a question's hash stand in its key.
const SHORT: usize = 12;

fn is_taken_back(history: &History, key: &str) -> bool {
    history.step(key).is_some_and(|step| matches!(step.state, StepState::Failed(_)))
}

/// Takes back the questions that a step leaves open. It is committed with what is put down next.
pub(super) fn take_back_all(live: &Live, step: &str) {
    let prefix = format!("{step}{ASKED_WITHIN}");
    let open: Vec<_> = live.cursor(|cursor| {
        let open = cursor.history().questions().map(|(key, _)| key);
        open.filter(|key| key.starts_with(&prefix)).map(str::to_owned).collect()
    });
    if open.is_empty() {
        return;
    }
    open.into_iter().for_each(|key| live.record(taken_back(key)));
    if live.cursor(|cursor| cursor.history().questions().next().is_none()) {
        live.record(Event::InputReceived {});
    }
}

impl Context {
    /// What the steps of this name in this scope have asked from within and nobody has answered in
    /// time, as the journal has it. Costs no step.
    pub fn unanswered_within(&self, name: &str) -> Option<Question> {
        let prefix = self.within(name);
        self.live.cursor(|cursor| {
            let within = |key: &str| key.starts_with(&prefix) && key.contains(ASKED_WITHIN);
            let asked = cursor.history().asked().filter(|(key, _)| within(key));
            let mut expired = asked.filter(|(_, step)| match &step.state {
                StepState::Completed(answer) => matches!(answer.read(), Ok(Answer::Expired)),
                _ => false,
            });
            expired.next()?.1.shown.as_ref()?.read().ok()
        })
    }
}
