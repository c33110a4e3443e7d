//! The stop of an HTTP server: what is let in, what is waited for, and for how long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::limits;

/// How far a server has got with stopping. Clones are one server's.
#[derive(Clone)]
pub(super) struct Stopping {
    /// Nothing new is let in.
    pub(super) stop: CancellationToken,
    /// Nothing is waited for any more: streams and connections end.
    pub(super) close: CancellationToken,
    /// The requests that are not answered to the end.
    requests: TaskTracker,
}

impl Stopping {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stop, close: CancellationToken::new(), requests: TaskTracker::new() }
    }

    /// Returns when the server is to close its connections: a while after the stop, or as soon as
    /// every request is answered.
    pub(super) async fn drained(&self) {
        self.stop.cancelled().await;
        self.requests.close();
        let patience = Duration::from_millis(limits::HTTP_DRAIN_MS);
        if tokio::time::timeout(patience, self.requests.wait()).await.is_err() {
            tracing::debug!(requests = self.requests.len(), "requests are cut off by the stop");
        }
        self.close.cancel();
    }
}

/// Lets a request in unless the server stops, and counts it until its response has left.
pub(super) async fn gate<R: Future<Output = Response>>(
    stopping: &Stopping,
    request: Request,
    next: impl FnOnce(Request) -> R,
) -> Response {
    // Taken before the stop is looked for, so that the stop waits for whatever got past it. Other
    // methods open streams that last as long as their session.
    let held = (request.method() == Method::POST).then(|| stopping.requests.token());
    if stopping.stop.is_cancelled() {
        let told = "relight is stopping; tasks go on when it is started again";
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, told).into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    let response = next(request).await;
    match held {
        Some(held) => response.map(|body| Body::new(Held { body, _held: held })),
        None => response,
    }
}

/// A response's body whose request counts as unanswered while this lives.
struct Held {
    body: Body,
    _held: TaskTrackerToken,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
