//! `relight serve --transport http`, as a process.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/client.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod client;
#[path = "support/home.rs"]
mod home;
#[path = "support/site.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod site;

use std::time::Duration;

use client::wire;
use home::{Home, order};
use relight::journal::{Status, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use site::Web;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

const HTTP: [&str; 5] = ["serve", "--transport", "http", "--listen", "127.0.0.1:0"];

/// Starts it and returns a client. What it says further is read from the lines.
async fn serve(home: &Home) -> (Child, Lines<BufReader<ChildStderr>>, Web) {
    let mut server = home.command(&HTTP).spawn().unwrap();
    let mut said = BufReader::new(server.stderr.take().unwrap()).lines();
    let line = said.next_line().await.unwrap().unwrap();
    let url = line.strip_prefix("serving MCP at ").unwrap_or_else(|| panic!("{line}"));
    let web = Web::new(url.strip_suffix("/mcp").unwrap().to_owned());
    (server, said, web)
}

#[tokio::test]
async fn a_signal_stops_it_and_its_tasks_go_on_with_the_next() {
    let home = Home::new().slow_model(600_000);
    let (mut server, _said, web) = serve(&home).await;
    let call = json!({"name": "order", "arguments": order("A-1")});
    let handle = web.ask("tools/call", call).await;
    let id = handle["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{handle}")).to_owned();

    let pid = Pid::from_raw(server.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let ended = timeout(Duration::from_secs(30), server.wait()).await;
    assert!(ended.expect("it does not stop").unwrap().success());
    let kept = home.journal().task(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((kept.status, kept.runner), (Status::Working, None), "it is free to be taken up");

    let home = home.slow_model(20);
    let (_server, _said, web) = serve(&home).await;
    assert_eq!(web.settle(&id).await["status"], "completed");
}

#[tokio::test]
async fn beyond_this_machine_it_wants_to_know_who_is_there() {
    let home = Home::new();
    let ran = home.run(&["serve", "--transport", "http", "--listen", "0.0.0.0:0"]).await;
    ran.refused(1, &["0.0.0.0:0", "--allow-unauthenticated"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = home.run(&["serve", "--transport", "http", "--listen", &address]).await;
    ran.refused(1, &["cannot listen on", &address]);
}
