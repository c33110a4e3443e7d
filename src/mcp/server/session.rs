//! The requests of one client, answered from the journal.
//!
//! What a handle stands for is the journal's to know, so any process that opens the journal can
//! answer for it. Kept between two requests is only what the client has been asked and told, all of
//! which may be forgotten.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CreateTaskResult, CustomRequest,
    CustomResult, DetailedTask, ErrorCode, ErrorData, GetTaskParams, GetTaskResult,
    InitializeRequestParams, InitializeResult, InputRequests, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerConfig, TASKS_EXTENSION_ID, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::elicit::Asking;
use super::follow::Follower;
use super::owner::LiveTasks;
use super::rounds::{self, Round};
use super::translate::{detailed, refusal, task};
use super::{Inner, Owner, TaskSupport, Tool, experimental, follow, listen, questions};
use crate::durable::StartTask;
use crate::journal::{Filter, Payload, Status, Task, TaskId};
use crate::limits;
use crate::mcp::IDEMPOTENCY_KEY;

/// One client.
pub(super) struct Session {
    pub(super) server: Arc<Inner>,
    /// Cancelled when the server stops or the client has gone.
    pub(super) stop: CancellationToken,
    /// What the client is asked now.
    pub(super) asking: Asking,
    /// What only clients of the experimental dialect need.
    pub(super) experimental: experimental::State,
}

impl Session {
    pub(super) fn new(server: Arc<Inner>, stop: CancellationToken) -> Self {
        let asking = Asking::new();
        let experimental = experimental::State::new();
        Self { server, stop, asking, experimental }
    }

    pub(super) fn tool(&self, name: &str) -> Result<&Tool, ErrorData> {
        self.server.tools.iter().find(|tool| tool.served.name == name).ok_or_else(|| {
            let known: Vec<_> = self.server.tools.iter().map(|t| t.served.name.as_str()).collect();
            let message = format!("unknown tool {name:?}; there are: {}", known.join(", "));
            ErrorData::invalid_params(message, None)
        })
    }

    /// The tools that a client is shown. A call may be answered with how to follow its task where
    /// the client has no Tasks, so no output can be promised there.
    pub(super) fn tools(&self, context: &RequestContext<RoleServer>) -> Vec<rmcp::model::Tool> {
        let mut tools: Vec<_> = self.server.tools.iter().map(|tool| tool.shown.clone()).collect();
        if follow::is_for(context) {
            tools.iter_mut().for_each(|tool| tool.output_schema = None);
            tools.extend(self.server.followers.iter().map(|follower| follower.shown.clone()));
        }
        tools
    }

    /// The tool of this name with which a client without Tasks follows its tasks.
    pub(super) fn follower(
        &self,
        name: &str,
        context: &RequestContext<RoleServer>,
    ) -> Option<&Follower> {
        let followers = &self.server.followers;
        followers.iter().find(|tool| tool.shown.name == name).filter(|_| follow::is_for(context))
    }

    /// Makes a task of a call, to be kept for as long as the client asks, and no longer than the
    /// server would.
    fn prepare(
        &self,
        request: CallToolRequestParams,
        ttl_ms: Option<u64>,
        context: &RequestContext<RoleServer>,
    ) -> Result<StartTask, ErrorData> {
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
        start.owner = Owner::of(context).0;
        start.owner_tasks_max = LiveTasks::of(context);
        start.ttl_ms = [start.ttl_ms, ttl_ms].into_iter().flatten().min();
        if let Some(key) = context.meta.get(IDEMPOTENCY_KEY) {
            let Some(key) = key.as_str() else {
                let message = format!("_meta[{IDEMPOTENCY_KEY:?}] must be a string");
                return Err(ErrorData::invalid_params(message, None));
            };
            start.idempotency_key = Some(key.to_owned());
        }
        Ok(start)
    }

