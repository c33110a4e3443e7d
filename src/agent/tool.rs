//! What the loop asks of tools. Where they are and how they are reached is for the room above
//! (`mcp`) to know: it implements [`Toolbox`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ToolPattern;
use crate::durable::{Answer, Look, Question};
use crate::journal::{Effect, Failure, Payload, TaskId};

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
        /// Its environment, besides the few variables of ours that every program needs.
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
    /// Whether a call is to ask for a task (`execution.taskSupport` of protocol 2025-11-25 is
    /// `optional` or `required`). In the Tasks extension the server decides, and this is not set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_task: bool,
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
    /// [`Tool::as_task`].
    pub as_task: bool,
    /// What was answered to the questions of the same call's last round.
    pub answers: Option<&'a Answers>,
}

/// What a call led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Recorded")]
pub enum Called {
    /// The tool goes on as a task at its server.
    Task {
        /// How to find it again.
        task: RemoteTask,
    },
    /// The tool wants answers, and to be called again with them.
    Asks {
        /// The questions.
        asks: Round,
    },
    /// The tool has answered.
    Output(ToolOutput),
}

/// What a tool wants to know before it begins (`InputRequiredResult` of protocol 2026-07-28).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The questions; none where it only wants to be called again, later.
    pub questions: Vec<Asked>,
    /// What the server wants to be handed back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The answers to a [`Round`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// By the questions' keys.
    pub by_key: BTreeMap<String, Answer>,
    /// [`Round::state`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// What a call led to as it is recorded. Payloads cannot be read as one of several alternatives, so the
/// fields of all of them are.
#[derive(Deserialize)]
struct Recorded {
    task: Option<RemoteTask>,
    asks: Option<Round>,
    text: Option<String>,
    #[serde(default)]
    is_error: bool,
}

impl TryFrom<Recorded> for Called {
    type Error = &'static str;

    fn try_from(recorded: Recorded) -> Result<Self, Self::Error> {
        match recorded {
            Recorded { task: Some(task), .. } => Ok(Self::Task { task }),
            Recorded { asks: Some(asks), .. } => Ok(Self::Asks { asks }),
            Recorded { text: Some(text), is_error, .. } => {
                Ok(Self::Output(ToolOutput { text, is_error, structured: None }))
            }
            _ => Err("neither an answer, a question nor a task"),
        }
    }
}

impl Called {
    /// The answer, for a caller that follows no tasks.
    ///
    /// # Errors
    /// Final, when there is a task or a question instead.
    pub fn output(self) -> Result<ToolOutput, Failure> {
        match self {
            Self::Output(output) => Ok(output),
            Self::Asks { .. } => {
                Err(Failure::is_final("the tool asks for input, where an answer at once is needed"))
            }
            Self::Task { task } => Err(Failure::is_final(format!(
                "server {:?} answered with its task {}, where an answer at once is needed",
                task.server, task.id
            ))),
        }
    }
}

/// A task that a tool server has made of a call: all that it takes to find it again, from any
/// process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteTask {
    /// The server's name in `mcpServers`.
    pub server: String,
    /// The task's id there.
    pub id: String,
    /// How the server speaks of it.
    pub dialect: TaskDialect,
    /// How often the server wants to be asked, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_interval_ms: Option<u64>,
    /// How long the server keeps it, in milliseconds from its creation; `None` for ever, or for a
    /// time that it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The session that it belongs to, where the server knows it in no other
    /// (`Mcp-Session-Id` of Streamable HTTP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// Which Tasks of MCP a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskDialect {
    /// The extension `io.modelcontextprotocol/tasks` of protocol 2026-07-28.
    Extension,
    /// The Tasks of protocol 2025-11-25.
    Experimental,
}

/// What has come of a task at its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskNews {
    /// It ended with the tool's answer.
    Output(ToolOutput),
    /// It ended without one: why.
    Failed(String),
    /// It waits for answers to these.
    Asks(Vec<Asked>),
    /// The server does not know it any more: why that is thought.
    Lost(String),
}

/// A question of a task at its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What the answer goes by.
    pub key: String,
    /// What is asked.
    pub question: Question,
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

/// Who is asked what a tool wants to know in the middle of a call.
#[async_trait]
pub trait People: Send + Sync {
    /// The task for which the call is made.
    fn task(&self) -> TaskId;

    /// Asks, for as long as it takes. `gone` is over when the tool does not wait for the answer any
    /// more; `None` then, and where the question cannot be put.
    async fn ask(&self, question: Question, gone: BoxFuture<'_, ()>) -> Option<Answer>;
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
    async fn call(&self, call: Invocation<'_>) -> Result<Called, Failure>;

    /// As [`Toolbox::call`], with people to ask for a tool that asks in the middle of the call. One
    /// that has nobody is told that the form was put away.
    ///
    /// # Errors
    /// As [`Toolbox::call`].
    async fn call_with(
        &self,
        call: Invocation<'_>,
        _people: &dyn People,
    ) -> Result<Called, Failure> {
        self.call(call).await
    }

    /// Looks once at a task that a call has led to. `answered` are the keys of questions that were
    /// answered before: a server may go on showing them for a while.
    ///
    /// # Errors
    /// Transient where another look may succeed; final where the server refuses to be asked, and in
    /// toolboxes whose calls lead to no tasks.
    async fn look(
        &self,
        _servers: &Servers,
        task: &RemoteTask,
        _answered: &[String],
    ) -> Result<Look<TaskNews>, Failure> {
        Err(no_tasks(task))
    }

    /// Whether such a task still waits for the answer to this question.
    ///
    /// # Errors
    /// As [`Toolbox::look`].
    async fn asks(
        &self,
        _servers: &Servers,
        task: &RemoteTask,
        _key: &str,
    ) -> Result<bool, Failure> {
        Err(no_tasks(task))
    }

    /// Answers a question of such a task. To answer one that is not asked any more does nothing.
    ///
    /// # Errors
    /// As [`Toolbox::look`].
    async fn answer(
        &self,
        _servers: &Servers,
        task: &RemoteTask,
        _key: &str,
        _answer: &Answer,
    ) -> Result<(), Failure> {
        Err(no_tasks(task))
    }

    /// Asks a server to cancel such a task. One that has ended, or that the server does not know, is
    /// left as it is.
    ///
    /// # Errors
    /// As [`Toolbox::look`].
    async fn cancel(&self, _servers: &Servers, task: &RemoteTask) -> Result<(), Failure> {
        Err(no_tasks(task))
    }
}

fn no_tasks(task: &RemoteTask) -> Failure {
    let RemoteTask { server, id, .. } = task;
    Failure::is_final(format!("task {id} of server {server:?}: this toolbox follows no tasks"))
}
