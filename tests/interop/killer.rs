//! A proxy in front of the example `conformance` that kills it (`kill -9`) and starts it again on the
//! same journal after every request it has answered.
//!
//! One request at a time, so that no other one dies with the process: what is tried is that nothing
//! between two requests is held in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::fixtures::Fixtures;

pub(crate) struct Killer {
    _tokio: Runtime,
    url: String,
    kills: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Proxy {
    journal: PathBuf,
    server: Arc<Mutex<Option<Fixtures>>>,
    client: reqwest::Client,
    kills: Arc<AtomicUsize>,
}

impl Killer {
    pub(crate) fn start(journal: PathBuf) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Some(Fixtures::start(&journal));
        let kills = Arc::new(AtomicUsize::new(0));
        let proxy = Proxy {
            journal,
            server: Arc::new(Mutex::new(server)),
            client: reqwest::Client::new(),
            kills: Arc::clone(&kills),
        };
        let tokio = Runtime::new().unwrap();
        let listener = tokio.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let app = Router::new().fallback(pass).with_state(proxy);
        tokio.spawn(async move { axum::serve(listener, app).await });
        Self { _tokio: tokio, url, kills }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn kills(&self) -> usize {
        self.kills.load(Ordering::Relaxed)
    }
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let mut place = proxy.server.lock().await;
    let server = place.take().unwrap();
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let url = format!("{}{}", server.origin, head.uri.path());
    let answer = proxy.client.request(head.method, url).headers(headers).body(body).send().await;
    let answer = answer.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let body = answer.bytes().await.unwrap();
    server.kill();
    proxy.kills.fetch_add(1, Ordering::Relaxed);
    *place = Some(Fixtures::start(&proxy.journal));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
