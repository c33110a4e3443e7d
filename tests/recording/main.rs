//! Recordings: written and read back, damaged, without secrets, and replayed on what has changed
//! since.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agents;
mod damage;
mod examples;
mod functions;
mod round_trip;
mod secrets;
mod trials;
mod versions;

#[path = "../support/model_server.rs"]
mod model_server;
#[path = "../support/payloads.rs"]
mod payloads;
#[path = "../support/shell_server.rs"]
mod shell_server;
#[path = "../support/journal.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use relight::agent::models::{ModelsConfig, Registry};
use relight::agent::{AGENT_FUNCTION, AgentLoop, Definition, Pinned, Prices};
use relight::durable::Runtime;
use relight::journal::sqlite::Sqlite;
use relight::journal::{Payload, Recording};
use relight::mcp::client::Downstream;
use serde_json::Value;

/// Runs an agent on the scripted model with the till as its tool server, and records it.
pub(crate) async fn recorded(
    dir: &Path,
    agent: &str,
    script: &str,
    arguments: &Value,
) -> Recording {
    std::fs::write(dir.join("replies.yaml"), script).unwrap();
    let ledger = dir.join("ledger.jsonl").display().to_string();
    let downstream = Arc::new(Downstream::new(move |name: &str| match name {
        "RELIGHT" => Some(env!("CARGO_BIN_EXE_relight").to_owned()),
        "LEDGER" => Some(ledger.clone()),
        _ => None,
    }));
    let config = ModelsConfig { script_dir: dir.to_owned(), ..ModelsConfig::default() };
    let agents = AgentLoop::new(Arc::new(Registry::new(config)), Arc::clone(&downstream) as _);
    let store = Arc::new(Sqlite::open(&dir.join("journal.db")).unwrap());
    let runtime =
        Runtime::builder(store).register(AGENT_FUNCTION, Arc::new(agents)).start().await.unwrap();
    let agent = Definition::parse("a.md", agent).unwrap();
    let pinned = Pinned::new(agent, Vec::new(), &Prices::default());
    let task = runtime.start(pinned.start(Payload::of(arguments).unwrap())).await.unwrap();
    runtime.wait(task).await.unwrap();
    let recording = Recording::of(runtime.store().as_ref(), task).await.unwrap();
    runtime.shutdown().await;
    downstream.close().await;
    recording
}