    /// Commits a task for a call.
    pub(super) async fn start(
        &self,
        request: CallToolRequestParams,
        ttl_ms: Option<u64>,
        context: &RequestContext<RoleServer>,
    ) -> Result<TaskId, ErrorData> {
        let start = self.prepare(request, ttl_ms, context)?;
        self.server.runtime.start(start).await.map_err(|error| refusal(&error))
    }

    /// Commits a task for a call and answers with its handle.
    async fn start_with_handle(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let start = self.prepare(request, None, context)?;
        let created = self.server.runtime.create(start).await;
        match created.map_err(|error| refusal(&error))? {
            (_, Some(new)) => Ok(CallToolResponse::Task(CreateTaskResult::new(task(&new)))),
            (id, None) => self.handle(id, context).await,
        }
    }

    /// The task of a call that is made again with answers.
    async fn resume(
        &self,
        state: &str,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<TaskId, ErrorData> {
        let again = self.prepare(request, None, context)?;
        let task = self.find(rounds::task(state)?, context).await?;
        if task.name != again.name || task.function != again.function {
            return Err(rounds::unknown_state());
        }
        Ok(task.id)
    }

    pub(super) async fn handle(
        &self,
        id: TaskId,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let started = self.find(id, context).await?;
        Ok(CallToolResponse::Task(CreateTaskResult::new(task(&started))))
    }

    /// One of the caller's own tasks. Another owner's is unknown here.
    pub(super) async fn find(
        &self,
        id: TaskId,
        context: &RequestContext<RoleServer>,
    ) -> Result<Task, ErrorData> {
        match self.server.runtime.store().task(id).await {
            Ok(Some(task)) if Owner::of(context).owns(&task) => Ok(task),
            Ok(_) => Err(refusal(&crate::journal::Error::UnknownTask { task: id })),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// The task with its outcome in it, or what it asks.
    pub(super) async fn detailed(&self, task: &Task) -> Result<DetailedTask, ErrorData> {
        let end = if task.status.is_ended() {
            self.server.runtime.store().end(task.id).await.map_err(|error| refusal(&error))?
        } else {
            None
        };
        let asked = match task.status {
            Status::InputRequired => questions::open(&self.server.runtime, task.id).await?,
            _ => InputRequests::new(),
        };
        detailed(task, end, asked)
    }

    /// A page of the client's own tasks, newest first, and where the next one begins. It is empty only
    /// where nothing comes after it. Children are not shown: their parents speak for them.
    ///
    /// # Errors
    /// -32602 for a place that is not in the list any more.
    pub(super) async fn page(
        &self,
        after: Option<TaskId>,
        context: &RequestContext<RoleServer>,
    ) -> Result<(Vec<Task>, Option<TaskId>), ErrorData> {
        if let Some(after) = after {
            self.find(after, context).await?;
        }
        let limit = limits::TASK_PAGE;
        let owner = Some(Owner::of(context).0);
        let mut filter = Filter { owner, after, limit, ..Filter::default() };
        loop {
            let found = self.server.runtime.store().tasks(filter.clone()).await;
            let mut tasks = found.map_err(|error| refusal(&error))?;
            let next = tasks.last().filter(|_| tasks.len() == limit).map(|task| task.id);
            tasks.retain(|task| task.parent.is_none());
            // A page of nothing but children would read as the end of the list.
            if next.is_none() || !tasks.is_empty() {
                return Ok((tasks, next));
            }
            filter.after = next;
        }
    }
}

/// Whether the request is of the protocol that has the extension.
pub(super) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Whether the request may be answered with a task: it must be of the protocol that has the
/// extension, and declare it. A declaration of an older session counts for nothing.
pub(super) fn takes_tasks(context: &RequestContext<RoleServer>) -> bool {
    is_modern(context)
        && context.client_capabilities().is_some_and(|client| client.supports_tasks())
}

/// The answer to a client without Tasks where they are needed, in the words of its protocol.
pub(super) fn needs_tasks(
    message: impl Into<Cow<'static, str>>,
    context: &RequestContext<RoleServer>,
) -> ErrorData {
    if is_modern(context) {
        let required = json!({"extensions": {TASKS_EXTENSION_ID: {}}});
        let data = json!({"requiredCapabilities": required});
        ErrorData::new(ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY, message, Some(data))
    } else {
        ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None)
    }
}

pub(super) fn task_id(text: &str) -> Result<TaskId, ErrorData> {
    text.parse().map_err(|error| ErrorData::invalid_params(format!("{error}"), None))
}

/// rmcp moves the future of a request about, whatever the request is, in one that has room for the
/// largest of them: whatever is more than a few words is boxed here.
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

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        self.tool(name).ok().map(|tool| tool.shown.clone())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools(&context)))
    }

    async fn call_tool(
        &self,
        mut request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(follower) = self.follower(&request.name, &context) {
            let answer = Box::pin(follower.call(self, request, &context)).await;
            return answer.map(CallToolResponse::Complete);
        }
        let served = &self.tool(&request.name)?.served;
        let handle = takes_tasks(&context) && served.task_support != TaskSupport::Forbidden;
        if served.task_support == TaskSupport::Required && !handle {
            let tool = &served.name;
            let why = format!("tool {tool:?} answers with a task, and this client has no Tasks");
            return Err(needs_tasks(why, &context));
        }
        if handle && !(served.asks_first && rounds::are_for(&context)) {
            return Box::pin(self.start_with_handle(request, &context)).await;
        }
        Box::pin(async {
            let answers = request.input_responses.take().unwrap_or_default();
            let round = Round { answers, is_first: request.request_state.is_none() };
            let id = match request.request_state.take() {
                Some(state) => self.resume(&state, request, &context).await?,
                None => self.start(request, None, &context).await?,
            };
            self.plain_call(id, round, handle, &context).await
        })
        .await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let (id, views) = (task_id(&request.task_id)?, &self.server.views);
        let owner = Owner::of(&context);
        if let Some(shown) = views.current(id, |task| owner.owns(task)) {
            return Ok(GetTaskResult::new(shown));
        }
        Box::pin(async {
            let as_of = views.now();
            let task = self.find(id, &context).await?;
            let shown = match views.ended(&task) {
                Some(shown) => shown,
                None => self.detailed(&task).await?,
            };
            views.remember(as_of, task, &shown);
            Ok(GetTaskResult::new(shown))
        })
        .await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let id = task_id(&request.task_id)?;
        Box::pin(async {
            let task = self.find(id, &context).await?;
            questions::answer(&self.server.runtime, task.id, request.input_responses).await
        })
        .await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let id = task_id(&request.task_id)?;
        Box::pin(async {
            let task = self.find(id, &context).await?;
            let reason = Some("the client cancelled the task".to_owned());
            self.server.runtime.cancel(task.id, reason).await.map_err(|error| refusal(&error))?;
            Ok(())
        })
        .await
    }

    /// A method that rmcp does not know, or one that it knows with params that it cannot read.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let CustomRequest { method, params, .. } = request;
        let params = params.unwrap_or_default();
        let method = match experimental::method(&method, &context) {
            Ok(method) => {
                let answer = experimental::answer(self, method, params, &context);
                return Box::pin(answer).await.map(CustomResult);
            }
            Err(method) => method,
        };
        if method == listen::RENAMED {
            let listening = listen::listen(self, params, &context);
            return Box::pin(listening).await.map(CustomResult);
        }
        let wrong = match method {
            "tools/call" => unreadable::<CallToolRequestParams>(params),
            "tools/list" => unreadable::<PaginatedRequestParams>(params),
            "tasks/get" => unreadable::<GetTaskParams>(params),
            "tasks/update" => unreadable::<UpdateTaskParams>(params),
            "tasks/cancel" => unreadable::<CancelTaskParams>(params),
            "initialize" if !is_modern(&context) => unreadable::<InitializeRequestParams>(params),
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
