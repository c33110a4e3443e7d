//! A step in doubt, put to a person: whether it took effect, and what it returned.
//!
//! The question belongs to the step, under a key that its code never asks for. The words are taken
//! from the journal where it was asked before: what is known of the failure is less after a crash.

use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::ask::asked;
use super::context::Awaited;
use super::cursor::IN_DOUBT;
use super::live::{Halt, Live};
use super::{Answer, Context, Question, step};
use crate::journal::{Failure, History, Payload, Step, StepState};
use crate::limits;

/// What to do about a [`Effect::Once`](crate::journal::Effect::Once) step that may have taken effect without its outcome being
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doubt {
    /// Fail the step with [`FailureKind::InDoubt`](crate::journal::FailureKind::InDoubt), and let the code decide.
    #[default]
    Fail,
    /// Ask a person whether it happened, and what its outcome was: the step completes with that, or
    /// is run again, or the task ends as failed. Where the person does not know either, as
    /// [`Doubt::Fail`].
    Ask,
    /// Run it again under the same idempotency key. Right only where the other side honours the key,
    /// or where twice does no harm.
    Rerun,
}

/// What a person has said of a step in doubt.
pub(super) enum Settled {
    /// It took effect, and this is its outcome.
    Happened(Payload),
    /// It did not: it is run.
    DidNotHappen,
}

/// Asks what became of an attempt at a step whose outcome is of type `T`. A person who stops the task
/// ends it here: its code is not asked.
///
/// # Errors
/// In doubt, where nobody knows.
pub(super) async fn ask<T: DeserializeOwned>(
    live: &Arc<Live>,
    key: &str,
    attempt: u32,
    failure: Failure,
) -> Result<Settled, Failure> {
    let mut complaint = String::new();
    for n in 1..=limits::FORM_TRIES {
        let again = if n == 1 { String::new() } else { format!("-{n}") };
        let question_key = format!("{key}{IN_DOUBT}{attempt}{again}");
        let words = format!("{complaint}{}", words(live, key, &failure));
        let Answer::Accept { content } = answer(live, &question_key, words).await? else {
            return Err(failure);
        };
        match content.get("outcome").and_then(Value::as_str) {
            Some("happened") => match outcome::<T>(&content) {
                Ok(outcome) => return Ok(Settled::Happened(outcome)),
                Err(why) => complaint = format!("That result cannot be used: {why}.\n\n"),
            },
            Some("run") => return Ok(Settled::DidNotHappen),
            _ => {
                let why = format!(
                    "stopped by a person, who was asked whether step {key:?} has taken effect: {failure}"
                );
                return live.never(Halt::Fail(Failure::in_doubt(why))).await;
            }
        }
    }
    Err(failure)
}

/// Whether a step in doubt took effect, where a person has said so by now.
pub(super) fn settled(history: &History, key: &str, step: &Step) -> Option<bool> {
    let asked = format!("{key}{IN_DOUBT}{}", step.attempts);
    said(history.step(&asked)?)
}

/// What was said in answer to the question of a step in doubt: whether it took effect.
pub(crate) fn said(question: &Step) -> Option<bool> {
    let StepState::Completed(output) = &question.state else { return None };
    let Answer::Accept { content } = output.read().ok()? else { return None };
    match content.get("outcome").and_then(Value::as_str)? {
        "happened" => Some(true),
        "run" => Some(false),
        _ => None,
    }
}

async fn answer(live: &Arc<Live>, key: &str, words: String) -> Result<Answer, Failure> {
    let ctx = Context::new(Arc::clone(live));
    let before =
        live.cursor(|cursor| cursor.history().step(key).and_then(|step| step.shown.clone()));
    let question = match before {
        Some(shown) => shown,
        None => Payload::of(&Question::new(words, Payload::of(&form("the task"))?))?,
    };
    let ask = asked(question);
    match ctx.awaited(key, &ask).await {
        Awaited::Over(outcome) => return step::read(key, &outcome?),
        Awaited::Begun { .. } => {}
        Awaited::New => ctx.put(key, ask, None).await,
    }
    let answer = ctx.answer(key, None).await;
    ctx.answered(key, &answer).await?;
    Ok(answer)
}

fn words(live: &Live, key: &str, failure: &Failure) -> String {
    let (started_at_ms, input) = live.cursor(|cursor| {
        let step = cursor.history().step(key);
        (step.map(|step| step.started_at_ms), step.and_then(|step| step.shown.clone()))
    });
    let started = started_at_ms.and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok());
    let started = started.map_or_else(|| "unknown".to_owned(), |at| at.to_string());
    let input = input.as_ref().map_or("not recorded", Payload::json);
    let cut = input.floor_char_boundary(limits::CHECK_SAID_BYTES);
    format!(
        "It is unknown whether a step has taken effect: its outcome was lost.\n\nTask: {}\nStep: {key}\n\
         Input: {}\nStarted: {started}\nWhat went wrong: {failure}\n\nLook there, and say what \
         happened. If nobody can tell, decline.",
        live.task.name,
        &input[..cut],
    )
}

/// The form of such a question. `whom` is told what was the outcome.
pub(crate) fn form(whom: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "outcome": {
                "type": "string",
                "enum": ["happened", "run", "stop"],
                "description": "happened: it took effect. run: it did not, make the call again. \
                                stop: end the task as failed",
            },
            "result": {
                "type": "string",
                "description": format!("If it happened: what it answered, for {whom} to go on with"),
            },
        },
        "required": ["outcome"],
    })
}

/// What the person has written as a `T`: as JSON, or as the text itself.
fn outcome<T: DeserializeOwned>(content: &Map<String, Value>) -> Result<Payload, String> {
    let text = content.get("result").and_then(Value::as_str).unwrap_or_default().trim();
    let json = match text {
        "" => Ok(Value::Null),
        text => serde_json::from_str(text),
    };
    let value = json.ok().filter(|value| T::deserialize(value).is_ok());
    let value = value.unwrap_or_else(|| Value::from(text));
    T::deserialize(&value).map_err(|error| error.to_string())?;
    Payload::of(&value).map_err(|error| error.to_string())
}
