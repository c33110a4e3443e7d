//! The real binary with an agent `ask` that calls one tool of another server, and answers with what
//! it was told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use serde_json::{Value, json};

use super::home::{Home, Server};

/// Writes the agent. The tool's server is given as it stands in `mcpServers`: its name, and how to
/// reach it.
pub(crate) fn write(home: &Home, (name, config): (&str, &Value), tool: &str, arguments: &Value) {
    let agent = format!(
        "---\nname: ask\ndescription: Asks for one job.\nmodel: script:ask.yaml\n\
         in_doubt: tell\nmcpServers: {{{name}: {config}}}\n---\nAsk.\n"
    );
    home.write("prompts/ask.md", &agent);
    let script = format!(
        "replies:\n  - calls: [{{tool: {tool}, arguments: {arguments}}}]\n  \
         - text: \"told: {{{{results.{tool}}}}}\"\n"
    );
    home.write("ask.yaml", &script);
}

/// Starts the agent; returns its handle.
pub(crate) async fn ask(server: &mut Server) -> String {
    server.call("ask", json!({"task": "it"})).await
}

/// What the agent answered.
pub(crate) fn told(ended: &Value) -> &str {
    assert_eq!(ended["status"], "completed", "{ended}");
    ended.pointer("/result/content/0/text").and_then(Value::as_str).unwrap()
}
