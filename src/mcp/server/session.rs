//! The requests of one client, answered from the journal.
//!
//! Nothing is kept here between two requests: what a handle stands for is the journal's to know, so
//! any process that opens the journal can answer for it.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CreateTaskResult,
    CustomRequest, CustomResult, ErrorCode, ErrorData, GetTaskParams, GetTaskResult,
    InitializeRequestParams, InitializeResult, InputRequests, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ProtocolVersion,
    ServerConfig, UpdateTaskParams,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::stdio::TakenBack;
use super::translate::{detailed, message, outcome, refusal, task};
use super::{Inner, Tool, questions};
use crate::journal::{Payload, Status, Task, TaskId};
use crate::limits;
use crate::mcp::IDEMPOTENCY_KEY;

/// One client.
pub(super) struct Session {
    pub(super) server: Arc<Inner>,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
}

impl Session {
    fn tool(&self, name: &str) -> Result<&Tool, ErrorData> {
        self.server.tools.iter().find(|tool| tool.served.name == name).ok_or_else(|| {
            let known: Vec<_> = self.server.tools.iter().map(|t| t.served.name.as_str()).collect();
            let message = format!("unknown tool {name:?}; there are: {}", known.join(", "));
            ErrorData::invalid_params(message, None)
        })
    }

    /// Commits a task for a call.
    async fn start(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<TaskId, ErrorData> {
        let tool = self.tool(&request.name)?;
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        tool.arguments.check(&tool.served.name, &arguments)?;
        let input = Payload::of(&arguments).map_err(|error| {
            ErrorData::invalid_params(format!("the arguments cannot be stored: {error}"), None)
        })?;
        let (bytes, max_bytes) = (input.json().len(), limits::PAYLOAD_MAX_BYTES);
        if bytes > max_bytes {
            let message = format!(
                "the arguments for tool {:?} have {bytes} bytes, and at most {max_bytes} are \
                 taken; put large data into a file and pass its path",
                tool.served.name
            );
            return Err(ErrorData::invalid_params(message, None));
        }
        let mut start = (tool.served.start)(input);
        if let Some(key) = context.meta.get(IDEMPOTENCY_KEY) {
            let Some(key) = key.as_str() else {
                let message = format!("_meta[{IDEMPOTENCY_KEY:?}] must be a string");
                return Err(ErrorData::invalid_params(message, None));
            };
            start.idempotency_key = Some(key.to_owned());
        }
        self.server.runtime.start(start).await.map_err(|error| refusal(&error))
    }

    async fn find(&self, id: TaskId) -> Result<Task, ErrorData> {
        match self.server.runtime.store().task(id).await {
            Ok(Some(task)) => Ok(task),
            Ok(None) => Err(refusal(&crate::journal::Error::UnknownTask { task: id })),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Waits for a task as a client without the extension does: with its call unanswered.
    async fn wait(
        &self,
        id: TaskId,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let store = self.server.runtime.store();
        let mut progress = Progress::new(context);
        let mut changes = store.changes();
        loop {
            changes.mark_unchanged();
            let task = self.find(id).await?;
            progress.tell(&task).await;
            if task.status.is_ended()
                && let Some(end) = store.end(id).await.map_err(|error| refusal(&error))?
            {
                return outcome(end);
            }
            tokio::select! {
                // A stop cancels the request as well: it must be told from a client that left.
                biased;
                () = self.stop.cancelled() => return Err(ErrorData::internal_error(
                    format!("relight is stopping; task {id} goes on when it is started again"),
                    None,
                )),
                () = context.ct.cancelled() => return self.given_up(id, context).await,
                changed = changes.changed() => if changed.is_err() {
                    return Err(refusal(&crate::journal::Error::Closed));
                },
            }
        }
    }

    /// A client that takes its call back stops the task; one that is merely gone does not. Neither
    /// reads the answer.
    async fn given_up(
        &self,
        id: TaskId,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let taken_back = context
            .extensions
            .get::<TakenBack>()
            .is_none_or(|TakenBack(token)| token.is_cancelled());
        if taken_back {
            let reason = Some("the client cancelled its call".to_owned());
            self.server.runtime.cancel(id, reason).await.map_err(|error| refusal(&error))?;
        }
        Err(ErrorData::internal_error(format!("nobody waits for task {id} any more"), None))
    }
}

/// `notifications/progress` for a call whose client asked for them.
struct Progress<'a> {
    peer: &'a Peer<RoleServer>,
    token: Option<ProgressToken>,
    told: u32,
    last: Option<String>,
}

impl<'a> Progress<'a> {
    fn new(context: &'a RequestContext<RoleServer>) -> Self {
        let token = context.meta.get_progress_token();
        Self { peer: &context.peer, token, told: 0, last: None }
    }

    /// Sends the task's status message where it has changed. How much is left to do is not known,
    /// so the number only counts.
    async fn tell(&mut self, task: &Task) {
        let Some(token) = &self.token else { return };
        let now = message(task);
        if task.status.is_ended() || self.last.as_ref() == Some(&now) {
            return;
        }
        self.told += 1;
        let params = ProgressNotificationParam::new(token.clone(), f64::from(self.told))
            .with_message(now.clone());
        self.last = Some(now);
        if let Err(error) = self.peer.notify_progress(params).await {
            tracing::debug!(%error, "progress was not told");
        }
    }
}

/// Whether the request may be answered with a task: it must be of the protocol that has the
/// extension, and declare it. A declaration of an older session counts for nothing.
fn takes_tasks(context: &RequestContext<RoleServer>) -> bool {
    let modern = context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    modern && context.client_capabilities().is_some_and(|client| client.supports_tasks())
}

fn task_id(text: &str) -> Result<TaskId, ErrorData> {
    text.parse().map_err(|error| ErrorData::invalid_params(format!("{error}"), None))
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        self.server.info.clone()
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let mut result = self.negotiate_initialize(&request)?;
        // No protocol with this handshake has the extension.
        result.capabilities.extensions = None;
        Ok(result)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.server.tools.iter().map(|tool| tool.shown.clone()).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let id = self.start(request, &context).await?;
        if takes_tasks(&context) {
            let started = self.find(id).await?;
            return Ok(CallToolResponse::Task(CreateTaskResult::new(task(&started))));
        }
        self.wait(id, &context).await.map(CallToolResponse::Complete)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let task = self.find(task_id(&request.task_id)?).await?;
        let end = if task.status.is_ended() {
            self.server.runtime.store().end(task.id).await.map_err(|error| refusal(&error))?
        } else {
            None
        };
        let asked = match task.status {
            Status::InputRequired => questions::open(&self.server.runtime, task.id).await?,
            _ => InputRequests::new(),
        };
        Ok(GetTaskResult::new(detailed(&task, end, asked)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let task = self.find(task_id(&request.task_id)?).await?;
        questions::answer(&self.server.runtime, task.id, request.input_responses).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let id = task_id(&request.task_id)?;
        let reason = Some("the client cancelled the task".to_owned());
        self.server.runtime.cancel(id, reason).await.map_err(|error| refusal(&error))?;
        Ok(())
    }

    /// A method that rmcp does not know, or one that it knows with params that it cannot read.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let CustomRequest { method, params, .. } = request;
        let params = params.unwrap_or_default();
        let wrong = match method.as_str() {
            "tools/call" => unreadable::<CallToolRequestParams>(params),
            "tools/list" => unreadable::<PaginatedRequestParams>(params),
            "tasks/get" => unreadable::<GetTaskParams>(params),
            "tasks/update" => unreadable::<UpdateTaskParams>(params),
            "tasks/cancel" => unreadable::<CancelTaskParams>(params),
            "initialize" => unreadable::<InitializeRequestParams>(params),
            _ => None,
        };
        Err(match wrong {
            Some(why) => ErrorData::invalid_params(format!("the params of {method}: {why}"), None),
            None => ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                format!("there is no method {method:?} here"),
                None,
            ),
        })
    }
}

fn unreadable<T: DeserializeOwned>(params: Value) -> Option<String> {
    serde_json::from_value::<T>(params).err().map(|error| error.to_string())
}
