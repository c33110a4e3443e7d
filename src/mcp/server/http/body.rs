//! A request's body, read whole before anything is made of it, within bounds of size and time.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, RequestId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::sessions::Sessions;
use crate::limits;
use crate::mcp::server::experimental::wire;
use crate::mcp::server::{listen, malformed};

/// The header that names a request's session.
pub(super) const SESSION: &str = "mcp-session-id";

/// The header that names what a request is about.
const NAME: &str = "mcp-name";

/// Reads the body and checks that it is one JSON-RPC message. What is wrong with it is answered as
/// JSON-RPC says. A message of the experimental Tasks is prepared for rmcp.
pub(super) async fn whole<R: Future<Output = Response>>(
    sessions: &Sessions,
    request: Request,
    next: impl FnOnce(Request) -> R,
) -> Response {
    if request.method() != Method::POST {
        return next(request).await;
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
    if let Some(known) = Known::read(&body) {
        let is_done = known.is_plain() && !head.headers.contains_key(SESSION);
        if !head.headers.contains_key(NAME)
            && let Some(task) = known.task()
        {
            head.headers.insert(NAME, task);
        }
        if is_done {
            return next(Request::from_parts(head, Body::from(body))).await;
        }
    }
    if let Some(message) = listen::rename(&body) {
        rename_method(&mut head.headers);
        head.headers.remove(header::CONTENT_LENGTH);
        return next(Request::from_parts(head, Body::from(message.to_string()))).await;
    }
    let message = match serde_json::from_slice::<ClientJsonRpcMessage>(&body) {
        Ok(message) if !malformed::is_misread(&message, &body) => message,
        _ => {
            let complaint = malformed::complaint(&body, "the body");
            return (StatusCode::BAD_REQUEST, axum::Json(complaint.error)).into_response();
        }
    };
    let session = head.headers.get(SESSION).and_then(|id| id.to_str().ok());
    let begins = session.is_none() && is_initialize(&message);
    if begins {
        let owner = head.extensions.get().cloned().unwrap_or_default();
        // Said here, because rmcp would say that something is broken.
        if let Err(full) = sessions.have_room_for(&owner) {
            return (StatusCode::SERVICE_UNAVAILABLE, full.to_string()).into_response();
        }
    }
    let renames = session.map_or(begins, |id| sessions.is_experimental(id));
    if !renames {
        return next(Request::from_parts(head, Body::from(body))).await;
    }
    let body = renamed(&body).unwrap_or_else(|_| body.into());
    head.headers.remove(header::CONTENT_LENGTH);
    next(Request::from_parts(head, Body::from(body))).await
}

/// rmcp compares the header with the body.
fn rename_method(headers: &mut HeaderMap) {
    if let Some(method) = headers.get_mut("mcp-method").filter(|method| *method == listen::METHOD) {
        *method = HeaderValue::from_static(listen::RENAMED);
    }
}

/// As much of a request as has to be known here: to read all of a message is a fifth of the work of
/// a `tasks/get`, and rmcp does it again.
#[derive(Deserialize)]
struct Known<'a> {
    jsonrpc: &'a str,
    #[serde(rename = "id")]
    _id: RequestId,
    method: &'a str,
    #[serde(borrow)]
    params: &'a RawValue,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

impl<'a> Known<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(body).ok().filter(|known| {
            known.jsonrpc == "2.0"
                && known.params.get().starts_with('{')
                && known.result.is_none()
                && known.error.is_none()
        })
    }

    /// Whether nothing has to be done to it, outside of sessions.
    fn is_plain(&self) -> bool {
        !matches!(self.method, "initialize" | listen::METHOD)
    }

    /// The task that it is about, as the header that names it. The extension demands this header of
    /// clients ("Routing Headers") for the sake of balancers that look for the server which has the
    /// task; here any has it, and it may be missing. One that is there is compared by rmcp, as is
    /// that of `tools/call`, without which the core specification has a request refused.
    fn task(&self) -> Option<HeaderValue> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params {
            task_id: String,
        }
        if !matches!(self.method, "tasks/get" | "tasks/update" | "tasks/cancel") {
            return None;
        }
        let Params { task_id } = serde_json::from_str(self.params.get()).ok()?;
        HeaderValue::from_str(&task_id).ok()
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
