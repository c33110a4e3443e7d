//! The extension `io.modelcontextprotocol/tasks` of protocol 2026-07-28 (SEP-2663): `tasks/get` shows
//! questions and result, `tasks/update` takes answers.

use rmcp::model::{
    CancelTaskParams, CancelTaskRequest, ClientRequest, CreateTaskResult, DetailedTask,
    GetTaskParams, GetTaskRequest, InputRequest, InputRequests, InputResponses, ServerResult,
    TaskPayload, UpdateTaskParams, UpdateTaskRequest,
};
use serde_json::{Value, json};

use super::{Trouble, misfit, what};
use crate::agent::{Asked, RemoteTask, TaskDialect, TaskNews};
use crate::durable::{Answer, Look};
use crate::mcp::client::connection::Connection;
use crate::mcp::client::desk;
use crate::mcp::client::outcome::output;

/// The task that a call was answered with.
pub(in crate::mcp::client) fn created(server: &str, created: CreateTaskResult) -> RemoteTask {
    let task = created.task;
    RemoteTask {
        server: server.to_owned(),
        id: task.task_id,
        dialect: TaskDialect::Extension,
        poll_interval_ms: task.poll_interval_ms,
        ttl_ms: task.ttl_ms,
        session: None,
    }
}

async fn get(connection: &Connection, task: &RemoteTask) -> Result<DetailedTask, Trouble> {
    let what = what(task);
    let request = GetTaskRequest::new(GetTaskParams::new(task.id.as_str()));
    match connection.ask(ClientRequest::GetTaskRequest(request), &what).await? {
        ServerResult::GetTaskResult(shown) => Ok(shown.task),
        _ => Err(misfit(&what)),
    }
}

pub(super) async fn look(
    connection: &Connection,
    task: &RemoteTask,
    answered: &[String],
) -> Result<Look<TaskNews>, Trouble> {
    let what = what(task);
    let shown = get(connection, task).await?;
    let again = Look::Again {
        after_ms: shown.task.poll_interval_ms.or(task.poll_interval_ms),
        message: shown.task.status_message.clone(),
    };
    let news = match shown.payload {
        TaskPayload::InputRequired { input_requests } => {
            match asked(&input_requests, answered) {
                Ok(asked) if asked.is_empty() => return Ok(again),
                Ok(asked) => TaskNews::Asks(asked),
                // It would wait for that for ever.
                Err(refused) => {
                    cancel(connection, task).await?;
                    TaskNews::Failed(refused)
                }
            }
        }
        TaskPayload::Completed { result } => match serde_json::from_value(Value::Object(result)) {
            Ok(result) => match output(result, &what) {
                Ok(output) => TaskNews::Output(output),
                Err(failure) => TaskNews::Failed(failure.message),
            },
            Err(error) => TaskNews::Failed(format!("its result is none of a tool: {error}")),
        },
        TaskPayload::Failed { error } => {
            let said = error.get("message").and_then(Value::as_str).unwrap_or("no reason given");
            TaskNews::Failed(said.to_owned())
        }
        TaskPayload::Cancelled => TaskNews::Failed("it was cancelled at the server".to_owned()),
        _ => return Ok(again),
    };
    Ok(Look::Done(news))
}

/// The questions that are new, or what is asked of us that we do not do.
pub(in crate::mcp::client) fn asked(
    requests: &InputRequests,
    answered: &[String],
) -> Result<Vec<Asked>, String> {
    let new = requests.iter().filter(|(key, _)| !answered.contains(key));
    new.map(|(key, request)| match request {
        InputRequest::Elicitation(form) => desk::question(&form.params)
            .map(|question| Asked { key: key.clone(), question })
            .ok_or_else(|| "it asks for a form of an unknown kind".to_owned()),
        InputRequest::CreateMessage(_) => {
            Err("it asks for a model's reply, which relight does not offer to servers".to_owned())
        }
        _ => Err("it asks for something that relight does not offer to servers".to_owned()),
    })
    .collect()
}

pub(super) async fn asks(
    connection: &Connection,
    task: &RemoteTask,
    key: &str,
) -> Result<bool, Trouble> {
    Ok(match get(connection, task).await?.payload {
        TaskPayload::InputRequired { input_requests } => input_requests.contains_key(key),
        _ => false,
    })
}

pub(super) async fn answer(
    connection: &Connection,
    task: &RemoteTask,
    key: &str,
    answer: &Answer,
) -> Result<(), Trouble> {
    let answers = InputResponses::from([(key.to_owned(), json!(desk::result(answer)))]);
    let request = UpdateTaskRequest::new(UpdateTaskParams::new(task.id.as_str(), answers));
    connection.ask(ClientRequest::UpdateTaskRequest(request), &what(task)).await.map(|_| ())
}

pub(super) async fn cancel(connection: &Connection, task: &RemoteTask) -> Result<(), Trouble> {
    let request = CancelTaskRequest::new(CancelTaskParams::new(task.id.as_str()));
    let request = ClientRequest::CancelTaskRequest(request);
    connection.ask(request, &what(task)).await.map(|_| ())
}
