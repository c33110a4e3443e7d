//! The Tasks of protocol 2025-11-25
//! (`docs/specification/2025-11-25/basic/utilities/tasks.mdx` of the MCP specification), which rmcp
//! does not have: tasks are asked for by the client (`params.task`), results have a method of their
//! own that waits, tasks can be listed, and questions come as requests of the server.
//!
//! ```text
//! message ── wire::rename ── rmcp ── Session::on_custom_request ── answer
//! ```
//!
//! Spoken only in sessions that negotiated exactly this protocol. A client's own declaration of Tasks
//! is not asked for: several that speak this dialect make none.

mod notices;
mod shown;
pub(super) mod wire;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CancelTaskParams, ClientCapabilities, ErrorCode, ErrorData,
    GetTaskParams, PaginatedRequestParams, ProtocolVersion,
};
use rmcp::service::RequestContext;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::notices::Notices;
use self::shown::Shown;
use super::elicit::{self, Within};
use super::plain::{Waited, nobody_waits};
use super::questions;
use super::session::{Session, task_id};
use super::translate::{outcome, refusal};
use super::{TaskSupport, Tool};
use crate::journal::{Sent, Task, TaskId};
use crate::limits;
use crate::mcp::RELATED_TASK;

/// What is remembered of one client from request to request; all of it may be forgotten.
pub(super) struct State {
    notices: Notices,
    /// Tasks that a `tasks/get` has shown waiting for answers.
    shown_asking: Mutex<HashSet<TaskId>>,
}

impl State {
    pub(super) fn new() -> Self {
        Self { notices: Notices::new(), shown_asking: Mutex::default() }
    }

    /// Whether a `tasks/get` has shown this task asking before; it has now.
    fn was_shown_asking(&self, id: TaskId, asking: bool) -> bool {
        let mut shown = self.shown_asking.lock().unwrap_or_else(PoisonError::into_inner);
        if asking && shown.len() >= limits::SHOWN_ASKING && !shown.contains(&id) {
            shown.clear();
        }
        if asking { !shown.insert(id) } else { shown.remove(&id) }
    }
}

/// Whether the request is of a session that speaks this dialect.
fn is_spoken(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version() == Some(ProtocolVersion::V_2025_11_25)
}

/// Whether the client has declared Tasks in a session that speaks this dialect.
pub(super) fn is_declared(context: &RequestContext<RoleServer>) -> bool {
    let declared = |client: ClientCapabilities| {
        client.experimental.is_some_and(|all| all.contains_key(wire::CLIENT_TASKS))
    };
    is_spoken(context) && context.client_capabilities().is_some_and(declared)
}

/// A method that is answered here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    ListTools,
    CallTool,
    Get,
    Result,
    List,
    Cancel,
}

/// Which method of this dialect a request is for.
///
/// # Errors
/// The method's name as the client wrote it, when it is none of this dialect's.
pub(super) fn method<'a>(
    name: &'a str,
    context: &RequestContext<RoleServer>,
) -> Result<Method, &'a str> {
    let public = name.strip_prefix(wire::PREFIX).filter(|_| is_spoken(context)).ok_or(name)?;
    Ok(match public {
        "tools/list" => Method::ListTools,
        "tools/call" => Method::CallTool,
        "tasks/get" => Method::Get,
        "tasks/result" => Method::Result,
        "tasks/list" => Method::List,
        "tasks/cancel" => Method::Cancel,
        _ => return Err(public),
    })
}

/// Answers a request of this dialect.
///
/// # Errors
/// As the dialect's specification says ("Protocol Errors"): -32602 for wrong params, unknown tasks,
/// a cursor that is none, and a cancel of a task that has ended; what a failed task failed with.
pub(super) async fn answer(
    session: &Session,
    method: Method,
    params: Value,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    match method {
        Method::ListTools => Ok(list_tools(session, context)),
        Method::CallTool => call_tool(session, params, context).await,
        Method::Get => {
            let GetTaskParams { task_id: id, .. } = read("tasks/get", params)?;
            get(session, task_id(&id)?, context).await
        }
        Method::Result => {
            let GetTaskParams { task_id: id, .. } = read("tasks/result", params)?;
            result(session, task_id(&id)?, context).await
        }
        Method::List => list(session, read("tasks/list", or_empty(params))?, context).await,
        Method::Cancel => {
            let CancelTaskParams { task_id: id, .. } = read("tasks/cancel", params)?;
            cancel(session, task_id(&id)?, context).await
        }
    }
}

fn read<T: DeserializeOwned>(method: &str, params: Value) -> Result<T, ErrorData> {
    serde_json::from_value(params).map_err(|error| {
        ErrorData::invalid_params(format!("the params of {method}: {error}"), None)
    })
}

fn or_empty(params: Value) -> Value {
    if params.is_null() { Value::Object(Map::new()) } else { params }
}

fn list_tools(session: &Session, context: &RequestContext<RoleServer>) -> Value {
    let tools: Vec<_> = session
        .tools(context)
        .into_iter()
        .map(|tool| {
            let served = session.tool(&tool.name).map(|tool| tool.served.task_support);
            // The others are tools that follow tasks.
            let support = served.unwrap_or(TaskSupport::Forbidden).as_str();
            let mut shown = json!(tool);
            shown["execution"] = json!({"taskSupport": support});
            shown
        })
        .collect();
    json!({"tools": tools})
}

