//! One connection to one tool server: opened, used by many tasks at once, closed.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CancelledNotificationParam, ClientCapabilities,
    ClientConfig, ClientRequest, ErrorCode, Implementation, JsonObject, MetaObject,
    PaginatedRequestParams, ProtocolVersion, RequestId, RequestMetaObject,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, Peer, PeerRequestOptions,
    RunningService, ServiceError,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, Transport};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::child::{ChildTransport, LastWords};
use super::outcome::{Fate, fate, output, refusal, transport_fate};
use super::wire::{Handed, Wire};
use super::{Timeouts, tools};
use crate::agent::{ServerConfig, Tool, ToolOutput};
use crate::journal::{Failure, Payload};
use crate::limits;
use crate::mcp::IDEMPOTENCY_KEY;

/// A server that has shaken hands.
pub(super) struct Connection {
    server: String,
    peer: Peer<RoleClient>,
    /// Taken when the connection is closed; dropping it closes too, without waiting.
    running: Mutex<Option<RunningService<RoleClient, ClientConfig>>>,
    /// Cancelled once nothing more can be received.
    ended: CancellationToken,
    words: Option<Arc<LastWords>>,
    timeouts: Timeouts,
}

impl Connection {
    /// Starts or reaches the server and shakes hands. The configuration is already expanded.
    ///
    /// # Errors
    /// Transient where another try may find the server up.
    pub(super) async fn open(
        server: String,
        config: ServerConfig,
        timeouts: Timeouts,
    ) -> Result<Self, Failure> {
        // `initialize` first: older servers know nothing else, and some exit at anything else.
        // A server that has given it up says so, and is asked again in the newer way.
        match Self::attempt(&server, &config, timeouts, ClientLifecycleMode::Initialize).await {
            Err(Refusal::Handshake) => {}
            Err(Refusal::Failed(failure)) => return Err(failure),
            Ok(connection) => return Ok(connection),
        }
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        let newer = ClientLifecycleMode::Discover { preferred_versions };
        Self::attempt(&server, &config, timeouts, newer).await.map_err(|refusal| match refusal {
            Refusal::Failed(failure) => failure,
            Refusal::Handshake => Failure::is_final(format!(
                "tool server {server:?} speaks no version of MCP that relight does"
            )),
        })
    }

    async fn attempt(
        server: &str,
        config: &ServerConfig,
        timeouts: Timeouts,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Self, Refusal> {
        match config {
            ServerConfig::Stdio { command, args, env, cwd } => {
                let mut program = Command::new(command);
                program.args(args).envs(env);
                if let Some(cwd) = cwd {
                    program.current_dir(cwd);
                }
                let (transport, words) = ChildTransport::spawn(server, program)
                    .map_err(|error| cannot_start(server, command, cwd.as_deref(), &error))?;
                Self::shake_hands(server, transport, Some(words), timeouts, lifecycle).await
            }
            ServerConfig::Http { url, headers } => {
                // TLS needs one process-wide; whoever was first has set it.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let headers = headers
                    .iter()
                    .map(|(name, value)| header(server, name, value))
                    .collect::<Result<HashMap<_, _>, _>>()?;
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers)
                    .max_sse_event_size(limits::MESSAGE_MAX_BYTES)
                    .max_json_response_size(limits::MESSAGE_MAX_BYTES);
                let transport = StreamableHttpClientTransport::from_config(config);
                Self::shake_hands(server, transport, None, timeouts, lifecycle).await
            }
        }
    }

    async fn shake_hands<T: Transport<RoleClient> + 'static>(
        server: &str,
        transport: T,
        words: Option<Arc<LastWords>>,
        timeouts: Timeouts,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Self, Refusal> {
        let ended = CancellationToken::new();
        let wire = Wire::new(transport, ended.clone());
        let patience = Duration::from_millis(timeouts.start_ms);
        let what = format!("tool server {server:?} cannot be used");
        let said = async || match &words {
            Some(words) => words.tell().await,
            None => String::new(),
        };
        match timeout(patience, identity().serve_with_lifecycle(wire, lifecycle)).await {
            Ok(Ok(running)) => Ok(Self {
                server: server.to_owned(),
                peer: running.peer().clone(),
                running: Mutex::new(Some(running)),
                ended,
                words,
                timeouts,
            }),
            Ok(Err(ClientInitializeError::JsonRpcError(error)))
                if matches!(
                    error.code,
                    ErrorCode::METHOD_NOT_FOUND | ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
                ) =>
            {
                Err(Refusal::Handshake)
            }
            Ok(Err(error)) => {
                let fate = match &error {
                    ClientInitializeError::JsonRpcError(error) => Fate::Refused(refusal(error)),
                    ClientInitializeError::ConnectionClosed(_) => {
                        Fate::Unknown("it ended before it had shaken hands".to_owned())
                    }
                    ClientInitializeError::TransportError { error, .. } => {
                        transport_fate(error.error.as_ref())
                    }
                    error => Fate::Refused(error.to_string()),
                };
                let mut failure = fate.of_read(&what);
                failure.message.push_str(&said().await);
                Err(Refusal::Failed(failure))
            }
            Err(_) => Err(Refusal::Failed(Failure::transient(format!(
                "{what}: it has not shaken hands within {} s; does it speak MCP?{}",
                timeouts.start_ms.div_ceil(1000),
                said().await
            )))),
        }
    }

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

