//! A call whose outcome was lost. It is never made again on a guess: a tool that knows, or a person
//! who looked, says what happened, or it stays unknown.
//!
//! What a check tool answers is recorded as what follows from it, so that a later version which
//! reads such answers otherwise does not change what a task was told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Bench, Call, Offered};
use crate::agent::{InDoubt, Invocation, Tool, ToolOutput};
use crate::durable::Answer;
use crate::durable::doubt::form;
use crate::journal::{Effect, Failure, FailureKind, Payload, StepKind};
use crate::limits;

/// An attempt at a call that may have taken effect.
pub(super) struct Lost {
    pub(super) failure: Failure,
    /// When it was begun, in Unix milliseconds, as the journal has it.
    pub(super) started_at_ms: Option<i64>,
    /// How many attempts at this call were lost before.
    pub(super) before: u32,
    /// Whether the server had made a task of it, and lost that.
    pub(super) of_task: bool,
}

/// What follows.
pub(super) enum Settled {
    /// Nothing more is done; the text is for the model.
    Known(String),
    /// It did not happen: the call is made again, under the same idempotency key.
    Again,
}

/// Settles a doubt as the agent's file says: by a check, by a person, or not at all.
///
/// # Errors
/// When a person, or the agent's policy, ends the task.
pub(super) async fn settle(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    lost: Lost,
) -> Result<Settled, Failure> {
    // A server that dies of every call must not be called for ever.
    let may_repeat = lost.before + 1 < bench.agent.retry().attempts;
    let check = bench.agent.check_of(&tool.server, &tool.name);
    let check = check.and_then(|check| bench.checks.get(check)).filter(|_| may_repeat);
    let mut said = String::new();
    if let Some(check) = check {
        match look(bench, call, tool, check).await? {
            Found::Happened { result } => return Ok(Settled::Known(result)),
            Found::DidNotHappen => return Ok(Settled::Again),
            Found::Unclear { said: unclear } => {
                said = format!("{} was asked and says: {unclear}", check.tool.pattern());
            }
        }
    }
    let Lost { failure, .. } = &lost;
    match bench.agent.in_doubt_of(&tool.server, &tool.name) {
        InDoubt::Ask => ask(call, tool, &lost, &said).await,
        // A call that was lost was made again by its own step already.
        InDoubt::Retry if lost.of_task && lost.before < limits::LOST_TASK_CALLS => {
            Ok(Settled::Again)
        }
        InDoubt::Retry if check.is_some() => Ok(Settled::Again),
        InDoubt::Retry | InDoubt::Tell => Ok(unknown(failure, &said)),
        InDoubt::Fail => Err(Failure::in_doubt(format!(
            "the outcome of {} is unknown and the agent's in_doubt policy is to fail: {failure} {said}",
            tool.pattern()
        ))),
    }
}

fn unknown(failure: &Failure, more: &str) -> Settled {
    let more = if more.is_empty() { String::new() } else { format!(" {more}") };
    Settled::Known(format!(
        "The outcome of this call is unknown: it was sent and may have taken effect, and its \
         answer was lost. Do not simply repeat it. Find out first whether it took effect. \
         ({failure}){more}"
    ))
}

/// What a check has found.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    Happened {
        /// What the call is taken to have answered.
        result: String,
    },
    DidNotHappen,
    Unclear {
        said: String,
    },
}

/// Calls the check tool. It is named in the agent's file as one that only looks, and so it is called
/// again after a crash whatever its annotations say.
async fn look(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    check: &Offered,
) -> Result<Found, Failure> {
    let key = call.turn.idempotency_key(&call.step);
    let arguments = match arguments(call, tool, check, &key) {
        Ok(arguments) => arguments,
        Err(why) => return Ok(Found::Unclear { said: why }),
    };
    let Tool { server, name, .. } = &check.tool;
    let found = call
        .scope()
        .step("check", Effect::Pure)
        .kind(StepKind::Tool)
        .input(&json!({"tool": check.tool.pattern(), "arguments": arguments}))
        .retry(bench.agent.retry())
        .idempotency_key(key)
        .run(|attempt| {
            let arguments = &arguments;
            async move {
                let call = Invocation {
                    servers: bench.agent.servers(),
                    server,
                    tool: name,
                    arguments,
                    idempotency_key: &attempt.idempotency_key,
                    as_task: false,
                    answers: None,
                };
                bench.toolbox.call(call).await?.output().map(read)
            }
        })
        .await;
    match found {
        Err(failure) if failure.kind != FailureKind::Mismatch => {
            Ok(Found::Unclear { said: failure.to_string() })
        }
        found => found,
    }
}

