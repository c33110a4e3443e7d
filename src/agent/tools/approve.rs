//! A person's yes before a call is made. It covers what stands in the form and nothing else: the
//! question, with the tool and its exact arguments in it, is what the journal holds the answer to.

use serde_json::{Map, Value, json};

use super::{Call, Offered};
use crate::durable::Answer;
use crate::journal::{Failure, Payload};
use crate::limits;

/// What a person has said of a call.
pub(super) enum Verdict {
    /// It is made as it is.
    Approved,
    /// It is made with these arguments, which fit the tool's schema.
    Changed(Payload),
    /// It is not made; the text tells the model why.
    Refused(String),
}

/// Asks whether the call may be made. Arguments that were changed into something that does not fit
/// are shown again with what is wrong.
///
/// # Errors
/// When nobody answered in time and the agent's file says that the task fails then.
pub(super) async fn ask(call: &Call<'_>, offered: &Offered) -> Result<Verdict, Failure> {
    let scope = call.scope();
    let mut complaint = String::new();
    for _ in 0..limits::FORM_TRIES {
        let message = format!(
            "{complaint}The agent {} wants to call a tool.\n\nTool: {}\nArguments: {}",
            call.agent.name(),
            offered.tool.pattern(),
            call.arguments.json()
        );
        let answer = call.ask(&scope, "approve", message, &form(call.arguments)).await?;
        let content = match answer {
            Answer::Accept { content } => content,
            Answer::Decline => return Ok(refused("A person has refused it.")),
            Answer::Cancel => return Ok(refused("A person was asked, and gave no answer.")),
            Answer::Expired => return Ok(refused("Nobody approved it in time.")),
        };
        if text(&content, "decision") != Some("approve") {
            let why = text(&content, "reason").map(|reason| format!(" The reason: {reason}"));
            let why = why.unwrap_or_default();
            return Ok(refused(&format!("A person has refused it.{why}")));
        }
        match changed(&content, call, offered) {
            Ok(None) => return Ok(Verdict::Approved),
            Ok(Some(arguments)) => return Ok(Verdict::Changed(arguments)),
            Err(why) => complaint = format!("{why} Look again.\n\n"),
        }
    }
    Ok(refused("A person changed the arguments into some that do not fit."))
}

fn refused(why: &str) -> Verdict {
    Verdict::Refused(format!("This call was not made. {why}"))
}

/// A text of the form that is not blank.
fn text<'c>(content: &'c Map<String, Value>, key: &str) -> Option<&'c str> {
    content.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// The arguments of the form where they are others than the call's.
fn changed(
    content: &Map<String, Value>,
    call: &Call<'_>,
    offered: &Offered,
) -> Result<Option<Payload>, String> {
    let Some(text) = text(content, "arguments") else { return Ok(None) };
    let arguments = offered.read(text)?;
    Ok((arguments != *call.arguments).then_some(arguments))
}

fn form(arguments: &Payload) -> Value {
    json!({
        "type": "object",
        "properties": {
            "decision": {
                "type": "string",
                "enum": ["approve", "refuse"],
                "description": "Whether the call is made",
            },
            "reason": {
                "type": "string",
                "description": "Why not. The agent is told",
            },
            "arguments": {
                "type": "string",
                "description": "Other arguments to make the call with, as JSON. The agent is told",
                "default": arguments.json(),
            },
        },
        "required": ["decision"],
    })
}
