//! What stands where, and what a request passes on its way.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::auth::WELL_KNOWN;
use super::cors::{Origins, cors};
use super::gate::{Stopping, gate};
use super::health::{Readiness, healthz, readyz};
use super::identify::{Identification, identify, resource_metadata};
use super::pace::Pace;
use super::sessions::Sessions;
use super::{HttpOptions, body};
use crate::limits;
use crate::mcp::server::Server;
use crate::mcp::server::owner::LiveTasks;
use crate::mcp::server::session::Session;

/// The names of this machine for itself, as they stand in a URL.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// rmcp forbids nothing else, and knows no flag that would allow it.
const NOT_ALLOWED: &str = "the Host or the Origin of this request is not allowed; start relight with \
                           --allow-host or --allow-origin to add one";

/// The whole of an HTTP server that listens on `address`.
pub(super) fn routes(
    server: &Server,
    options: HttpOptions,
    address: SocketAddr,
    stopping: &Stopping,
) -> Router {
    let HttpOptions { hosts, origins, identify: who, requests_per_second, live_tasks, .. } =
        options;
    let local = |host: &str| format!("http://{host}:{}", address.port());
    let origins: Vec<_> = LOOPBACK.map(local).into_iter().chain(origins).collect();
    let pages = Arc::new(Origins::new(&origins));
    let config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .with_max_request_body_bytes(limits::HTTP_BODY_MAX_BYTES)
        .with_allowed_hosts(LOOPBACK.map(str::to_owned).into_iter().chain(hosts))
        .with_allowed_origins(origins)
        .enforce_origin_validation()
        .with_cancellation_token(stopping.close.clone());
    let sessions = Arc::new(Sessions::default());
    let metadata = get(resource_metadata).with_state(who.clone());
    let identification = Identification {
        identify: who,
        sessions: Arc::clone(&sessions),
        pace: requests_per_second.map(Pace::new),
        live_tasks: live_tasks.map(|max| LiveTasks(max.get())),
    };
    let readiness = Readiness::new(server.inner.runtime.clone(), stopping.clone());
    let (server, stop) = (server.clone(), stopping.stop.clone());
    let mcp =
        StreamableHttpService::new(move || Ok(server.session(stop.clone())), sessions, config);
    // One handler and not a layer each: a layer boxes every request's future and clones what is below.
    let way = Arc::new(Way { stopping: stopping.clone(), identification, mcp });
    let mcp = any(move |request: Request| {
        let way = Arc::clone(&way);
        async move {
            let handle = |request| way.handle(request);
            let read = |request| body::whole(&way.identification.sessions, request, handle);
            let known = |request| identify(&way.identification, request, read);
            gate(&way.stopping, request, known).await
        }
    });
    Router::new()
        .route("/mcp", mcp)
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz).with_state(readiness))
        .route(WELL_KNOWN, metadata.clone())
        .route(&format!("{WELL_KNOWN}/{{*path}}"), metadata)
        .layer(from_fn_with_state(pages, cors))
}

/// What a request to `/mcp` passes on its way, and rmcp's service at its end.
struct Way {
    stopping: Stopping,
    identification: Identification,
    mcp: StreamableHttpService<Session, Sessions>,
}

impl Way {
    async fn handle(&self, request: Request) -> Response {
        // It has room for all that rmcp may do, and whatever holds it is moved about.
        let response = Box::pin(self.mcp.handle(request)).await;
        match response.status() {
            StatusCode::FORBIDDEN => (StatusCode::FORBIDDEN, NOT_ALLOWED).into_response(),
            _ => response.into_response(),
        }
    }
}
