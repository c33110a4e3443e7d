//! What the loop asks of a model, and what it gets back. Providers are in the files below.
//!
//! A model call is one attempt: it never retries by itself. Retrying is the step's, so that every
//! attempt is in the journal and `Retry-After` outlives a crash.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::models::Pace;
use crate::journal::{Failure, Payload};

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// What the person or the runtime says.
    User {
        /// The text.
        text: String,
    },
    /// What stands for earlier messages that are no longer sent. Models read it as the user's.
    Summary {
        /// The text.
        text: String,
        /// How many replies it stands for.
        replies: usize,
    },
    /// What the model said, as it came.
    Assistant(Reply),
    /// What became of one tool call.
    Tool {
        /// The call's id, from the reply.
        call_id: String,
        /// The text for the model.
        text: String,
    },
}

/// The last that the model said in words.
pub(super) fn last_words(messages: &[Message]) -> Option<&str> {
    messages.iter().rev().find_map(|message| match message {
        Message::Assistant(reply) => reply.text.as_deref().filter(|text| !text.is_empty()),
        _ => None,
    })
}

/// A model's reply. This is what the journal keeps of a model call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The tools it wants called, side by side. Ids are unique within the reply and not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Why it stopped.
    #[serde(default)]
    pub finish: Finish,
    /// What it cost; `None` where the server did not say, which is not zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The model that served it, by the server's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Fields of the message that relight does not know (`reasoning_content` and the like), kept
    /// as they came and sent back as they were.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// What became of a model call, as the journal keeps it.
///
/// A reply is written as itself, so that the other outcomes cost nothing where they do not occur.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// The server works on by itself, whatever becomes of this process: [`Model::fetch`] has the end.
    Pending {
        /// The id to fetch it by.
        pending: String,
    },
    /// The conversation is longer than the model can read.
    TooLong {
        /// What the server said, for a person.
        too_long: String,
    },
    /// What the server worked on has ended without a reply, for a reason that may pass: a new call
    /// may go better. Only [`Model::fetch`] says so; a call that fails is a [`Failure`].
    Lost {
        /// Why.
        lost: Failure,
    },
    /// The model replied.
    Reply(Reply),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// A tool call as the model wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties the result to the call.
    pub id: String,
    /// The tool's name as the model was told it.
    pub name: String,
    /// The arguments as text: models send what is no JSON, and it must be sent back unchanged.
    pub arguments: String,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done, or wants tools.
    #[default]
    Stop,
    /// It ran into the bound on its output.
    Length,
    /// The provider withheld the reply.
    Filtered,
}

/// Tokens of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out, reasoning included.
    pub output_tokens: u64,
    /// Those of the tokens in that came from the provider's cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
pub(super) fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name to call it by: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub input_schema: Payload,
}

/// What is set once for all calls of an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Sampling temperature, where the agent's file sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Bound on the tokens of one reply, where the agent's file sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
}

/// All of one model call.
#[derive(Debug, Clone)]
pub struct Request {
    /// The model's name at its provider: `gpt-5-mini`, not `openai:gpt-5-mini`.
    pub model: String,
    /// The system prompt.
    pub system: String,
    /// The conversation so far; valid: every tool call has its result.
    pub messages: Vec<Message>,
    /// The tools it may call.
    pub tools: Vec<ToolSpec>,
    /// Sampling.
    pub settings: Settings,
    /// JSON Schema of the answer that is wanted, for providers that can hold a model to it. The
    /// system prompt asks for it too, and the answer is checked whatever the provider does.
    pub output_schema: Option<Payload>,
    /// The same on every attempt of this call (task id and step key).
    pub idempotency_key: String,
}

/// A provider of model replies.
#[async_trait]
pub trait Model: Send + Sync {
    /// Makes one call. Dropping the future aborts it.
    ///
    /// # Errors
    /// [`FailureKind::Transient`](crate::journal::FailureKind) (429, 5xx, a stalled or cut stream,
    /// no connection), with the server's `Retry-After`; otherwise final, naming what to change.
    async fn call(&self, request: &Request) -> Result<Outcome, Failure>;

    /// Looks at a call of `model` that was [`Outcome::Pending`], once. It costs nothing, however often
    /// it is done.
    ///
    /// # Errors
    /// As [`Model::call`]: transient where the server could not be asked, final where the call has
    /// failed in a way that would come again.
    async fn fetch(&self, model: &str, id: &str) -> Result<Outcome, Failure> {
        Err(Failure::is_final(format!(
            "the provider of the model {model:?} keeps no call {id:?} to fetch"
        )))
    }

    /// Stops a call that is [`Outcome::Pending`].
    ///
    /// # Errors
    /// When the server could not be told.
    async fn cancel(&self, _id: &str) -> Result<(), Failure> {
        Ok(())
    }
}

/// Finds the provider of a model by the name in an agent's file.
pub trait Models: Send + Sync {
    /// `openai:NAME` or plain `NAME` for the chat completions of the OpenAI-compatible server of the
    /// configuration, `openai-responses:NAME` for its Responses API, `script:PATH` for replies from a
    /// file.
    ///
    /// # Errors
    /// A final failure that names what is missing and how to set it.
    fn open(&self, model: &str) -> Result<OpenModel, Failure>;

    /// Where a call of this model waits for its turn; `None` where it need not.
    fn pace(&self, model: &str) -> Option<Arc<Pace>> {
        let _ = model;
        None
    }
}

/// A provider, and the name by which it knows the model.
#[derive(Clone)]
pub struct OpenModel {
    /// The provider.
    pub provider: Arc<dyn Model>,
    /// The model's name there.
    pub name: String,
}
