//! rmcp's HTTP client, with two things added: each event of a stream is prepared for rmcp before it is
//! read, and a session can be taken up that another process has begun.
//!
//! An answer that comes as plain JSON is read by rmcp itself, out of our reach: such a server's tools
//! are called plainly, and as tasks only where it says that they must be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, InitializeResult, JsonRpcMessage,
    JsonRpcRequest, ProtocolVersion, ServerCapabilities, ServerJsonRpcMessage, ServerResult,
};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use sse_stream::Sse;

use super::seam;
use crate::limits;

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Error = StreamableHttpError<reqwest::Error>;

#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    session: Arc<Session>,
}

/// The session of one connection, for protocols that have them.
#[derive(Default)]
pub(super) struct Session {
    id: Mutex<Option<String>>,
    /// It was begun by another process.
    taken_up: bool,
    /// rmcp has not shaken hands in it yet.
    to_take_up: AtomicBool,
    /// It has tasks in it, and is to outlive us.
    kept: AtomicBool,
}

impl Session {
    /// A session that another process has begun.
    pub(super) fn of(id: &str) -> Self {
        let (id, to_take_up) = (Mutex::new(Some(id.to_owned())), AtomicBool::new(true));
        Self { id, taken_up: true, to_take_up, kept: AtomicBool::new(true) }
    }

    pub(super) fn is_taken_up(&self) -> bool {
        self.taken_up
    }

    pub(super) fn id(&self) -> Option<String> {
        self.id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves the session to the server when the connection is closed.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    fn is(&self, id: Option<&String>) {
        if let Some(id) = id {
            *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        }
    }

    /// Shakes hands in the server's place in a session that it takes for open already.
    fn handshake(&self, message: &ClientJsonRpcMessage) -> Option<StreamableHttpPostResponse> {
        let is_initialized = |notification: &ClientNotification| {
            matches!(notification, ClientNotification::InitializedNotification(_))
        };
        match message {
            JsonRpcMessage::Notification(message) if is_initialized(&message.notification) => {
                let taken_up = self.to_take_up.swap(false, Ordering::Relaxed);
                taken_up.then_some(StreamableHttpPostResponse::Accepted)
            }
            JsonRpcMessage::Request(JsonRpcRequest {
                request: ClientRequest::InitializeRequest(_),
                id,
                ..
            }) if self.to_take_up.load(Ordering::Relaxed) => {
                let capabilities = ServerCapabilities::builder().enable_tools().build();
                let result = InitializeResult::new(capabilities)
                    .with_protocol_version(ProtocolVersion::V_2025_11_25);
                let result = ServerResult::InitializeResult(result);
                let message = ServerJsonRpcMessage::response(result, id.clone());
                Some(StreamableHttpPostResponse::Json(message, self.id()))
            }
            _ => None,
        }
    }
}

impl Http {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(session: Arc<Session>) -> reqwest::Result<Self> {
        // A connection whose last answer was not read to its end would stall the next request.
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_millis(limits::SERVER_CONNECT_MS))
            .redirect(redirects());
        Ok(Self { client: client.build()?, session })
    }
}

/// Follows what keeps the method and body, and hands nobody else the server's credentials.
fn redirects() -> Policy {
    Policy::custom(|attempt| {
        let origin = attempt.previous().first().map(|from| from.origin());
        let same_origin = origin.as_ref() == Some(&attempt.url().origin());
        if !same_origin || !matches!(attempt.status().as_u16(), 307 | 308) {
            attempt.stop()
        } else if attempt.previous().len() > limits::REDIRECTS {
            attempt.error(format!("more than {} redirects", limits::REDIRECTS))
        } else {
            attempt.follow()
        }
    })
}

fn prepared(events: Events) -> Events {
    let prepare = |event: Result<Sse, SseError>| {
        event.map(|mut event| {
            if let Some(kept) = event.data.as_deref().and_then(seam::keep) {
                event.data = Some(kept.to_string());
            }
            event
        })
    };
    events.map(prepare).boxed()
}

impl StreamableHttpClient for Http {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session, auth, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Error> {
        if let Some(answer) = self.session.handshake(&message) {
            return Ok(answer);
        }
        let sent = self
            .client
            .post_message_with_response_limits(uri, message, session, auth, headers, limits)
            .await?;
        Ok(match sent {
            StreamableHttpPostResponse::Sse(events, session) => {
                self.session.is(session.as_ref());
                StreamableHttpPostResponse::Sse(prepared(events), session)
            }
            StreamableHttpPostResponse::Json(message, session) => {
                self.session.is(session.as_ref());
                StreamableHttpPostResponse::Json(message, session)
            }
            other => other,
        })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<(), Error> {
        if self.session.kept.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.client.delete_session(uri, session, auth, headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<Events, Error> {
        let max = limits::MESSAGE_MAX_BYTES;
        self.get_stream_with_max_sse_event_size(uri, session, last_event, auth, headers, max).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: Headers,
        max: usize,
    ) -> Result<Events, Error> {
        let events = self
            .client
            .get_stream_with_max_sse_event_size(uri, session, last_event, auth, headers, max)
            .await?;
        Ok(prepared(events))
    }
}