/// What a client asks for with a task.
#[derive(Deserialize)]
struct TaskParams {
    /// How long to keep it, in milliseconds from its creation.
    ttl: Option<u64>,
}

async fn call_tool(
    session: &Session,
    mut params: Value,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    let task = params.as_object_mut().and_then(|params| params.remove("task")).unwrap_or_default();
    let TaskParams { ttl } = read("tools/call (task)", task)?;
    let request: CallToolRequestParams = read("tools/call", params)?;
    let follows = session.follower(&request.name, context).is_some();
    let served = |tool: &Tool| tool.served.task_support;
    if follows || session.tool(&request.name).map(served)? == TaskSupport::Forbidden {
        let message = format!("{} cannot be called as a task", request.name);
        return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None));
    }
    let id = session.start(request, ttl, context).await?;
    let task = session.find(id, context).await?;
    let shown = Shown::of(&session.server.runtime, &task).await?;
    let created = json!({"task": shown.json()?});
    session.experimental.notices.watch(session, id, shown, context);
    Ok(created)
}

/// A client that polls is asked a question from the second answer on that shows it: the first one
/// gives it the chance to ask for the result, where questions belong.
async fn get(
    session: &Session,
    id: TaskId,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    let task = session.find(id, context).await?;
    let runtime = &session.server.runtime;
    let mut shown = Shown::of(runtime, &task).await?;
    let asks = shown.status == "input_required";
    let was_shown_asking = session.experimental.was_shown_asking(id, asks);
    if !asks {
        session.asking.settle(id, &HashSet::new());
    } else if !elicit::can_be_asked(context) {
        shown.cannot_be_asked();
    } else if was_shown_asking {
        let asked = questions::open(runtime, id).await?;
        session.asking.put(runtime, &context.peer, Within::Task, id, asked).await;
    }
    shown.json()
}

/// Waits for the task's end, and has its questions asked meanwhile. Questions that this client has
/// before it from earlier are asked again: it may have lost them with a stream or a connection.
async fn result(
    session: &Session,
    id: TaskId,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    session.asking.settle(id, &HashSet::new());
    let Waited::Ended(end) = session.wait(id, context, Within::Task, None).await? else {
        return Err(nobody_waits(id));
    };
    let mut result = json!(outcome(end)?);
    if let Some(result) = result.as_object_mut() {
        // This protocol has no kinds of results.
        result.remove("resultType");
    }
    result["_meta"][RELATED_TASK] = json!({"taskId": id});
    Ok(result)
}

async fn list(
    session: &Session,
    page: PaginatedRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        tasks: Vec<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<TaskId>,
    }
    let after = page.cursor.as_deref().map(cursor).transpose()?;
    let (found, next_cursor) = session.page(after, context).await?;
    let mut tasks = Vec::with_capacity(found.len());
    for task in &found {
        tasks.push(Shown::of(&session.server.runtime, task).await?.json()?);
    }
    Ok(json!(Page { tasks, next_cursor }))
}

/// A cursor is the id of the last task on the page before.
fn cursor(text: &str) -> Result<TaskId, ErrorData> {
    text.parse().map_err(|_| {
        let message = format!("{text:?} is no cursor; take nextCursor of the page before, or none");
        ErrorData::invalid_params(message, None)
    })
}

async fn cancel(
    session: &Session,
    id: TaskId,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    let runtime = &session.server.runtime;
    let ended = |task: &Task, status: &str| {
        let message = format!("task {} cannot be cancelled: it is {status}", task.id);
        Err(ErrorData::invalid_params(message, None))
    };
    let task = session.find(id, context).await?;
    let shown = Shown::of(runtime, &task).await?;
    if shown.is_terminal() {
        return ended(&task, shown.status);
    }
    let reason = Some("the client cancelled the task".to_owned());
    let sent = runtime.cancel(id, reason).await.map_err(|error| refusal(&error))?;
    if sent == Sent::Delivered {
        let bound = Duration::from_millis(limits::CANCEL_REPLY_MS);
        if let Ok(end) = tokio::time::timeout(bound, runtime.wait(id)).await {
            end.map_err(|error| refusal(&error))?;
        }
    }
    let task = session.find(id, context).await?;
    let shown = Shown::of(runtime, &task).await?;
    if sent == Sent::AlreadyEnded {
        return ended(&task, shown.status);
    }
    session.asking.settle(id, &HashSet::new());
    shown.json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_were_shown_asking_are_remembered_within_a_bound() {
        let state = State::new();
        let shown = |n: usize, asking| {
            state.was_shown_asking(TaskId::from_bits(n.try_into().unwrap()), asking)
        };
        assert!(!shown(0, true) && shown(0, true) && shown(0, false) && !shown(0, false));
        for n in 1..=limits::SHOWN_ASKING {
            assert!(!shown(n, true));
        }
        assert!(shown(1, true), "one that is known needs no room");
        assert!(!shown(0, true) && !shown(1, true), "all are forgotten, and shown anew");
        assert_eq!(state.shown_asking.lock().unwrap().len(), 2);
    }
}