/// What a check tool is called with: of the arguments of the call those that it has too, and of
/// `idempotencyKey` (or `idempotency_key`), `tool` and `arguments` those that it asks for.
fn arguments(call: &Call<'_>, tool: &Tool, check: &Offered, key: &str) -> Result<Payload, String> {
    let unreadable = |error: serde_json::Error| format!("it cannot be called: {error}");
    let schema: Value = check.tool.input_schema.read().map_err(unreadable)?;
    let takes = |name: &str| schema["properties"].get(name).is_some();
    let original: Map<String, Value> = call.arguments.read().map_err(unreadable)?;
    let about = [
        ("idempotencyKey", json!(key)),
        ("idempotency_key", json!(key)),
        ("tool", json!(tool.pattern())),
        ("arguments", json!(original)),
    ];
    let about = about.map(|(name, value)| (name.to_owned(), value));
    // What the call itself says under such a name comes last, and so stands.
    let all = about.into_iter().chain(original.clone());
    let arguments: Map<_, _> = all.filter(|(name, _)| takes(name)).collect();
    check.read(&Value::Object(arguments).to_string())
}

/// `{"happened": true, "result": ...}` or `{"happened": false}` settles the doubt, as the tool's
/// structured content or, without one, as its text. Anything else does not.
fn read(output: ToolOutput) -> Found {
    let ToolOutput { mut text, is_error, structured } = output;
    let value = structured.or_else(|| serde_json::from_str(&text).ok()).unwrap_or_default();
    match value.get("happened").and_then(Value::as_bool) {
        Some(true) if !is_error => Found::Happened {
            result: match value.get("result") {
                None | Some(Value::Null) => text,
                Some(Value::String(result)) => result.clone(),
                Some(result) => result.to_string(),
            },
        },
        Some(false) if !is_error => Found::DidNotHappen,
        _ => {
            text.truncate(text.floor_char_boundary(limits::CHECK_SAID_BYTES));
            Found::Unclear { said: text }
        }
    }
}

/// Asks a person. Who declines, puts the form away or does not answer in time leaves the doubt as it
/// is: the call is not repeated, and the model is told that nobody knows.
async fn ask(call: &Call<'_>, tool: &Tool, lost: &Lost, said: &str) -> Result<Settled, Failure> {
    let Lost { failure, started_at_ms, .. } = lost;
    let started = started_at_ms.and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok());
    let mut message = format!(
        "It is unknown whether a call has taken effect: its answer was lost.\n\nTool: {}\n\
         Arguments: {}\nStarted: {}\nWhat went wrong: {failure}",
        tool.pattern(),
        call.arguments.json(),
        started.map_or_else(|| "unknown".to_owned(), |at| at.to_string()),
    );
    if !said.is_empty() {
        message.push('\n');
        message.push_str(said);
    }
    message.push_str(
        "\n\nLook there, and say what happened. If nobody can tell, decline: the agent goes on \
         without knowing.",
    );
    let content = match call.ask(&call.scope(), "doubt", message, &form("the agent")).await? {
        Answer::Accept { content } => content,
        Answer::Decline | Answer::Cancel => {
            return Ok(unknown(failure, "A person was asked and does not know either."));
        }
        Answer::Expired => return Ok(unknown(failure, "A person was asked and did not answer.")),
    };
    let text = |key: &str| content.get(key).and_then(Value::as_str);
    match text("outcome") {
        Some("happened") => {
            let result = text("result").filter(|result| !result.trim().is_empty());
            Ok(Settled::Known(result.map_or_else(
                || {
                    "The call took effect, as a person has found out. Its answer is lost."
                        .to_owned()
                },
                str::to_owned,
            )))
        }
        Some("run") => Ok(Settled::Again),
        _ => Err(Failure::in_doubt(format!(
            "stopped by a person, who was asked whether {} has taken effect: {failure}",
            tool.pattern()
        ))),
    }
}
