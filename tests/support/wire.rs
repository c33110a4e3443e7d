//! An MCP client that is nothing but lines of JSON: it can say what no library would let it say.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::time::timeout;

/// How long an answer is waited for before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection. Requests are answered in any order; what is no answer is kept.
pub(crate) struct Wire {
    lines: Lines<BufReader<Box<dyn AsyncRead + Unpin + Send>>>,
    write: Box<dyn AsyncWrite + Unpin + Send>,
    next_id: i64,
    pub(crate) notifications: Vec<Value>,
}

impl Wire {
    pub(crate) fn new(
        read: impl AsyncRead + Unpin + Send + 'static,
        write: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let read: Box<dyn AsyncRead + Unpin + Send> = Box::new(read);
        let lines = BufReader::new(read).lines();
        Self { lines, write: Box::new(write), next_id: 1, notifications: Vec::new() }
    }

    /// Shakes hands as clients did up to 2025-11-25.
    pub(crate) async fn initialize(&mut self, version: &str, capabilities: Value) -> Value {
        let client = json!({"name": "test", "version": "0"});
        let params =
            json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
        let answer = self.request("initialize", params).await;
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        answer
    }

    pub(crate) async fn send_line(&mut self, line: &str) {
        self.write.write_all(line.as_bytes()).await.unwrap();
        self.write.write_all(b"\n").await.unwrap();
        self.write.flush().await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string()).await;
    }

    /// Sends a request and returns its id.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    /// The next message of the server.
    pub(crate) async fn receive(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("the server is silent");
        let line = line.unwrap().expect("the server has closed the connection");
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        message
    }

    /// The next message that answers a request, whichever.
    pub(crate) async fn receive_answer(&mut self) -> Value {
        loop {
            let message = self.receive().await;
            if message["method"].is_null() {
                return message;
            }
            self.notifications.push(message);
        }
    }

    pub(crate) async fn answer(&mut self, id: i64) -> Value {
        loop {
            let message = self.receive().await;
            // The server's own requests have ids of their own, which may be the same.
            if message["id"] == id && message["method"].is_null() {
                return message;
            }
            self.notifications.push(message);
        }
    }

    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.answer(id).await
    }

    /// A request of protocol 2026-07-28, with the Tasks extension declared.
    pub(crate) async fn modern(&mut self, method: &str, params: Value) -> Value {
        self.request(method, with_meta(params, tasks_declared())).await
    }

    /// Polls a task to its end.
    pub(crate) async fn settle(&mut self, task: &str) -> Value {
        let since = Instant::now();
        loop {
            let answer = self.modern("tasks/get", json!({"taskId": task})).await;
            let result = answer["result"].clone();
            assert!(result.is_object(), "{answer}");
            if result["status"] != "working" {
                return result;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end: {answer}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn tasks_declared() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

/// Params with what protocol 2026-07-28 wants in each request.
pub(crate) fn with_meta(mut params: Value, capabilities: Value) -> Value {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    params
}
