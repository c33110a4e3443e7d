//! Whose a request is: asked before anything is made of it, and of its session's owner too.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::sessions::Sessions;
use crate::mcp::server::Owner;

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
}

/// What the layer needs.
#[derive(Clone)]
pub(super) struct Identification {
    pub(super) identify: Option<Arc<dyn Identify>>,
    pub(super) sessions: Arc<Sessions>,
}

/// Puts the [`Owner`] into the request's extensions. A session of another owner is unknown here.
pub(super) async fn identify(
    State(Identification { identify, sessions }): State<Identification>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    let owner = match identify {
        Some(identify) => match identify.owner(&head).await {
            Ok(owner) => owner,
            Err(refusal) => return refusal,
        },
        None => Owner::default(),
    };
    let session = head.headers.get("mcp-session-id").and_then(|id| id.to_str().ok());
    if session.is_some_and(|id| !sessions.is_owned_by(id, &owner)) {
        return (StatusCode::NOT_FOUND, "there is no such session; initialize a new one")
            .into_response();
    }
    head.extensions.insert(owner);
    next.run(Request::from_parts(head, body)).await
}
