//! One connection to one tool server: opened, used by many tasks at once, closed.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CancelledNotificationParam, ClientRequest,
    CustomRequest, ErrorCode, JsonObject, MetaObject, PaginatedRequestParams, ProtocolVersion,
    RequestId, RequestMetaObject, ServerPeerInfo, ServerResult,
};
use rmcp::service::{Peer, PeerRequestOptions, RunningService, ServiceError};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::child::LastWords;
use super::desk::{Client, Desk, result};
use super::http::Session;
use super::in_flight::{Asked, InFlight};
use super::outcome::{Fate, called, fate};
use super::wire::Handed;
use super::{Timeouts, seam, tools};
use crate::agent::{Called, Invocation, People, TaskDialect, Tool};
use crate::durable::Answer;
use crate::journal::Failure;
use crate::limits;
use crate::mcp::IDEMPOTENCY_KEY;

/// A server that has shaken hands.
pub(super) struct Connection {
    pub(super) server: String,
    pub(super) peer: Peer<RoleClient>,
    /// Taken when the connection is closed; dropping it closes too, without waiting.
    pub(super) running: Mutex<Option<RunningService<RoleClient, Client>>>,
    /// The session over HTTP, where the protocol has them.
    pub(super) session: Arc<Session>,
    /// The questions of the server's tasks.
    pub(super) desk: Desk,
    /// The calls that are under way, for questions in the middle of one.
    pub(super) calls: InFlight,
    /// Requests for the results of tasks that wait for input, which are open for their questions.
    pub(super) results: Mutex<HashMap<String, AbortOnDropHandle<()>>>,
    /// Cancelled once nothing more can be received.
    pub(super) ended: CancellationToken,
    /// Cancelled before the connection is closed.
    pub(super) closing: CancellationToken,
    pub(super) words: Option<Arc<LastWords>>,
    pub(super) timeouts: Timeouts,
}

impl Connection {
    /// Whether it can still be used.
    pub(super) fn is_alive(&self) -> bool {
        !self.ended.is_cancelled() && !self.peer.is_transport_closed()
    }

    /// Its tools, of all pages.
    pub(super) async fn list(&self) -> Result<Vec<Tool>, Failure> {
        let what = format!("tool server {:?} cannot list its tools", self.server);
        let patience = Duration::from_millis(limits::TOOL_LIST_MS);
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..limits::TOOL_PAGES_MAX {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let page = tokio::select! {
                biased;
                page = timeout(patience, self.peer.list_tools(Some(page))) => page,
                () = self.ended.cancelled() => Ok(Err(ServiceError::TransportClosed)),
            };
            let page = match page {
                Ok(Ok(page)) => page,
                // A server with nothing but prompts or resources.
                Ok(Err(ServiceError::McpError(error)))
                    if error.code == ErrorCode::METHOD_NOT_FOUND =>
                {
                    return Ok(Vec::new());
                }
                Ok(Err(error)) => return Err(self.told(fate(&error, true).of_read(&what)).await),
                Err(_) => {
                    let why = format!("no answer within {} s", patience.as_secs());
                    return Err(Fate::Unknown(why).of_read(&what));
                }
            };
            for tool in page.tools {
                tools.push(tools::translate(&self.server, tool)?);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(Failure::is_final(format!(
            "{what}: the list has more than {} pages",
            limits::TOOL_PAGES_MAX
        )))
    }

    /// What the server has told about itself.
    fn info(&self) -> Option<Arc<ServerPeerInfo>> {
        self.peer.peer_info()
    }

    /// Whether the server has the Tasks extension, and the protocol was negotiated that is before it.
    pub(super) fn has_newer_tasks(&self) -> bool {
        self.info().is_some_and(|info| {
            info.capabilities.supports_tasks() && info.protocol_version.has_initialize()
        })
    }

    /// Whether the protocol is the one in which a client asks for tasks.
    fn asks_for_tasks(&self) -> bool {
        self.info().is_some_and(|info| info.protocol_version == ProtocolVersion::V_2025_11_25)
    }

    /// Calls a tool once. Dropping the future sends the server `notifications/cancelled`.
    pub(super) async fn call(&self, call: &Invocation<'_>) -> Result<Called, Failure> {
        self.call_within(call, &Patience::of(self.timeouts.call_ms)).await
    }

    /// The same, and puts what the server asks meanwhile to these people. The call's time stands
    /// still while they are asked.
    pub(super) async fn call_with(
        &self,
        call: &Invocation<'_>,
        people: &dyn People,
    ) -> Result<Called, Failure> {
        let mut entered = self.calls.enter(people.task());
        let open = watch::Sender::new(0_usize);
        let patience =
            Patience { open: Some(open.subscribe()), ..Patience::of(self.timeouts.call_ms) };
        let mut call = pin!(self.call_within(call, &patience));
        let mut asking = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                called = &mut call => {
                    entered.answered();
                    return called;
                }
                Some(asked) = entered.asked.recv() => {
                    open.send_modify(|open| *open += 1);
                    asking.push(put(people, asked));
                }
                Some(()) = asking.next(), if !asking.is_empty() => {
                    open.send_modify(|open| *open -= 1);
                }
            }
        }
    }

