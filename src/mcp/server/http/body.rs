//! A request's body, read whole before anything is made of it, within bounds of size and time.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::model::{ClientJsonRpcMessage, ErrorData, JsonRpcError, RequestId};
use serde_json::Value;

use crate::limits;
use crate::mcp::server::listen;

/// Reads the body and checks that it is one JSON-RPC message. What is wrong with it is answered as
/// JSON-RPC says.
pub(super) async fn whole(request: Request, next: Next) -> Response {
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
    if let Some(complaint) = complaint(&body) {
        return (StatusCode::BAD_REQUEST, axum::Json(complaint)).into_response();
    }
    let body = match listen::rename(&body) {
        Some(message) => {
            // rmcp compares the header with the body.
            if let Some(method) =
                head.headers.get_mut("mcp-method").filter(|m| *m == listen::METHOD)
            {
                *method = HeaderValue::from_static(listen::RENAMED);
            }
            Body::from(message.to_string())
        }
        None => Body::from(body),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    next.run(Request::from_parts(head, body)).await
}

/// What is wrong with a body that is no message.
fn complaint(body: &[u8]) -> Option<JsonRpcError> {
    if serde_json::from_slice::<ClientJsonRpcMessage>(body).is_ok() {
        return None;
    }
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value,
        Err(error) => {
            let why = format!("the body is not JSON: {error}");
            return Some(JsonRpcError::new(None, ErrorData::parse_error(why, None)));
        }
    };
    let id: Option<RequestId> =
        value.get("id").and_then(|id| serde_json::from_value(id.clone()).ok());
    let why = "expected one JSON-RPC 2.0 message: an object with \"jsonrpc\": \"2.0\" and a method";
    Some(JsonRpcError::new(id, ErrorData::invalid_request(why, None)))
}
