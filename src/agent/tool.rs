//! What the loop asks of tools. Where they are and how they are reached is for the room above
//! (`mcp`) to know: it implements [`Toolbox`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ToolPattern;
use crate::journal::{Effect, Failure, Payload};

/// A tool server as an agent's file or `mcp.json` describes it, with `${VAR}` not yet expanded: it
/// is journalled with the task, and secrets never are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ServerConfig {
    /// A program that speaks MCP over its stdin and stdout.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
        /// Environment variables on top of ours.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
        /// Its working directory; ours where none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
    },
    /// A Streamable HTTP endpoint.
    Http {
        /// Its address.
        url: String,
        /// Headers on every request.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
    },
}

/// The tool servers of one agent by name.
pub type Servers = BTreeMap<String, ServerConfig>;

/// A tool that a server offers, as it is journalled when a task starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// The server's name in `mcpServers`.
    pub server: String,
    /// The tool's own name there.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub input_schema: Payload,
    /// By its annotations: `readOnlyHint` is pure, `idempotentHint` idempotent, everything else
    /// once.
    pub effect: Effect,
    /// Its annotation `destructiveHint`, where it has one. Of a tool that changes things and does
    /// not say it, the protocol assumes that it may destroy them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
}

impl Tool {
    /// The pattern that means this tool only.
    pub fn pattern(&self) -> ToolPattern {
        ToolPattern::one(&self.server, &self.name)
    }
}

/// One tool call.
#[derive(Debug, Clone)]
pub struct Invocation<'a> {
    /// The servers of the agent.
    pub servers: &'a Servers,
    /// Which of them.
    pub server: &'a str,
    /// The tool's name there.
    pub tool: &'a str,
    /// The arguments, an object that has passed the tool's schema.
    pub arguments: &'a Payload,
    /// The same on every attempt (task id and step key); reaches the tool as
    /// `_meta["relight/idempotencyKey"]`.
    pub idempotency_key: &'a str,
}

/// What a tool answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// The answer as text: what the model is shown.
    pub text: String,
    /// Whether the tool says that it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// The answer as a value, where the tool gave one (`structuredContent`). It is not journalled
    /// beside the text, which says the same: whoever needs it reads it within the step.
    #[serde(skip)]
    pub structured: Option<Value>,
}

/// Reaches tools.
#[async_trait]
pub trait Toolbox: Send + Sync {
    /// The tools of all these servers.
    ///
    /// # Errors
    /// A failure that names the server, with the last lines of its stderr where it is a program;
    /// transient where another try may find it up.
    async fn list(&self, servers: &Servers) -> Result<Vec<Tool>, Failure>;

    /// Calls a tool once. Dropping the future cancels the call at the server.
    ///
    /// # Errors
    /// [`FailureKind::Transient`](crate::journal::FailureKind::Transient) when the request cannot
    /// have reached the tool, [`InDoubt`](crate::journal::FailureKind::InDoubt) when it may have
    /// and no answer came (the server died, the connection broke), final when the server refused
    /// it. A tool that ran and failed is no error: see [`ToolOutput::is_error`].
    async fn call(&self, call: Invocation<'_>) -> Result<ToolOutput, Failure>;
}