    async fn call_within(
        &self,
        call: &Invocation<'_>,
        patience: &Patience,
    ) -> Result<Called, Failure> {
        let what = format!("tool {:?} of server {:?}", call.tool, self.server);
        let makes_tasks = self.info().is_some_and(|info| seam::makes_tasks(&info.capabilities));
        let as_task = call.as_task && self.asks_for_tasks() && makes_tasks;
        match self.call_once(call, as_task, &what, patience).await {
            // Refused before anything was done, as is a tool that must be called as a task.
            Err(CallError::Unmade(_)) if !as_task && self.asks_for_tasks() => {
                self.call_once(call, true, &what, patience).await
            }
            outcome => outcome,
        }
        .map_err(|error| match error {
            CallError::Unmade(failure) | CallError::Failed(failure) => failure,
        })
    }

    async fn call_once(
        &self,
        call: &Invocation<'_>,
        as_task: bool,
        what: &str,
        patience: &Patience,
    ) -> Result<Called, CallError> {
        let arguments: JsonObject = call.arguments.read().map_err(|error| {
            Failure::is_final(format!("{what}: the arguments are no JSON object ({error})"))
        })?;
        let handed = Handed::default();
        let request = if as_task {
            let params = json!({"name": call.tool, "arguments": arguments, "task": {}});
            let mut request = CustomRequest::new("tools/call", Some(params));
            request.extensions.insert(handed.clone());
            ClientRequest::CustomRequest(request)
        } else {
            let mut params =
                CallToolRequestParams::new(call.tool.to_owned()).with_arguments(arguments);
            if let Some(answers) = call.answers {
                let answered = answers.by_key.iter();
                let answered = answered.map(|(key, answer)| (key.clone(), json!(result(answer))));
                params.input_responses = Some(answered.collect());
                params.request_state.clone_from(&answers.state);
            }
            let mut request = CallToolRequest::new(params);
            request.extensions.insert(handed.clone());
            ClientRequest::CallToolRequest(request)
        };
        let mut meta = MetaObject::new();
        meta.insert(IDEMPOTENCY_KEY.to_owned(), Value::from(call.idempotency_key));
        let options = PeerRequestOptions::no_options().with_meta(RequestMetaObject::from(meta));
        let failure = match self.request_with(request, options, patience).await {
            Some(Ok(result)) => {
                let mut called = called(result, &self.server, what)?;
                if let Called::Task { task } = &mut called
                    && task.dialect == TaskDialect::Experimental
                {
                    task.session = self.session.id();
                    self.session.keep();
                }
                return Ok(called);
            }
            Some(Err(error)) => {
                let unmade = matches!(&error, ServiceError::McpError(error) if error.code == ErrorCode::METHOD_NOT_FOUND);
                let failure = self.told(fate(&error, handed.over()).of_call(what)).await;
                if unmade {
                    return Err(CallError::Unmade(failure));
                }
                failure
            }
            None => {
                let why = format!("no answer within {} s", self.timeouts.call_ms.div_ceil(1000));
                Fate::Unknown(why).of_call(what)
            }
        };
        Err(failure.into())
    }

