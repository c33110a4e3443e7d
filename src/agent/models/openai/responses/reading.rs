//! From a response object to what became of the call. No I/O, no clock.
//!
//! Lenient, as everything is that was paid for: what a server leaves out or adds does no harm.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::wire::RESPONSE_OUTPUT;
use crate::agent::models::fault::Said;
use crate::agent::{Finish, Reply, ToolCall, Usage};
use crate::limits;

/// What a response object says.
#[derive(Debug)]
pub(super) enum Reading {
    /// It is being worked on; the id to fetch it by.
    Working(String),
    /// It has ended with a reply.
    Whole(Reply),
    /// It has ended with an error.
    Failed(Said),
    /// Somebody has stopped it.
    Cancelled,
    /// It is an error that came with a status of success.
    Refused(Said),
    /// It is something else.
    Unreadable(&'static str),
}

impl Reading {
    /// Reads a response of `model`, by the name that it was asked for with.
    pub(super) fn of(response: Value, model: &str) -> Self {
        let error = response.get("error").filter(|error| !error.is_null());
        let status = response.get("status").and_then(Value::as_str);
        match (status, error) {
            (Some("queued" | "in_progress"), _) => match id(&response) {
                Some(id) => Self::Working(id.to_owned()),
                None => Self::Unreadable("it is worked on, and has no id to fetch it by"),
            },
            (Some("cancelled"), _) => Self::Cancelled,
            (Some("failed"), Some(error)) => Self::Failed(Said::of_json(error)),
            (Some("failed"), None) => Self::Failed(Said::default()),
            (None, Some(_)) => Self::Refused(Said::of_json(&response)),
            _ if response.get("output").is_some_and(Value::is_array) => {
                match reply(response, model) {
                    Some(reply) => Self::Whole(reply),
                    None => Self::Unreadable("it calls a tool without a name"),
                }
            }
            _ => Self::Unreadable("it is no response object"),
        }
    }
}

/// The id, if it can stand in a path.
fn id(response: &Value) -> Option<&str> {
    let fits = |id: &&str| {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        !id.is_empty() && id.len() <= limits::RESPONSE_ID_MAX_BYTES && id.bytes().all(plain)
    };
    response.get("id")?.as_str().filter(fits)
}

fn reply(mut response: Value, model: &str) -> Option<Reply> {
    let text_of = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let base = id(&response).unwrap_or("call").to_owned();
    let usage = usage(&response);
    let served = text_of(&response, "model");
    let incomplete = response.get("incomplete_details").and_then(|why| text_of(why, "reason"));
    let finish = match incomplete.as_deref() {
        Some("content_filter") => Finish::Filtered,
        Some(_) => Finish::Length,
        None => Finish::Stop,
    };
    let stored = response.get("store") != Some(&Value::Bool(false));
    let mut items = match response.get_mut("output").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    // Reasoning that the server does not keep can only be sent back whole.
    let whole = |item: &Value| item.get("encrypted_content").is_some_and(Value::is_string);
    items.retain(|item| stored || kind(item) != "reasoning" || whole(item));

    let (mut text, mut refusal, mut calls) = (String::new(), String::new(), Vec::new());
    let mut given = HashSet::new();
    for (place, item) in items.iter_mut().enumerate() {
        match kind(item) {
            "message" => {
                for part in item.get("content").and_then(Value::as_array).into_iter().flatten() {
                    text.extend(text_of(part, "text"));
                    refusal.extend(text_of(part, "refusal"));
                }
            }
            "function_call" => {
                let name = text_of(item, "name").filter(|name| !name.is_empty())?;
                let mut id = text_of(item, "call_id").unwrap_or_default();
                while id.is_empty() || !given.insert(id.clone()) {
                    id = format!("{base}_{}", place + 1 + given.len());
                }
                let arguments = text_of(item, "arguments").unwrap_or_default();
                let empty = arguments.trim().is_empty();
                let arguments = if empty { "{}".to_owned() } else { arguments };
                // What goes back is what the conversation has.
                item["call_id"] = json!(id);
                item["arguments"] = json!(arguments);
                calls.push(ToolCall { id, name, arguments });
            }
            _ => {}
        }
    }
    // A refusal is what the model has to say.
    let text = if text.is_empty() { refusal } else { text };
    let text = (!text.is_empty()).then_some(text);
    let mut reply = Reply { text, calls, finish, usage, model: served, ..Reply::default() };
    // Messages and calls alone are in the reply already.
    if items.iter().any(|item| !matches!(kind(item), "message" | "function_call")) {
        reply.extra.insert(RESPONSE_OUTPUT.to_owned(), json!({"model": model, "items": items}));
    }
    Some(reply)
}

fn kind(item: &Value) -> &str {
    item.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn usage(response: &Value) -> Option<Usage> {
    let usage = response.get("usage")?;
    let count = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    let usage = Usage {
        input_tokens: count(usage, "input_tokens"),
        output_tokens: count(usage, "output_tokens"),
        cached_tokens: usage.get("input_tokens_details").map_or(0, |of| count(of, "cached_tokens")),
    };
    (usage.input_tokens > 0 || usage.output_tokens > 0).then_some(usage)
}
