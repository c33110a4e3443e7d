//! A client over HTTP that is nothing but requests: it can send what no library would send.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::wire::{tasks_declared, with_meta};

/// Makes requests. Clones share connections.
#[derive(Clone)]
pub(crate) struct Web {
    origin: String,
    client: reqwest::Client,
    next_id: Arc<AtomicI64>,
    /// What is sent as `x-owner`.
    pub(crate) owner: Option<&'static str>,
    /// What is sent as a bearer token.
    pub(crate) token: Option<String>,
    /// What is sent as `mcp-session-id`.
    pub(crate) session: Option<String>,
}

impl Web {
    pub(crate) fn new(origin: String) -> Self {
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { origin, client, next_id: Arc::default(), owner: None, token: None, session: None }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, format!("{}{path}", self.origin));
        if let Some(owner) = self.owner {
            request = request.header("x-owner", owner);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        request
    }

    /// A POST to `/mcp` that says what MCP wants it to say.
    pub(crate) fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let accept = "application/json, text/event-stream";
        let request = self.request(Method::POST, "/mcp").header(ACCEPT, accept);
        request.header(CONTENT_TYPE, "application/json").body(body)
    }

    fn message(&self, method: &str, params: &Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    /// A request of protocol 2026-07-28 with these capabilities.
    pub(crate) fn modern(
        &self,
        method: &str,
        params: Value,
        capabilities: Value,
    ) -> RequestBuilder {
        let name = ["name", "taskId"].iter().find_map(|key| params[*key].as_str());
        let name = name.unwrap_or_default().to_owned();
        let message = self.message(method, &with_meta(params, capabilities));
        self.post(message.to_string())
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
            .header("mcp-name", name)
    }

    /// The answer to a request of a client with the Tasks extension.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        answer(self.modern(method, params, tasks_declared()).send().await.unwrap()).await
    }

    /// A request of the session.
    pub(crate) fn older(&self, method: &str, params: &Value) -> RequestBuilder {
        self.post(self.message(method, params).to_string())
            .header("mcp-protocol-version", "2025-11-25")
    }

    /// The answer to the first message of clients up to 2025-11-25.
    pub(crate) async fn hello(&self) -> Response {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        });
        self.post(self.message("initialize", &params).to_string()).send().await.unwrap()
    }

    /// Shakes hands as clients did up to 2025-11-25.
    pub(crate) async fn initialize(&mut self) -> Value {
        let response = self.hello().await;
        let session = response.headers()["mcp-session-id"].to_str().unwrap();
        self.session = Some(session.to_owned());
        let result = answer(response).await;
        self.notify("notifications/initialized", json!({})).await;
        result
    }

    pub(crate) async fn notify(&self, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let sent = self.post(message.to_string()).header("mcp-protocol-version", "2025-11-25");
        let response = sent.send().await.unwrap();
        assert_eq!(response.status(), 202, "{}", response.text().await.unwrap());
    }

    /// Polls until the task does not work any more.
    pub(crate) async fn settle(&self, task: &str) -> Value {
        loop {
            let answer = self.ask("tasks/get", json!({"taskId": task})).await;
            let result = answer["result"].clone();
            assert!(result.is_object(), "{answer}");
            if result["status"] != "working" {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The JSON-RPC answer in a response, which is JSON or a stream that ends with it.
pub(crate) async fn answer(response: Response) -> Value {
    let text = response.text().await.unwrap();
    if let Ok(message) = serde_json::from_str(&text) {
        return message;
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let mut messages = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    messages.find(|message| message["method"].is_null()).unwrap_or_else(|| panic!("none: {text}"))
}
