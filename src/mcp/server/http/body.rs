//! A request's body, read whole before anything is made of it, within bounds of size and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage};
use serde_json::Value;

use super::sessions::Sessions;
use crate::limits;
use crate::mcp::server::experimental::wire;
use crate::mcp::server::{listen, malformed};

/// The header that names a request's session.
const SESSION: &str = "mcp-session-id";

/// The header that names what a request is about.
const NAME: &str = "mcp-name";

/// Reads the body and checks that it is one JSON-RPC message. What is wrong with it is answered as
/// JSON-RPC says. A message of the experimental Tasks is prepared for rmcp.
pub(super) async fn whole(
    State(sessions): State<Arc<Sessions>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut head, body) = request.into_parts();
    let patience = Duration::from_millis(limits::HTTP_BODY_MS);
    let read = to_bytes(body, limits::HTTP_BODY_MAX_BYTES);
    let body = match tokio::time::timeout(patience, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            let max = limits::HTTP_BODY_MAX_BYTES;
            let told =
                format!("the body has at most {max} bytes, all of which must arrive: {error}");
            return (StatusCode::PAYLOAD_TOO_LARGE, told).into_response();
        }
        Err(_) => {
            let told = format!("the body did not arrive within {} ms", limits::HTTP_BODY_MS);
            return (StatusCode::REQUEST_TIMEOUT, told).into_response();
        }
    };
    if let Some(message) = listen::rename(&body) {
        rename_method(&mut head.headers);
        head.headers.remove(header::CONTENT_LENGTH);
        return next.run(Request::from_parts(head, Body::from(message.to_string()))).await;
    }
    let message = match serde_json::from_slice::<ClientJsonRpcMessage>(&body) {
        Ok(message) if !malformed::is_misread(&message, &body) => message,
        _ => {
            let complaint = malformed::complaint(&body, "the body");
            return (StatusCode::BAD_REQUEST, axum::Json(complaint.error)).into_response();
        }
    };
    name_task(&mut head.headers, &message);
    let session = head.headers.get(SESSION).and_then(|id| id.to_str().ok());
    let renames = match session {
        Some(id) => sessions.is_experimental(id),
        None => is_initialize(&message),
    };
    if !renames {
        return next.run(Request::from_parts(head, Body::from(body))).await;
    }
    let body = renamed(&body).unwrap_or_else(|_| body.into());
    head.headers.remove(header::CONTENT_LENGTH);
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// rmcp compares the header with the body.
fn rename_method(headers: &mut HeaderMap) {
    if let Some(method) = headers.get_mut("mcp-method").filter(|method| *method == listen::METHOD) {
        *method = HeaderValue::from_static(listen::RENAMED);
    }
}

/// Sets the header that names a request's task where it is missing. The extension demands it of
/// clients ("Routing Headers") for the sake of balancers that look for the server which has the task;
/// here any has it. A header that is there is compared by rmcp, as is that of `tools/call`, without
/// which the core specification has a request refused.
fn name_task(headers: &mut HeaderMap, message: &ClientJsonRpcMessage) {
    let JsonRpcMessage::Request(request) = message else { return };
    let task = match &request.request {
        ClientRequest::GetTaskRequest(get) => &get.params.task_id,
        ClientRequest::UpdateTaskRequest(update) => &update.params.task_id,
        ClientRequest::CancelTaskRequest(cancel) => &cancel.params.task_id,
        _ => return,
    };
    if !headers.contains_key(NAME)
        && let Ok(task) = HeaderValue::from_str(task)
    {
        headers.insert(NAME, task);
    }
}

fn is_initialize(message: &ClientJsonRpcMessage) -> bool {
    let JsonRpcMessage::Request(request) = message else { return false };
    matches!(request.request, ClientRequest::InitializeRequest(_))
}

/// The message as rmcp is to see it.
fn renamed(body: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut message: Value = serde_json::from_slice(body)?;
    wire::rename(&mut message);
    serde_json::to_vec(&message)
}
