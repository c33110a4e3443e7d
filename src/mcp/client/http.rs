//! rmcp's HTTP client, with each event of a stream prepared for rmcp before it is read.
//!
//! An answer that comes as plain JSON is read by rmcp itself, out of our reach: such a server's tools
//! are called plainly, and as tasks only where it says that they must be.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rmcp::model::ClientJsonRpcMessage;
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
pub(super) struct Http(reqwest::Client);

impl Http {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new() -> reqwest::Result<Self> {
        // A connection whose last answer was not read to its end would stall the next request.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).redirect(redirects());
        client.build().map(Self)
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
        let sent = self
            .0
            .post_message_with_response_limits(uri, message, session, auth, headers, limits)
            .await?;
        Ok(match sent {
            StreamableHttpPostResponse::Sse(events, session) => {
                StreamableHttpPostResponse::Sse(prepared(events), session)
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
        self.0.delete_session(uri, session, auth, headers).await
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
            .0
            .get_stream_with_max_sse_event_size(uri, session, last_event, auth, headers, max)
            .await?;
        Ok(prepared(events))
    }
}
