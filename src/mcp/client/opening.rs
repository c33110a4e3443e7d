//! How a connection is opened: the program started or the address reached, and hands shaken.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::RoleClient;
use rmcp::model::{ErrorCode, ProtocolVersion};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, Transport};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Timeouts;
use super::child::{ChildTransport, LastWords};
use super::connection::Connection;
use super::desk::{Client, Desk};
use super::http::{Http, Session};
use super::in_flight::InFlight;
use super::outcome::{Fate, refusal, transport_fate};
use super::wire::Wire;
use crate::agent::ServerConfig;
use crate::journal::Failure;
use crate::{limits, tls};

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
        let attempt = |lifecycle| {
            let session = Arc::new(Session::default());
            Self::attempt(&server, &config, timeouts, lifecycle, session)
        };
        if matches!(config, ServerConfig::Http { .. }) {
            // The newer way first: an older server answers it with an error, and has lost nothing.
            // One that answers with something else altogether is asked in the older way alone.
            let either = ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
            };
            match attempt(either).await {
                Ok(connection) => return Ok(connection),
                Err(Refusal::Unreachable(failure)) => return Err(failure),
                Err(_) => {}
            }
        }
        // For a program `initialize` comes first: older ones know nothing else, and some exit at
        // anything else. One that has given it up says so, and is asked again in the newer way; so is
        // one that has the Tasks extension, which belongs to the newer protocol.
        match attempt(ClientLifecycleMode::Initialize).await {
            Ok(connection) if connection.has_newer_tasks() => {
                connection.close().await;
                if let Ok(connection) = attempt(newer()).await {
                    return Ok(connection);
                }
                attempt(ClientLifecycleMode::Initialize).await
            }
            Err(Refusal::Handshake) => attempt(newer()).await,
            attempted => attempted,
        }
        .map_err(|refusal| match refusal {
            Refusal::Unreachable(failure) | Refusal::Failed(failure) => failure,
            Refusal::Handshake => Failure::is_final(format!(
                "tool server {server:?} speaks no version of MCP that relight does"
            )),
        })
    }

    /// Reaches the server in a session that another process has begun. Whether the server still knows
    /// it is seen by the first request.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub(super) async fn take_up(
        server: String,
        config: ServerConfig,
        timeouts: Timeouts,
        session: String,
    ) -> Result<Self, Failure> {
        let older = ClientLifecycleMode::Initialize;
        let session = Arc::new(Session::of(&session));
        Self::attempt(&server, &config, timeouts, older, session).await.map_err(|refusal| {
            match refusal {
                Refusal::Unreachable(failure) | Refusal::Failed(failure) => failure,
                Refusal::Handshake => {
                    Failure::transient(format!("tool server {server:?} has no such session"))
                }
            }
        })
    }

    async fn attempt(
        server: &str,
        config: &ServerConfig,
        timeouts: Timeouts,
        lifecycle: ClientLifecycleMode,
        session: Arc<Session>,
    ) -> Result<Self, Refusal> {
        match config {
            ServerConfig::Stdio { command, args, env, cwd } => {
                let mut program = Command::new(command);
                program.args(args).env_clear().envs(env);
                if let Some(cwd) = cwd {
                    program.current_dir(cwd);
                }
                let (transport, words) = ChildTransport::spawn(server, program)
                    .map_err(|error| cannot_start(server, command, cwd.as_deref(), &error))?;
                Self::shake_hands(server, transport, Some(words), timeouts, lifecycle, session)
                    .await
            }
            ServerConfig::Http { url, headers } => {
                tls::use_ring();
                let headers = headers
                    .iter()
                    .map(|(name, value)| header(server, name, value))
                    .collect::<Result<HashMap<_, _>, _>>()?;
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers)
                    .max_sse_event_size(limits::MESSAGE_MAX_BYTES)
                    .max_json_response_size(limits::MESSAGE_MAX_BYTES);
                let client = Http::new(Arc::clone(&session)).map_err(|error| {
                    Failure::is_final(format!("tool server {server:?} cannot be used: {error}"))
                })?;
                let transport = StreamableHttpClientTransport::with_client(client, config);
                Self::shake_hands(server, transport, None, timeouts, lifecycle, session).await
            }
        }
    }

    async fn shake_hands<T: Transport<RoleClient> + 'static>(
        server: &str,
        transport: T,
        words: Option<Arc<LastWords>>,
        timeouts: Timeouts,
        lifecycle: ClientLifecycleMode,
        session: Arc<Session>,
    ) -> Result<Self, Refusal> {
        let ended = CancellationToken::new();
        let closing = CancellationToken::new();
        let wire = Wire::new(transport, ended.clone(), closing.clone());
        let patience = Duration::from_millis(timeouts.start_ms);
        let what = format!("tool server {server:?} cannot be used");
        let said = async || match &words {
            Some(words) => words.tell().await,
            None => String::new(),
        };
        let (desk, calls) = (Desk::default(), InFlight::default());
        let us = Client { desk: desk.clone(), calls: calls.clone() };
        match timeout(patience, us.serve_with_lifecycle(wire, lifecycle)).await {
            Ok(Ok(running)) => Ok(Self {
                server: server.to_owned(),
                peer: running.peer().clone(),
                running: Mutex::new(Some(running)),
                session,
                desk,
                calls,
                results: Mutex::default(),
                ended,
                closing,
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
                let kind = match fate {
                    Fate::NoConnection(_) => Refusal::Unreachable,
                    _ => Refusal::Failed,
                };
                let mut failure = fate.of_read(&what);
                failure.message.push_str(&said().await);
                Err(kind(failure))
            }
            Err(_) => Err(Refusal::Failed(Failure::transient(format!(
                "{what}: it has not shaken hands within {} s; does it speak MCP?{}",
                timeouts.start_ms.div_ceil(1000),
                said().await
            )))),
        }
    }
}

fn newer() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

/// Why a handshake failed.
enum Refusal {
    /// The server has no such handshake, and may have the other one.
    Handshake,
    /// There was no connection, so that no other handshake fares better.
    Unreachable(Failure),
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
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
