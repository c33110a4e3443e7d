//! What lets a web page of another origin use the server: browsers ask first, and show the page no
//! answer that does not name its origin (CORS, in the Fetch standard).
//!
//! Lets nobody in by itself: whose a request is, and that its origin is allowed, is looked at further
//! in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::limits;

const METHODS: &str = "GET, POST, DELETE";

/// What MCP's clients send beside what every page may.
const SENT: &str = "authorization, content-type, last-event-id, mcp-method, mcp-name, \
                    mcp-protocol-version, mcp-session-id";

/// What they read of an answer beside what every page may.
const READ: &str = "mcp-session-id, retry-after, www-authenticate";

/// The origins of pages that may use the server.
pub(super) struct Origins(Vec<Origin>);

#[derive(PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origins {
    /// Of texts such as `https://app.example:8443`; without a port, it is that of the scheme.
    pub(super) fn new<'a>(origins: impl IntoIterator<Item = &'a String>) -> Self {
        Self(origins.into_iter().filter_map(|origin| Origin::read(origin)).collect())
    }

    fn has(&self, origin: &HeaderValue) -> bool {
        let origin = origin.to_str().ok().and_then(Origin::read);
        origin.is_some_and(|origin| self.0.contains(&origin))
    }
}

impl Origin {
    fn read(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = if scheme == "https" { 443 } else { 80 };
        let host = uri.host()?.to_ascii_lowercase();
        Some(Self { scheme, host, port: uri.port_u16().unwrap_or(usual) })
    }
}

/// Answers what a browser asks before a request, and names the page's origin in every answer to it.
pub(super) async fn cors(
    State(origins): State<Arc<Origins>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN);
    let Some(origin) = origin.filter(|origin| origins.has(origin)).cloned() else {
        return next.run(request).await;
    };
    let asks_first = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first { may_ask() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

fn may_ask() -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, limits::CORS_MAX_AGE_S.into());
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let allowed = ["https://app.example:443", "http://localhost:8377"].map(str::to_owned);
        let origins = Origins::new(&allowed);
        let check = |origin: &'static str, expected| {
            assert_eq!(origins.has(&HeaderValue::from_static(origin)), expected, "{origin}");
        };
        check("https://app.example", true);
        check("https://APP.example:443", true);
        check("http://localhost:8377", true);
        check("http://app.example", false);
        check("https://app.example:444", false);
        check("https://app.example.evil", false);
        check("http://localhost", false);
        check("null", false);
    }
}
