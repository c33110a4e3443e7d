//! Other outcomes for steps, as a command line words them, in the form in which steps of that kind keep
//! theirs.

use std::collections::BTreeMap;

use relight::agent::{AGENT_FUNCTION, Answered, Called, Outcome, Reply, Spent, ToolOutput};
use relight::durable::{Answer, Question};
use relight::journal::{History, Payload, Step, StepKind, StepState};
use serde_json::{Map, Value};

use super::super::Error;

/// What a model call's outcome may have; anything else is an answer that is JSON.
const OF_OUTCOMES: [&str; 5] = ["text", "calls", "pending", "too_long", "lost"];

/// Reads `STEP=VALUE` for each.
///
/// # Errors
/// When a value is none for its step; the message says what would be.
pub(super) fn edits(
    edits: &[String],
    history: &History,
) -> Result<BTreeMap<String, Payload>, Error> {
    edits
        .iter()
        .map(|edit| {
            let Some((key, text)) = edit.split_once('=') else {
                return Err(Error::Usage(format!("--edit {edit:?}: write STEP=VALUE")));
            };
            // A step that is not there is named by whoever forks, with those that are.
            let outcome = match history.step(key) {
                Some(step) => outcome(step, text),
                None => Ok(Payload::null()),
            };
            match outcome {
                Ok(outcome) => Ok((key.to_owned(), outcome)),
                Err(why) => Err(Error::Usage(format!("--edit {key}=...: {why}"))),
            }
        })
        .collect()
}

fn outcome(step: &Step, text: &str) -> Result<Payload, String> {
    let value = serde_json::from_str::<Value>(text).ok();
    let edited = match step.kind {
        StepKind::Tool => tool(step, text, value),
        StepKind::Model => model(step, text, value),
        StepKind::Child => child(step, text, value),
        StepKind::Question => return question(step, text, value),
        StepKind::Run => as_it_is(text, value),
        StepKind::Clock if value.as_ref().is_some_and(Value::is_i64) => as_it_is(text, value),
        StepKind::Clock => return Err("write a time in Unix milliseconds".to_owned()),
        StepKind::Timer => return Err("a sleep has no outcome but its end".to_owned()),
    };
    edited.map_err(|error| error.to_string())
}

fn as_it_is(text: &str, value: Option<Value>) -> Result<Payload, serde_json::Error> {
    if value.is_some() { Payload::from_json(text.to_owned()) } else { Payload::of(text) }
}

/// What a tool answered.
fn tool(step: &Step, text: &str, value: Option<Value>) -> Result<Payload, serde_json::Error> {
    let recorded = match &step.state {
        StepState::Completed(output) => Some(output),
        _ => None,
    };
    // What relight itself records beside calls is in a form of its own.
    let is_call = recorded.is_none_or(|output| output.read::<Called>().is_ok());
    let is_text = recorded.is_some_and(|output| output.read::<String>().is_ok());
    let is_whole = value.is_some() && serde_json::from_str::<Called>(text).is_ok();
    match (is_call, is_text) {
        (true, _) if !is_whole => {
            Payload::of(&ToolOutput { text: text.to_owned(), ..ToolOutput::default() })
        }
        (_, true) => Payload::of(text),
        _ => as_it_is(text, value),
    }
}

/// What a model said. The call stays paid for.
fn model(step: &Step, text: &str, value: Option<Value>) -> Result<Payload, serde_json::Error> {
    let has = |key: &str| value.as_ref().is_some_and(|value| value.get(key).is_some());
    if OF_OUTCOMES.iter().any(|key| has(key)) && serde_json::from_str::<Outcome>(text).is_ok() {
        return Payload::from_json(text.to_owned());
    }
    let usage = match &step.state {
        StepState::Completed(output) => match output.read() {
            Ok(Outcome::Reply(reply)) => reply.usage,
            _ => None,
        },
        _ => None,
    };
    Payload::of(&Reply { text: Some(text.to_owned()), usage, ..Reply::default() })
}

/// What an agent answered, or a child of another function. An agent's work stays paid for.
fn child(step: &Step, text: &str, value: Option<Value>) -> Result<Payload, serde_json::Error> {
    let shown: Value = step.shown.as_ref().and_then(|it| it.read().ok()).unwrap_or_default();
    let answer = as_it_is(text, value)?;
    if shown["function"] != AGENT_FUNCTION {
        return Ok(answer);
    }
    let spent = match &step.state {
        StepState::Completed(output) => output.read::<Answered>().ok().map(|it| it.spent),
        StepState::Failed(failure) => {
            failure.details.as_ref().and_then(|it| it.read::<Spent>().ok())
        }
        _ => None,
    };
    Payload::of(&Answered { answer, spent: spent.unwrap_or_default() })
}

/// What a person filled in.
fn question(step: &Step, text: &str, value: Option<Value>) -> Result<Payload, String> {
    let answer = match (text, value) {
        ("decline", _) => Answer::Decline,
        ("cancel", _) => Answer::Cancel,
        (_, Some(value)) if value.get("action").is_some() => {
            serde_json::from_value(value).map_err(|error| error.to_string())?
        }
        (_, Some(Value::Object(content))) => Answer::Accept { content },
        (text, value) => {
            let fields = fields(step);
            let [field] = fields.as_slice() else {
                let fields = fields.join(", ");
                return Err(format!(
                    "write the form as a JSON object with {fields}, or decline, or cancel"
                ));
            };
            let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
            Answer::Accept { content: Map::from_iter([(field.clone(), value)]) }
        }
    };
    Payload::of(&answer).map_err(|error| error.to_string())
}

/// The names of the fields of a question's form.
fn fields(step: &Step) -> Vec<String> {
    let asked = step.shown.as_ref().and_then(|shown| shown.read::<Question>().ok());
    let schema: Value = asked.and_then(|asked| asked.schema.read().ok()).unwrap_or_default();
    let properties = schema["properties"].as_object();
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}
