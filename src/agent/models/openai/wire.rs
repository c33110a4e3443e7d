//! The shapes of OpenAI's chat completions, as far as relight uses them.
//!
//! What is sent is strict. What is received is lenient: servers leave fields out, send `null` for
//! them, and add their own, and none of that may fail a reply that was paid for.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::responses::RESPONSE_OUTPUT;
use super::schema::Format;
use crate::agent::{Message, Reply, Request, ToolCall, ToolSpec};
use crate::journal::Payload;

/// The key in [`Reply::extra`] under which fields of tool calls that relight does not know are
/// kept, by the call's id (Gemini's `extra_content` must come back with the call).
pub(super) const CALL_FIELDS: &str = "tool_calls";

/// The body of a request.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Sent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<SentTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Debug, Serialize)]
struct ResponseFormat<'a> {
    r#type: &'static str,
    json_schema: &'a Format<'a>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Sent<'a> {
    System {
        content: &'a str,
    },
    User {
        content: &'a str,
    },
    Assistant {
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<SentCall<'a>>,
        #[serde(flatten)]
        extra: BTreeMap<&'a str, &'a Value>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

#[derive(Debug, Serialize)]
struct SentCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: SentFunction<'a>,
    #[serde(flatten)]
    extra: Option<&'a Map<String, Value>>,
}

#[derive(Debug, Serialize)]
struct SentFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Debug, Serialize)]
struct SentTool<'a> {
    r#type: &'static str,
    function: SentSpec<'a>,
}

#[derive(Debug, Serialize)]
struct SentSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: &'a Payload,
}

impl<'a> Body<'a> {
    /// A streaming request. OpenAI's own newer models refuse `max_tokens`, and others' servers do
    /// not all know `max_completion_tokens`.
    pub(super) fn new(
        request: &'a Request,
        format: Option<&'a Format<'a>>,
        is_openai: bool,
    ) -> Self {
        let system =
            (!request.system.is_empty()).then_some(Sent::System { content: &request.system });
        let bound = request.settings.max_output_tokens;
        Self {
            model: &request.model,
            messages: system.into_iter().chain(request.messages.iter().map(Sent::of)).collect(),
            tools: request.tools.iter().map(SentTool::of).collect(),
            temperature: request.settings.temperature,
            max_tokens: bound.filter(|_| !is_openai),
            max_completion_tokens: bound.filter(|_| is_openai),
            response_format: format
                .map(|json_schema| ResponseFormat { r#type: "json_schema", json_schema }),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
        }
    }
}

impl<'a> Sent<'a> {
    fn of(message: &'a Message) -> Self {
        match message {
            Message::User { text } | Message::Summary { text, .. } => Self::User { content: text },
            Message::Tool { call_id, text } => Self::Tool { tool_call_id: call_id, content: text },
            Message::Assistant(reply) => Self::of_reply(reply),
        }
    }

    fn of_reply(reply: &'a Reply) -> Self {
        // A message with neither text nor calls is refused by most servers; an empty text is not.
        let silent = if reply.calls.is_empty() { Some("") } else { None };
        Self::Assistant {
            content: reply.text.as_deref().or(silent),
            tool_calls: reply.calls.iter().map(|call| SentCall::of(call, &reply.extra)).collect(),
            extra: reply
                .extra
                .iter()
                .filter(|(key, _)| {
                    !matches!(key.as_str(), "role" | "content" | CALL_FIELDS | RESPONSE_OUTPUT)
                })
                .map(|(key, value)| (key.as_str(), value))
                .collect(),
        }
    }
}

impl<'a> SentCall<'a> {
    fn of(call: &'a ToolCall, extra: &'a Map<String, Value>) -> Self {
        Self {
            id: &call.id,
            r#type: "function",
            function: SentFunction { name: &call.name, arguments: &call.arguments },
            extra: extra.get(CALL_FIELDS).and_then(|calls| calls.get(&call.id)?.as_object()),
        }
    }
}

impl<'a> SentTool<'a> {
    fn of(tool: &'a ToolSpec) -> Self {
        let function = SentSpec {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: &tool.input_schema,
        };
        Self { r#type: "function", function }
    }
}

/// One event of the stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    #[serde(deserialize_with = "lenient")]
    pub(super) model: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Value,
    /// Everything else; where a server reports an error inside the stream, it is here.
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

impl Chunk {
    /// The error that this event is, if it is one: `{"error": ...}`, or vLLM's
    /// `{"object": "error", "message": ...}`.
    pub(super) fn error(&mut self) -> Option<Value> {
        if self.rest.get("error").is_some_and(|error| !error.is_null())
            || self.rest.get("object").is_some_and(|object| object == "error")
        {
            return Some(Value::Object(std::mem::take(&mut self.rest)));
        }
        None
    }
}

/// One of the alternatives in a chunk. Only the first, index 0, is ever asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    #[serde(deserialize_with = "nullable")]
    pub(super) index: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) delta: Delta,
    pub(super) finish_reason: Option<String>,
}

/// What a chunk adds to the message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    /// A text, or a list of parts.
    pub(super) content: Value,
    #[serde(deserialize_with = "nullable")]
    pub(super) tool_calls: Vec<CallDelta>,
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

/// A fragment of a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallDelta {
    pub(super) index: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) function: FunctionDelta,
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

/// A fragment of a call's name and arguments.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionDelta {
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    /// A piece of JSON text, or (against the specification) the arguments as an object.
    pub(super) arguments: Value,
}

/// `null` is the default.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A text; `null` is the empty one, and a number is taken as written.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}
