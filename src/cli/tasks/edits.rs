//! Other outcomes for steps, as a command line words them, in the form in which steps of that kind keep
//! theirs.

use std::collections::BTreeMap;

use relight::agent::{AGENT_FUNCTION, Answered, Called, Outcome, Reply, Spent, ToolOutput};
use relight::durable::{Answer, Question};
use relight::journal::{History, Payload, Step, StepKind, StepState};
use serde_json::{Map, Value};

use super::super::Error;
use super::super::story::part;

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
                Some(step) => outcome(key, step, text),
                None => Ok(Payload::null()),
            };
            match outcome {
                Ok(outcome) => Ok((key.to_owned(), outcome)),
                Err(why) => Err(Error::Usage(format!("--edit {key}=...: {why}"))),
            }
        })
        .collect()
}

fn outcome(key: &str, step: &Step, text: &str) -> Result<Payload, String> {
    let value = serde_json::from_str::<Value>(text).ok();
    let edited = match step.kind {
        // What a check has found is no tool's answer any more.
        StepKind::Tool if part(key) == "check" => as_it_is(text, value),
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

#[cfg(test)]
mod tests {
    use relight::journal::{Effect, Hash};
    use serde_json::json;

    use super::*;

    /// What an edit of a step of this kind, which was shown so and had this outcome, comes to.
    #[track_caller]
    fn check(
        kind: StepKind,
        shown: &Value,
        output: &Value,
        text: &str,
        expected: Result<Value, &str>,
    ) {
        let step = Step {
            kind,
            effect: Effect::Pure,
            input: Hash::default(),
            shown: Some(Payload::of(shown).unwrap()),
            stands: false,
            attempts: 1,
            started_at_ms: 0,
            until_ms: None,
            state: StepState::Completed(Payload::of(output).unwrap()),
        };
        let key = if shown["check"] == true { "turn-1/tool-1/check" } else { "turn-1/tool-1" };
        let edited = outcome(key, &step, text).map(|edited| edited.read::<Value>().unwrap());
        match (edited, expected) {
            (Ok(edited), Ok(expected)) => assert_eq!(edited, expected, "{text}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (edited, expected) => panic!("{edited:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_tool_answers_with_a_text_whatever_it_looks_like() {
        let answered = json!({"text": "paid"});
        for (text, expected) in [
            ("no", json!({"text": "no"})),
            ("[1]", json!({"text": "[1]"})),
            (r#"{"ok":false}"#, json!({"text": r#"{"ok":false}"#})),
            (r#"{"text":"no","is_error":true}"#, json!({"text": "no", "is_error": true})),
        ] {
            check(StepKind::Tool, &json!({}), &answered, text, Ok(expected));
        }
        // The text of a refused call, and what a check has found.
        check(StepKind::Tool, &json!({}), &json!("no such tool"), "5", Ok(json!("5")));
        let found = r#"{"happened":{"result":"x"}}"#;
        let happened = serde_json::from_str(found).unwrap();
        let (of_check, not) = (json!({"check": true}), json!("did_not_happen"));
        check(StepKind::Tool, &of_check, &not, found, Ok(happened));
        check(StepKind::Tool, &of_check, &json!({}), "did_not_happen", Ok(not.clone()));
    }

    #[test]
    fn a_reply_and_an_agents_answer_stay_paid_for() {
        let usage = json!({"input_tokens": 5, "output_tokens": 1});
        let reply = json!({"text": "yes", "finish": "stop", "usage": usage});
        let said = |text: &str| json!({"text": text, "finish": "stop", "usage": usage});
        check(StepKind::Model, &json!({}), &reply, "no", Ok(said("no")));
        check(
            StepKind::Model,
            &json!({}),
            &reply,
            r#"{"sound":true}"#,
            Ok(said(r#"{"sound":true}"#)),
        );
        let calls = r#"{"calls":[{"id":"a","name":"pay","arguments":"{}"}]}"#;
        let expected = serde_json::from_str(calls).unwrap();
        check(StepKind::Model, &json!({}), &reply, calls, Ok(expected));

        let answered =
            |answer: Value| json!({"answer": answer, "spent": {"tokens": 9, "microdollars": 0}});
        let agent = json!({"function": "agent", "name": "reader"});
        check(StepKind::Child, &agent, &answered(json!("x")), "y", Ok(answered(json!("y"))));
        let sound = answered(json!({"sound": true}));
        check(StepKind::Child, &agent, &answered(json!("x")), r#"{"sound":true}"#, Ok(sound));
        check(StepKind::Child, &json!({"function": "f"}), &json!(1), "2", Ok(json!(2)));
    }

    #[test]
    fn a_form_is_filled_in_or_declined() {
        let form = |fields: &[&str]| {
            let fields =
                fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"})));
            let schema = json!({"type": "object", "properties": Map::from_iter(fields)});
            json!({"message": "Where?", "schema": schema})
        };
        let accepted = |content: Value| json!({"action": "accept", "content": content});
        let (one, two) = (form(&["mail"]), form(&["mail", "name"]));
        let was = accepted(json!({}));
        for (shown, text, expected) in [
            (&one, "a@b", Ok(accepted(json!({"mail": "a@b"})))),
            (&one, r#"{"mail":"a@b"}"#, Ok(accepted(json!({"mail": "a@b"})))),
            (&two, "a@b", Err("a JSON object with mail, name, or decline, or cancel")),
            (&two, "decline", Ok(json!({"action": "decline"}))),
            (&two, r#"{"action":"cancel"}"#, Ok(json!({"action": "cancel"}))),
            (&two, r#"{"action":"dance"}"#, Err("unknown variant")),
        ] {
            check(StepKind::Question, shown, &was, text, expected);
        }
    }

    #[test]
    fn code_returns_json_or_a_text_and_a_clock_a_number() {
        check(StepKind::Run, &json!({}), &json!(1), "[2]", Ok(json!([2])));
        check(StepKind::Run, &json!({}), &json!(1), "two", Ok(json!("two")));
        check(StepKind::Clock, &json!({}), &json!(1), "7", Ok(json!(7)));
        check(StepKind::Clock, &json!({}), &json!(1), "noon", Err("Unix milliseconds"));
        check(StepKind::Timer, &json!({}), &json!(null), "1", Err("no outcome but its end"));
    }
}
