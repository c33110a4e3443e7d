//! Whose a request is: asked before anything is made of it, and of its session's owner too.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::time::Instant;

use super::body::SESSION;
use super::pace::Pace;
use super::sessions::Sessions;
use crate::mcp::server::Owner;
use crate::mcp::server::owner::LiveTasks;

/// What is answered to a request whose owner is not let in.
pub type Refusal = Response;

/// Finds out whose a request is.
#[async_trait]
pub trait Identify: Send + Sync + 'static {
    /// Reads it off the request's head.
    ///
    /// # Errors
    /// What to answer instead, such as 401 with a `WWW-Authenticate` header.
    async fn owner(&self, head: &Parts) -> Result<Owner, Refusal>;

    /// The document that says how to get a token for the resource at `path` (RFC 9728), or for the
    /// only one where `path` is empty. `None` where there is no such.
    fn resource_metadata(&self, _head: &Parts, _path: &str) -> Option<Value> {
        None
    }
}

/// Answers with the document about the resource that the path names.
pub(super) async fn resource_metadata(
    State(identify): State<Option<Arc<dyn Identify>>>,
    path: Option<Path<String>>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    let path = path.map(|Path(path)| format!("/{path}")).unwrap_or_default();
    match identify.and_then(|identify| identify.resource_metadata(&head, &path)) {
        Some(document) => axum::Json(document).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What it needs to know.
pub(super) struct Identification {
    pub(super) identify: Option<Arc<dyn Identify>>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) pace: Option<Pace>,
    pub(super) live_tasks: Option<LiveTasks>,
}

/// Puts the [`Owner`] into the request's extensions. A session of another owner is unknown here.
pub(super) async fn identify<R: Future<Output = Response>>(
    Identification { identify, sessions, pace, live_tasks }: &Identification,
    request: Request,
    next: impl FnOnce(Request) -> R,
) -> Response {
    let (mut head, body) = request.into_parts();
    let owner = match identify {
        Some(identify) => match identify.owner(&head).await {
            Ok(owner) => owner,
            Err(refusal) => return refusal,
        },
        None => Owner::default(),
    };
    if let Some(Err(wait)) = pace.as_ref().map(|pace| pace.take(&owner, Instant::now())) {
        let seconds = wait.as_secs_f64().ceil();
        let told = format!("too many requests; ask again in {seconds} s, and less often");
        let header = [(header::RETRY_AFTER, seconds.to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, header, told).into_response();
    }
    let session = head.headers.get(SESSION).and_then(|id| id.to_str().ok());
    // rmcp answers for an id that nobody knows, but takes the end of such a session for done.
    let may_be_unknown = head.method != Method::DELETE;
    if session.is_some_and(|id| !sessions.is_owned_by(id, &owner).unwrap_or(may_be_unknown)) {
        return (StatusCode::NOT_FOUND, "there is no such session; initialize a new one")
            .into_response();
    }
    head.extensions.insert(owner);
    if let Some(live_tasks) = live_tasks {
        head.extensions.insert(*live_tasks);
    }
    next(Request::from_parts(head, body)).await
}
