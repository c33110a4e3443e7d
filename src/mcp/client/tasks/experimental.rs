//! The Tasks of protocol 2025-11-25
//! (`docs/specification/2025-11-25/basic/utilities/tasks.mdx` of the MCP specification), which rmcp
//! does not have: the requests are custom ones, and what comes back is read as JSON.
//!
//! A task that waits for input puts its questions as requests of the server, within a `tasks/result`
//! that is kept open for them.

use std::time::Duration;

use rmcp::model::{ClientRequest, CustomRequest, ServerResult};
use rmcp::service::ServiceError;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Trouble, misfit, what};
use crate::agent::{RemoteTask, TaskDialect, TaskNews};
use crate::durable::{Answer, Look};
use crate::journal::Failure;
use crate::limits;
use crate::mcp::client::connection::Connection;
use crate::mcp::client::outcome::output;

/// A task as `tools/call`, `tasks/get` and `tasks/cancel` show it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    task_id: String,
    status: String,
    status_message: Option<String>,
    ttl: Option<u64>,
    poll_interval: Option<u64>,
}

/// The task that a call was answered with; `None` for an answer that is no task.
pub(in crate::mcp::client) fn created(server: &str, result: &Value) -> Option<RemoteTask> {
    let shown = Shown::deserialize(result.get("task")?).ok()?;
    Some(RemoteTask {
        server: server.to_owned(),
        id: shown.task_id,
        dialect: TaskDialect::Experimental,
        poll_interval_ms: shown.poll_interval,
        ttl_ms: shown.ttl,
        session: None,
    })
}

fn request(method: &str, task: &RemoteTask) -> ClientRequest {
    CustomRequest::new(method, Some(json!({"taskId": task.id}))).into()
}

async fn get(connection: &Connection, task: &RemoteTask) -> Result<Shown, Trouble> {
    let what = what(task);
    let shown = match connection.ask(request("tasks/get", task), &what).await? {
        ServerResult::CustomResult(shown) => shown.0,
        // A task that works looks like one of the extension, whose other fields are not there.
        ServerResult::GetTaskResult(shown) => json!(shown),
        _ => return Err(misfit(&what)),
    };
    Shown::deserialize(shown).map_err(|_| misfit(&what))
}

pub(super) async fn look(
    connection: &Connection,
    task: &RemoteTask,
) -> Result<Look<TaskNews>, Trouble> {
    let shown = get(connection, task).await?;
    let again =
        |message| Look::Again { after_ms: shown.poll_interval.or(task.poll_interval_ms), message };
    match shown.status.as_str() {
        // It ran, so where its result is refused, what came of it is not known.
        "completed" => Ok(Look::Done(result(connection, task, TaskNews::Lost).await?)),
        // What the call would have been refused with.
        "failed" | "cancelled" => Ok(Look::Done(result(connection, task, TaskNews::Failed).await?)),
        "input_required" => {
            connection.keep_result_open(&task.id, || request("tasks/result", task));
            let patience = Duration::from_millis(limits::REMOTE_QUESTION_MS);
            match timeout(patience, connection.desk.first_asked(&task.id)).await {
                Ok(asked) => Ok(Look::Done(TaskNews::Asks(asked))),
                Err(_) => Ok(again(shown.status_message)),
            }
        }
        _ => Ok(again(shown.status_message)),
    }
}

/// A task that waits for input without having put its question over this connection may ask anything:
/// it is taken to ask this still.
pub(super) async fn asks(
    connection: &Connection,
    task: &RemoteTask,
    key: &str,
) -> Result<bool, Trouble> {
    if get(connection, task).await?.status != "input_required" {
        return Ok(false);
    }
    let asked = connection.desk.asked(&task.id);
    Ok(asked.is_empty() || asked.iter().any(|asked| asked.key == key))
}

/// The result of a task that has ended, or what an error in its place means.
async fn result(
    connection: &Connection,
    task: &RemoteTask,
    refused: fn(String) -> TaskNews,
) -> Result<TaskNews, Trouble> {
    let what = what(task);
    let patience = Duration::from_millis(limits::REMOTE_TASK_REQUEST_MS);
    Ok(match connection.request(request("tasks/result", task), patience).await {
        Some(Err(ServiceError::McpError(error))) => refused(error.message.into_owned()),
        Some(Ok(ServerResult::CallToolResult(result))) => match output(result, &what) {
            Ok(output) => TaskNews::Output(output),
            Err(failure) => TaskNews::Failed(failure.message),
        },
        Some(Ok(_)) => TaskNews::Failed("its result is none of a tool".to_owned()),
        Some(Err(error)) => {
            return Err(Failure::transient(format!("{what}: {error}")).into());
        }
        None => return Err(Failure::transient(format!("{what}: its result did not come")).into()),
    })
}

/// Answers the request that the question came with. After a restart it is not here: then the task has
/// to ask again first.
pub(super) async fn answer(
    connection: &Connection,
    task: &RemoteTask,
    key: &str,
    answer: &Answer,
) -> Result<(), Trouble> {
    if connection.desk.reply(&task.id, key, answer.clone()) {
        return Ok(());
    }
    match look(connection, task).await? {
        Look::Done(TaskNews::Asks(_)) => {
            // Others may come before it. One that does not come at all was answered before the
            // restart, or taken back.
            let patience = Duration::from_millis(limits::REMOTE_QUESTION_MS);
            let replied = connection.desk.reply_once_asked(&task.id, key, answer);
            if timeout(patience, replied).await.is_err() {
                tracing::debug!(task = task.id, key, "nobody asks this any more");
            }
            Ok(())
        }
        Look::Again { .. } if get(connection, task).await?.status == "input_required" => {
            let why = format!("{}: it waits for input, and asks nothing", what(task));
            Err(Failure::transient(why).into())
        }
        Look::Done(_) | Look::Again { .. } => Ok(()),
    }
}

pub(super) async fn cancel(connection: &Connection, task: &RemoteTask) -> Result<(), Trouble> {
    connection.ask(request("tasks/cancel", task), &what(task)).await.map(|_| ())
}
