//! A client of another process's tasks: what the demo and the tests drive relight with.
//!
//! It speaks protocol 2026-07-28 and declares the Tasks extension (`io.modelcontextprotocol/tasks`).

use std::process::Stdio;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, ClientConfig,
    GetTaskParams, Implementation, JsonObject, ProtocolVersion, TaskPayload, TaskStatus,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::{RoleClient, ServiceError};
use serde_json::Value;
use tokio::process::{Child, Command};

/// Why a call to a server with tasks failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be started.
    #[error("cannot start the server: {0}")]
    Start(#[from] std::io::Error),
    /// The server does not speak protocol 2026-07-28.
    #[error("the server does not speak MCP 2026-07-28: {0}")]
    Handshake(String),
    /// The request failed, or the server is gone.
    #[error("{method} failed: {source}")]
    Request {
        /// The MCP method.
        method: &'static str,
        /// The cause.
        source: ServiceError,
    },
    /// The server answered a call at once, and not with a task.
    #[error("the server answered with a result instead of a task")]
    NoTask,
}

/// A task as its server shows it.
#[derive(Debug, Clone)]
pub struct View {
    /// Its status, as the extension writes it: `working`, `completed` and so on.
    pub status: &'static str,
    /// What it is at.
    pub message: Option<String>,
    /// Whether it has ended.
    pub ended: bool,
    /// The result of a completed task, or the error of a failed one, as JSON.
    pub outcome: Option<Value>,
}

/// A connection to an MCP server in a child process, which dies with it.
#[derive(Debug)]
pub struct TaskClient {
    running: RunningService<RoleClient, ClientConfig>,
    child: Child,
}

impl TaskClient {
    /// Starts the server and shakes hands. The command's stdin and stdout become the connection.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Handshake`].
    pub async fn spawn(mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let gone = || std::io::Error::other("the server has no stdin or stdout");
        let (stdout, stdin) = child.stdout.take().zip(child.stdin.take()).ok_or_else(gone)?;
        let us = Implementation::new("relight-task-client", env!("CARGO_PKG_VERSION"));
        let info = ClientConfig::new(ClientCapabilities::builder().enable_tasks().build(), us);
        let discover = ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        };
        let running = info
            .serve_with_lifecycle((stdout, stdin), discover)
            .await
            .map_err(|error| Error::Handshake(error.to_string()))?;
        Ok(Self { running, child })
    }

    /// Calls a tool and returns the id of its task.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::NoTask`].
    pub async fn call(&self, tool: &str, arguments: JsonObject) -> Result<String, Error> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = self.running.call_tool_once(params).await;
        match request.map_err(|source| Error::Request { method: "tools/call", source })? {
            CallToolResponse::Task(created) => Ok(created.task.task_id),
            _ => Err(Error::NoTask),
        }
    }

    /// Looks at a task.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub async fn get(&self, task: &str) -> Result<View, Error> {
        let request = self.running.get_task(GetTaskParams::new(task)).await;
        let detailed =
            request.map_err(|source| Error::Request { method: "tasks/get", source })?.task;
        let status = detailed.status();
        let outcome = match detailed.payload {
            TaskPayload::Completed { result } => Some(Value::Object(result)),
            TaskPayload::Failed { error } => Some(Value::Object(error)),
            _ => None,
        };
        Ok(View {
            status: word(status),
            message: detailed.task.status_message,
            ended: status.is_terminal(),
            outcome,
        })
    }

    /// Asks for a task to be cancelled.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub async fn cancel(&self, task: &str) -> Result<(), Error> {
        let request = self.running.cancel_task(CancelTaskParams::new(task)).await;
        request.map_err(|source| Error::Request { method: "tasks/cancel", source })
    }

    /// Ends the connection and waits for the server to go by itself.
    ///
    /// # Errors
    /// When its end cannot be waited for.
    pub async fn close(self) -> std::io::Result<()> {
        let Self { running, mut child } = self;
        // However the connection ends, it is over: the server's stdin is closed.
        let _ = running.cancel().await;
        child.wait().await.map(|_| ())
    }

    /// Kills the server with SIGKILL, wherever it is, and waits for it to be gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> std::io::Result<()> {
        self.child.kill().await
    }
}

fn word(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Working => "working",
        TaskStatus::InputRequired => "input_required",
        TaskStatus::Completed => "completed",
        TaskStatus::Failed => "failed",
        TaskStatus::Cancelled => "cancelled",
        _ => "unknown",
    }
}
