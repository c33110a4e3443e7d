//! The MCP server by its wire: lines of JSON and HTTP requests that no library would send.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod auth;
mod experimental;
mod handshake;
mod http;
mod listen;
mod mistakes;
mod plain;
mod rounds;
mod tasks;
mod waiting;

#[path = "../support/asking.rs"]
mod asking;
#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/examples.rs"]
mod examples;
#[path = "../support/fixtures.rs"]
mod fixtures;
#[path = "../support/journal.rs"]
mod journal;
#[path = "../support/site.rs"]
mod site;
#[path = "../support/web.rs"]
mod web;
#[path = "../support/wire.rs"]
mod wire;

use std::time::Duration;

use client::Host;
use relight::journal::{Filter, Store, TaskId};
use relight::mcp::server::Options;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A task's id that no task has.
const UNKNOWN: &str = "00000000000000000000000000000001";

/// A server of the fixtures, on a journal of its own.
async fn host() -> (TempDir, Host) {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::open(directory.path()).await;
    (directory, host)
}

/// The same, with `confirm`, which asks one question.
async fn host_that_asks(options: Options) -> (TempDir, Host) {
    let directory = tempfile::tempdir().unwrap();
    let host = asking::open(directory.path(), options).await;
    (directory, host)
}

/// The params of a call.
fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

fn greet() -> Value {
    call("greet", json!({"name": "Ann"}))
}

fn nap_an_hour() -> Value {
    call("nap", json!({"ms": 3_600_000}))
}

/// The code of an error.
fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

/// The message of an error.
fn said(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {answer}"))
}

/// The only task of a journal, once it is there.
async fn only_task(store: &dyn Store) -> TaskId {
    loop {
        match &store.tasks(Filter { limit: 2, ..Filter::default() }).await.unwrap()[..] {
            [] => tokio::time::sleep(Duration::from_millis(5)).await,
            [task] => return task.id,
            more => panic!("more than one: {more:?}"),
        }
    }
}
