//! The request of the Responses API, as far as relight uses it.

use serde::Serialize;
use serde_json::Value;

use crate::agent::models::openai::schema::Format;
use crate::agent::{Message, Reply, Request, ToolSpec};
use crate::journal::Payload;

/// The key in [`Reply::extra`] under which the items of a response are kept as they came, where they
/// hold more than text and calls: `{"model": NAME, "items": [...]}`. Reasoning goes back to the model
/// that it came from, in its place before the call that it led to; another model is sent text and
/// calls alone.
pub(in crate::agent::models::openai) const RESPONSE_OUTPUT: &str = "response_output";

/// What is asked for as long as the server takes it.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    pub(super) background: bool,
    pub(super) format: Option<Format<'a>>,
}

/// The body of a request.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    /// With `store`, without which a server has nothing to fetch.
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    format: Typed<&'a Format<'a>>,
}

#[derive(Debug, Serialize)]
struct Typed<T> {
    r#type: &'static str,
    #[serde(flatten)]
    rest: T,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Kept(&'a Value),
    Made(Made<'a>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Made<'a> {
    Message { role: &'static str, content: &'a str },
    FunctionCall { call_id: &'a str, name: &'a str, arguments: &'a str },
    FunctionCallOutput { call_id: &'a str, output: &'a str },
}

/// `strict` must be said: left out, it means yes, and few tools have schemas of the strict kind.
#[derive(Debug, Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: &'a Payload,
    strict: bool,
}

impl<'a> Body<'a> {
    pub(super) fn new(request: &'a Request, offer: &'a Offer<'a>) -> Self {
        let mut input = Vec::new();
        for message in &request.messages {
            push(&mut input, message, &request.model);
        }
        let text = |rest| Text { format: Typed { r#type: "json_schema", rest } };
        Self {
            model: &request.model,
            instructions: &request.system,
            input,
            tools: request.tools.iter().map(Tool::of).collect(),
            temperature: request.settings.temperature,
            max_output_tokens: request.settings.max_output_tokens,
            text: offer.format.as_ref().map(text),
            background: offer.background.then_some(true),
            store: offer.background.then_some(true),
        }
    }
}

fn push<'a>(input: &mut Vec<Item<'a>>, message: &'a Message, model: &str) {
    let made =
        match message {
            Message::User { text } | Message::Summary { text, .. } => {
                Made::Message { role: "user", content: text }
            }
            Message::Tool { call_id, text } => Made::FunctionCallOutput { call_id, output: text },
            Message::Assistant(reply) => {
                match kept(reply, model) {
                    Some(items) => input.extend(items.iter().map(Item::Kept)),
                    None => {
                        let said = reply.text.as_deref();
                        input.extend(said.map(|content| {
                            Item::Made(Made::Message { role: "assistant", content })
                        }));
                        input.extend(reply.calls.iter().map(|call| {
                            Item::Made(Made::FunctionCall {
                                call_id: &call.id,
                                name: &call.name,
                                arguments: &call.arguments,
                            })
                        }));
                    }
                }
                return;
            }
        };
    input.push(Item::Made(made));
}

/// The items of a reply as they came, if they came from this model.
fn kept<'a>(reply: &'a Reply, model: &str) -> Option<&'a Vec<Value>> {
    let output = reply.extra.get(RESPONSE_OUTPUT)?;
    let same = output.get("model").is_some_and(|from| from == model);
    output.get("items")?.as_array().filter(|_| same)
}

impl<'a> Tool<'a> {
    fn of(tool: &'a ToolSpec) -> Self {
        Self {
            r#type: "function",
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: &tool.input_schema,
            strict: false,
        }
    }
}
