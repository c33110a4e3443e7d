//! What the server owes for what it was sent.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// The answers owed for a stream of lines.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Per id, as JSON: how many messages carried it.
    carried: HashMap<String, usize>,
    /// The ids of requests that nobody took back. MCP forbids to use an id twice: of two requests
    /// of one id that are open at once, rmcp answers one.
    requests: HashSet<String>,
}

impl Owed {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut owed = Self::default();
        let mut taken_back = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(message) = serde_json::from_slice::<Value>(line) else { continue };
            if let Some(id) = valid_id(&message) {
                *owed.carried.entry(id.clone()).or_default() += 1;
                if is_request(&message) {
                    owed.requests.insert(id);
                }
            }
            if message["method"] == "notifications/cancelled" {
                taken_back.push(message["params"]["requestId"].to_string());
            }
        }
        for id in taken_back {
            owed.requests.remove(&id);
        }
        owed
    }

    /// Takes note of a message from the server. An answer that nobody is owed is an error.
    pub(crate) fn received(&mut self, message: &Value) -> Result<(), String> {
        if message["method"].is_string() {
            return Ok(());
        }
        if message["result"].is_null() == message["error"].is_null() {
            return Err(format!("neither result nor error: {message}"));
        }
        // A message whose id cannot be told is answered with null, or none.
        let id = &message["id"];
        if id.is_null() {
            return Ok(());
        }
        let id = id.to_string();
        match self.carried.get_mut(&id) {
            Some(carried) if *carried > 0 => *carried -= 1,
            _ => return Err(format!("answered once too often: {message}")),
        }
        self.requests.remove(&id);
        Ok(())
    }

    /// The ids of the requests that are not answered.
    pub(crate) fn unanswered(&self) -> Vec<&String> {
        self.requests.iter().collect()
    }
}

/// The id as MCP allows it: a string or an integer.
fn valid_id(message: &Value) -> Option<String> {
    let id = message.get("id")?;
    (id.is_string() || id.is_i64()).then(|| id.to_string())
}

/// A request as JSON-RPC 2.0 has it. Its params are the server's to judge.
pub(crate) fn is_request(message: &Value) -> bool {
    message["jsonrpc"] == "2.0"
        && message["method"].is_string()
        && valid_id(message).is_some()
        && ["result", "error"].iter().all(|member| message.get(member).is_none())
}
