//! The protocol's reference server from npm (`@modelcontextprotocol/server-everything`) as a tool
//! server, with its tool that is a task: `simulate-research-query`. It keeps tasks in memory, each
//! known in its own session only.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use relight::agent::{Called, RemoteTask};
use relight::journal::{Event, Store};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::home::{Home, PATIENCE, task_id, until};
use crate::npm;
use crate::one_call::{self, ask, told};

/// The server's program.
fn program() -> PathBuf {
    npm::install("servers")
        .join("node_modules/@modelcontextprotocol/server-everything/dist/index.js")
}

/// relight with an agent `ask` that has one question researched.
struct Place {
    home: Home,
    /// The server over HTTP, where it is; it dies with the test.
    _server: Option<Child>,
    url: String,
}

impl Place {
    async fn http(arguments: &Value) -> Self {
        let port = free_port();
        let mut node = Command::new("node");
        node.arg(program()).arg("streamableHttp").env("PORT", port.to_string());
        let server = node.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        let url = format!("http://127.0.0.1:{port}/mcp");
        until("the server listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        let config = json!({"type": "http", "url": url});
        Self::new(Some(server.unwrap()), url.clone(), &config, arguments)
    }

    async fn stdio(arguments: &Value) -> Self {
        let config = json!({"command": "node", "args": [program()]});
        Self::new(None, String::new(), &config, arguments)
    }

    fn new(server: Option<Child>, url: String, config: &Value, arguments: &Value) -> Self {
        let home = Home::empty();
        one_call::write(&home, ("all", config), "simulate-research-query", arguments);
        Self { home, _server: server, url }
    }

    /// The server's task, once its handle is in our journal.
    async fn followed(&self, handle: &str) -> RemoteTask {
        let (journal, task) = (self.home.journal(), task_id(handle));
        let since = Instant::now();
        loop {
            for record in journal.history(task, 0).await.unwrap() {
                if let Event::StepCompleted { output, .. } = record.event
                    && let Ok(Called::Task { task }) = output.read()
                {
                    return task;
                }
            }
            assert!(since.elapsed() < PATIENCE, "there is no handle");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The tasks of the session, as the server itself lists them.
    async fn listed(&self, task: &RemoteTask) -> Vec<Value> {
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let request = json!({"jsonrpc": "2.0", "id": 77, "method": "tasks/list", "params": {}});
        let answer = reqwest::Client::new()
            .post(&self.url)
            .header("mcp-session-id", task.session.as_deref().unwrap())
            .header("mcp-protocol-version", "2025-11-25")
            .header("accept", "application/json, text/event-stream")
            .json(&request)
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        // The first event is empty: it names a place to resume from.
        let mut events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let data = events.find(|data| !data.is_empty()).unwrap();
        let answer: Value = serde_json::from_str(data).unwrap();
        answer["result"]["tasks"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn tea() -> Value {
    json!({"topic": "tea"})
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn a_query_goes_on_through_a_kill_and_is_made_once() {
    let place = Place::http(&tea()).await;
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
    let task = place.followed(&handle).await;
    server.kill().await;
    let mut server = place.home.serve_raw();
    let ended = server.until_shown(&handle, "completed").await;
    assert!(told(&ended).starts_with("told: # Research Report: tea"), "{ended}");
    assert_eq!(place.listed(&task).await.len(), 1, "the tool was called once");
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn its_question_comes_up_and_the_answer_goes_down() {
    let place = Place::http(&json!({"topic": "python", "ambiguous": true})).await;
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
    let task = place.followed(&handle).await;
    server.kill().await;
    let mut server = place.home.serve_raw();
    let shown = server.until_shown(&handle, "input_required").await;
    let (key, asked) = shown["inputRequests"].as_object().unwrap().iter().next().unwrap();
    let message = asked["params"]["message"].as_str().unwrap();
    assert!(message.starts_with("all/simulate-research-query asks: The research query"), "{asked}");
    server.accept(&handle, key, json!({"interpretation": "snake"})).await;
    let ended = server.until_shown(&handle, "completed").await;
    assert!(told(&ended).contains("python (snake)"), "{ended}");
    assert_eq!(place.listed(&task).await.len(), 1, "the tool was called once");
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn a_cancel_goes_down_to_it() {
    let place = Place::http(&tea()).await;
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
    let task = place.followed(&handle).await;
    server.wire.modern("tasks/cancel", json!({"taskId": handle})).await;
    let ended = server.until_shown(&handle, "cancelled").await;
    let message = ended["statusMessage"].as_str().unwrap();
    assert!(message.contains("may have taken effect before that: turn-1/tool-1"), "{message}");
    assert_eq!(place.listed(&task).await[0]["status"], "cancelled");
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn a_query_that_dies_with_its_server_is_in_doubt_and_not_made_again() {
    let place = Place::stdio(&tea()).await;
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
    place.followed(&handle).await;
    server.kill().await;
    let mut server = place.home.serve_raw();
    let ended = server.until_shown(&handle, "completed").await;
    assert!(told(&ended).contains("The outcome of this call is unknown"), "{ended}");
    let calls = place.home.journal().history(task_id(&handle), 0).await.unwrap();
    let calls = calls.iter().filter(|record| {
        matches!(&record.event, Event::StepStarted { key, .. } if key.ends_with("/tool-1"))
    });
    assert_eq!(calls.count(), 1, "the tool was called once");
}