    /// Makes a request; `None` is no answer in time. Dropping the future, or giving up, sends the
    /// server `notifications/cancelled`.
    pub(super) async fn request(
        &self,
        request: ClientRequest,
        patience: Duration,
    ) -> Option<Result<ServerResult, ServiceError>> {
        let patience = Patience { time: patience, open: None };
        self.request_with(request, PeerRequestOptions::no_options(), &patience).await
    }

    async fn request_with(
        &self,
        request: ClientRequest,
        options: PeerRequestOptions,
        patience: &Patience,
    ) -> Option<Result<ServerResult, ServiceError>> {
        let handle = match self.peer.send_cancellable_request(request, options).await {
            Ok(handle) => handle,
            Err(error) => return Some(Err(error)),
        };
        let guard = CancelOnDrop { peer: self.peer.clone(), id: Some(handle.id.clone()) };
        let result = tokio::select! {
            biased;
            result = handle.await_response() => result,
            () = self.ended.cancelled() => Err(ServiceError::TransportClosed),
            () = patience.ends() => return None,
        };
        guard.disarm();
        Some(result)
    }

    /// Keeps a request for a task's result open, for as long as the server does.
    pub(super) fn keep_result_open(&self, task: &str, request: impl FnOnce() -> ClientRequest) {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        results.retain(|_, open| !open.is_finished());
        if results.contains_key(task) {
            return;
        }
        let (peer, request) = (self.peer.clone(), request());
        let open = tokio::spawn(async move {
            // The result itself is asked for once the task has ended.
            if let Err(error) = peer.send_request(request).await {
                tracing::debug!(%error, "a request for a task's result was lost");
            }
        });
        results.insert(task.to_owned(), AbortOnDropHandle::new(open));
    }

    /// The failure with the server's last words, where it is a program that has ended.
    pub(super) async fn told(&self, mut failure: Failure) -> Failure {
        if let Some(words) = &self.words
            && !self.is_alive()
        {
            failure.message.push_str(&words.tell().await);
        }
        failure
    }

    /// Closes the connection, and stops and reaps the server where it is a program.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running
            && let Err(error) = running.cancel().await
        {
            tracing::warn!(server = self.server, %error, "a tool server was not closed cleanly");
        }
    }
}

/// How long an answer is waited for.
struct Patience {
    time: Duration,
    /// How many questions are open that the other side waits for: nothing is late meanwhile.
    open: Option<watch::Receiver<usize>>,
}

impl Patience {
    fn of(ms: u64) -> Self {
        Self { time: Duration::from_millis(ms), open: None }
    }

    async fn ends(&self) {
        let Some(mut open) = self.open.clone() else { return tokio::time::sleep(self.time).await };
        // The sender lives as long as the call.
        while open.wait_for(|open| *open == 0).await.is_ok() {
            tokio::select! {
                () = tokio::time::sleep(self.time) => return,
                _ = open.changed() => {}
            }
        }
        std::future::pending().await
    }
}

/// Puts one question of a server; the answer is `cancel` where there is none.
async fn put(people: &dyn People, asked: Asked) {
    let Asked { question, mut reply, place: _place } = asked;
    let answer = people.ask(question, reply.closed().boxed()).await;
    // The server may have taken the question back meanwhile.
    let _ = reply.send(answer.unwrap_or(Answer::Cancel));
}

impl Drop for Connection {
    /// The questions that are open go on at the server: see [`Wire::new`](super::wire::Wire::new).
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Why a call did not lead to anything.
enum CallError {
    /// The server has no such method, or not in this way.
    Unmade(Failure),
    Failed(Failure),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Tells the server that nobody waits for the answer any more.
struct CancelOnDrop {
    peer: Peer<RoleClient>,
    id: Option<RequestId>,
}

impl CancelOnDrop {
    fn disarm(mut self) {
        self.id = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let peer = self.peer.clone();
        runtime.spawn(async move {
            let params = CancelledNotificationParam::new(Some(id), Some(CANCEL_REASON.to_owned()));
            if let Err(error) = peer.notify_cancelled(params).await {
                tracing::debug!(%error, "a cancel did not reach a tool server");
            }
        });
    }
}

const CANCEL_REASON: &str = "the task was cancelled, or its process stops";