    /// Calls a tool once. Dropping the future sends the server `notifications/cancelled`.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: &Payload,
        idempotency_key: &str,
    ) -> Result<ToolOutput, Failure> {
        let what = format!("tool {tool:?} of server {:?}", self.server);
        let arguments: JsonObject = arguments.read().map_err(|error| {
            Failure::is_final(format!("{what}: the arguments are no JSON object ({error})"))
        })?;
        let handed = Handed::default();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let mut request = CallToolRequest::new(params);
        request.extensions.insert(handed.clone());
        let request = ClientRequest::CallToolRequest(request);
        let mut meta = MetaObject::new();
        meta.insert(IDEMPOTENCY_KEY.to_owned(), Value::from(idempotency_key));
        let options = PeerRequestOptions::no_options().with_meta(RequestMetaObject::from(meta));

        let sent = self.peer.send_cancellable_request(request, options).await;
        let handle = match sent {
            Ok(handle) => handle,
            Err(error) => return Err(self.told(fate(&error, handed.over()).of_call(&what)).await),
        };
        let guard = CancelOnDrop { peer: self.peer.clone(), id: Some(handle.id.clone()) };
        let result = tokio::select! {
            biased;
            result = handle.await_response() => result,
            () = self.ended.cancelled() => Err(ServiceError::TransportClosed),
            () = tokio::time::sleep(Duration::from_millis(self.timeouts.call_ms)) => {
                let why = format!("no answer within {} s", self.timeouts.call_ms.div_ceil(1000));
                return Err(Fate::Unknown(why).of_call(&what));
            }
        };
        guard.disarm();
        match result {
            Ok(result) => output(result, &what),
            Err(error) => Err(self.told(fate(&error, handed.over()).of_call(&what)).await),
        }
    }

    /// The failure with the server's last words, where it is a program that has ended.
    async fn told(&self, mut failure: Failure) -> Failure {
        if let Some(words) = &self.words
            && !self.is_alive()
        {
            failure.message.push_str(&words.tell().await);
        }
        failure
    }

    /// Closes the connection, and stops and reaps the server where it is a program.
    pub(super) async fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running
            && let Err(error) = running.cancel().await
        {
            tracing::warn!(server = self.server, %error, "a tool server was not closed cleanly");
        }
    }
}

/// Why a handshake failed.
enum Refusal {
    /// The server has no such handshake, and may have the other one.
    Handshake,
    Failed(Failure),
}

impl From<Failure> for Refusal {
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

/// Who we say we are. No extension is declared: tasks and questions of tool servers are not
/// followed, and a server must not answer with them then.
fn identity() -> ClientConfig {
    let name = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    ClientConfig::new(ClientCapabilities::default(), name)
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
}

fn cannot_start(server: &str, command: &str, cwd: Option<&str>, error: &io::Error) -> Failure {
    let what = format!("tool server {server:?} cannot be started");
    // A missing directory is reported as if the program were missing.
    if let Some(cwd) = cwd
        && !Path::new(cwd).is_dir()
    {
        return Failure::is_final(format!("{what}: its working directory {cwd:?} does not exist"));
    }
    match error.kind() {
        io::ErrorKind::NotFound => Failure::is_final(format!(
            "{what}: there is no program {command:?}; install it, or give its full path as \
             \"command\""
        )),
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => {
            Failure::is_final(format!("{what}: {command:?} cannot be executed ({error})"))
        }
        _ => Failure::transient(format!("{what}: {error}")),
    }
}

fn header(server: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let bad = |what: &str| {
        Failure::is_final(format!(
            "tool server {server:?}: the {what} of header {name:?} is not one that HTTP takes"
        ))
    };
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| bad("value"))?;
    value.set_sensitive(true);
    Ok((header, value))
}
