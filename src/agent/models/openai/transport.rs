//! One HTTP exchange under async-openai: no retries, bounds on time and size, and errors that keep
//! what the server said.
//!
//! async-openai alone would retry by itself, and lose the status, the headers and the body of an
//! error. Its middleware puts this in place of its own HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures_util::stream;
use http::header;
use reqwest::{Body, Response};
use tokio::time::{Instant, timeout_at};

use crate::journal::{Failure, FailureKind};
use crate::limits;

use super::Timeouts;
use super::target::Target;
use crate::agent::models::fault::{Said, retry_after_ms};

/// The end of a stream of server-sent events, as every server writes it.
const DONE: [&[u8]; 2] = [b"\ndata: [DONE]", b"\ndata:[DONE]"];

/// What the server is to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    /// Server-sent events.
    Stream,
    /// One JSON object.
    Json,
}

/// An answer that is no reply.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// The status of the answer, or the one that an error inside it carries, if any.
    pub(super) status: Option<u16>,
    pub(super) said: Said,
}

impl Refused {
    /// Whether the conversation is longer than the model can read.
    pub(super) fn is_too_long(&self) -> bool {
        self.said.is_too_long(self.status)
    }

    /// Whether something in the request is at fault, so that another request may do.
    pub(super) fn blames_request(&self) -> bool {
        matches!(self.status, Some(400 | 422))
    }
}

/// One exchange. Clones share what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    http: reqwest::Client,
    timeouts: Timeouts,
    target: Arc<Target>,
    model: Arc<str>,
    expects: Expects,
    seen: Arc<Mutex<Seen>>,
}

/// What went over the wire. async-openai hands on neither.
#[derive(Debug, Default)]
struct Seen {
    bytes: usize,
    /// The last bytes, where `[DONE]` may be cut in two.
    tail: Vec<u8>,
    done: bool,
    failure: Option<Failure>,
    refused: Option<Refused>,
}

impl Exchange {
    pub(super) fn new(
        http: reqwest::Client,
        timeouts: Timeouts,
        target: Arc<Target>,
        model: &str,
        expects: Expects,
    ) -> Self {
        Self { http, timeouts, target, model: model.into(), expects, seen: Arc::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server marked the end of its stream.
    pub(super) fn is_done(&self) -> bool {
        self.seen().done
    }

    /// What broke the stream, if the wire did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.seen().failure.clone()
    }

    /// Keeps what the server answered instead of a reply.
    pub(super) fn note(&self, refused: Refused) {
        self.seen().refused = Some(refused);
    }

    /// What the server answered instead of a reply, if it did.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.seen().refused.clone()
    }

    /// Sends the request and waits for the head of the answer.
    pub(super) async fn send(self, request: HttpRequestFactory) -> Result<Response, OpenAIError> {
        let request = request.build().await?;
        let first_byte_by = Instant::now() + Duration::from_millis(self.timeouts.first_byte_ms);
        let sent = timeout_at(first_byte_by, self.http.execute(request));
        let response = match sent.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(boxed(self.target.unreachable(&error))),
            Err(_elapsed) => return Err(boxed(self.silent(self.timeouts.first_byte_ms))),
        };
        if response.status().is_success() && self.is_expected(&response) {
            return Ok(self.watch(response, first_byte_by));
        }
        let status = response.status().as_u16();
        let wait_ms = retry_after_ms(response.headers());
        let location = response.headers().get(header::LOCATION).cloned();
        let said = Said::of_body(&self.error_body(response).await);
        if let Some(to) = location.as_ref().and_then(|to| to.to_str().ok())
            && (300..400).contains(&status)
        {
            return Err(boxed(self.target.moved(status, to)));
        }
        // Some gateways answer 200 and put the status into the body.
        let status = said.status().filter(|_| status < 300).unwrap_or(status);
        let failure = self.target.refused(&self.model, Some(status), &said);
        self.note(Refused { status: Some(status), said });
        let wait_ms = wait_ms.filter(|_| failure.kind == FailureKind::Transient);
        Err(boxed(failure.retry_after_ms(wait_ms)))
    }

    /// Whether the body may be what is wanted. Servers that say nothing about it get the benefit of
    /// the doubt; a web page is no reply, and a JSON object no stream, whatever the status says.
    fn is_expected(&self, response: &Response) -> bool {
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is = |unwanted: &str| kind.is_some_and(|kind| kind.starts_with(unwanted));
        let json = self.expects == Expects::Stream && is("application/json");
        !is("text/html") && !json
    }

    /// The beginning of an error's body; what comes too late or breaks off is left out.
    async fn error_body(&self, mut response: Response) -> String {
        let by = Instant::now() + Duration::from_millis(self.timeouts.stall_ms);
        let mut body = Vec::new();
        while let Ok(Ok(Some(bytes))) = timeout_at(by, response.chunk()).await
            && body.len() < limits::MODEL_ERROR_BODY_BYTES
        {
            body.extend_from_slice(&bytes);
        }
        body.truncate(limits::MODEL_ERROR_BODY_BYTES);
        String::from_utf8_lossy(&body).into_owned()
    }

    /// The same answer with a body that fails when it is silent for too long, or too large.
    fn watch(self, response: Response, first_byte_by: Instant) -> Response {
        let bytes = stream::try_unfold((response, first_byte_by), move |(mut response, by)| {
            let exchange = self.clone();
            async move {
                match timeout_at(by, response.chunk()).await {
                    Ok(Ok(Some(bytes))) => {
                        exchange.saw(&bytes)?;
                        let stall = Duration::from_millis(exchange.timeouts.stall_ms);
                        Ok(Some((bytes, (response, Instant::now() + stall))))
                    }
                    Ok(Ok(None)) => Ok(None),
                    Ok(Err(error)) => Err(exchange.broke(exchange.target.cut(Some(&error)))),
                    Err(_elapsed) => Err(exchange.broke(exchange.stalled())),
                }
            }
        });
        http::Response::new(Body::wrap_stream(bytes)).into()
    }

    fn saw(&self, bytes: &[u8]) -> Result<(), Carried> {
        let mut seen = self.seen();
        seen.bytes += bytes.len();
        if seen.bytes > limits::MODEL_STREAM_MAX_BYTES {
            let failure = self.target.too_long(&self.model);
            seen.failure = Some(failure.clone());
            return Err(Carried(failure));
        }
        let keep = DONE[0].len() - 1;
        seen.tail.extend_from_slice(bytes);
        seen.done |= DONE.iter().any(|end| seen.tail.windows(end.len()).any(|at| at == *end));
        let excess = seen.tail.len().saturating_sub(keep);
        seen.tail.drain(..excess);
        Ok(())
    }

    fn broke(&self, failure: Failure) -> Carried {
        self.seen().failure = Some(failure.clone());
        Carried(failure)
    }

    fn stalled(&self) -> Failure {
        let begun = self.seen().bytes > 0;
        match begun {
            true => self.target.stalled(self.timeouts.stall_ms),
            false => self.silent(self.timeouts.first_byte_ms),
        }
    }

    fn silent(&self, wait_ms: u64) -> Failure {
        self.target.silent(&self.model, wait_ms)
    }
}

fn boxed(failure: Failure) -> OpenAIError {
    OpenAIError::Boxed(Box::new(Carried(failure)))
}

/// A failure on its way through libraries that carry errors only.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Carried(pub(super) Failure);
