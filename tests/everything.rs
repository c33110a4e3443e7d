//! The protocol's reference server from npm (`@modelcontextprotocol/server-everything`) as a tool
//! server, with its tool that is a task: `simulate-research-query`. It keeps tasks in memory, each
//! known in its own session only.
//!
//! The package is pinned in `tests/interop/servers/`, and installed below `target`. It needs Node 20 or
//! later with npm, so `make interop` runs this, and a plain `cargo test` does not.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/home.rs"]
mod home;
#[path = "support/wire.rs"]
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use home::{Home, PATIENCE, Server, until};
use relight::agent::{Called, RemoteTask};
use relight::journal::{Event, Store};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

const FILES: [&str; 3] = [".npmrc", "package.json", "package-lock.json"];

/// The server's program.
async fn installed() -> &'static Path {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    INSTALLED.get_or_init(install).await
}

async fn install() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/servers");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("everything");
    fs::create_dir_all(&to).unwrap();
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let (lock, installed) = (to.join("package-lock.json"), to.join("installed-lock.json"));
    if fs::read(&installed).ok() != fs::read(&lock).ok() {
        let status = Command::new("npm").arg("ci").current_dir(&to).status().await;
        assert!(status.expect("npm is missing").success(), "npm ci has failed");
        fs::copy(lock, installed).unwrap();
    }
    to.join("node_modules/@modelcontextprotocol/server-everything/dist/index.js")
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
        node.arg(installed().await).arg("streamableHttp").env("PORT", port.to_string());
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
        let config = json!({"command": "node", "args": [installed().await]});
        Self::new(None, String::new(), &config, arguments)
    }

    fn new(server: Option<Child>, url: String, config: &Value, arguments: &Value) -> Self {
        let home = Home::empty();
        let agent = format!(
            "---\nname: ask\ndescription: Has it researched.\nmodel: script:ask.yaml\n\
             in_doubt: tell\nmcpServers: {{all: {config}}}\n---\nAsk.\n"
        );
        home.write("prompts/ask.md", &agent);
        let script = format!(
            "replies:\n  - calls: [{{tool: simulate-research-query, arguments: {arguments}}}]\n  \
             - text: \"told: {{{{results.simulate-research-query}}}}\"\n"
        );
        home.write("ask.yaml", &script);
        Self { home, _server: server, url }
    }

    async fn ask(&self, server: &mut Server) -> String {
        let call = json!({"name": "ask", "arguments": {"task": "it"}});
        let answer = server.wire.modern("tools/call", call).await;
        answer["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The server's task, once its handle is in our journal.
    async fn followed(&self, handle: &str) -> RemoteTask {
        let (journal, task) = (self.home.journal(), home::task_id(handle));
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

async fn until_shown(server: &mut Server, handle: &str, status: &str) -> Value {
    let since = Instant::now();
    loop {
        let shown = server.wire.modern("tasks/get", json!({"taskId": handle})).await;
        if shown["result"]["status"] == status {
            return shown["result"].clone();
        }
        assert!(since.elapsed() < PATIENCE, "never {status}: {shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn told(ended: &Value) -> &str {
    ended.pointer("/result/content/0/text").and_then(Value::as_str).unwrap()
}

fn tea() -> Value {
    json!({"topic": "tea"})
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn a_query_goes_on_through_a_kill_and_is_made_once() {
    let place = Place::http(&tea()).await;
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    let task = place.followed(&handle).await;
    server.kill().await;
    let mut server = place.home.serve_raw();
    let ended = until_shown(&mut server, &handle, "completed").await;
    assert!(told(&ended).starts_with("told: # Research Report: tea"), "{ended}");
    assert_eq!(place.listed(&task).await.len(), 1, "the tool was called once");
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn its_question_comes_up_and_the_answer_goes_down() {
    let place = Place::http(&json!({"topic": "python", "ambiguous": true})).await;
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    let task = place.followed(&handle).await;
    server.kill().await;
    let mut server = place.home.serve_raw();
    let shown = until_shown(&mut server, &handle, "input_required").await;
    let (key, asked) = shown["inputRequests"].as_object().unwrap().iter().next().unwrap();
    let message = asked["params"]["message"].as_str().unwrap();
    assert!(message.starts_with("all/simulate-research-query asks: The research query"), "{asked}");
    let answer = json!({"action": "accept", "content": {"interpretation": "snake"}});
    let update = json!({"taskId": handle, "inputResponses": {key: answer}});
    server.wire.modern("tasks/update", update).await;
    let ended = until_shown(&mut server, &handle, "completed").await;
    assert!(told(&ended).contains("python (snake)"), "{ended}");
    assert_eq!(place.listed(&task).await.len(), 1, "the tool was called once");
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn a_cancel_goes_down_to_it() {
    let place = Place::http(&tea()).await;
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    let task = place.followed(&handle).await;
    server.wire.modern("tasks/cancel", json!({"taskId": handle})).await;
    let ended = until_shown(&mut server, &handle, "cancelled").await;
    let message = ended["statusMessage"].as_str().unwrap();
    assert!(message.contains("may have taken effect before that: turn-1/tool-1"), "{message}");
    assert_eq!(place.listed(&task).await[0]["status"], "cancelled");
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn a_query_that_dies_with_its_server_is_in_doubt_and_not_made_again() {
    let place = Place::stdio(&tea()).await;
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    place.followed(&handle).await;
    server.kill().await;
    let mut server = place.home.serve_raw();
    let ended = until_shown(&mut server, &handle, "completed").await;
    assert!(told(&ended).contains("The outcome of this call is unknown"), "{ended}");
    let calls = place.home.journal().history(home::task_id(&handle), 0).await.unwrap();
    let calls = calls.iter().filter(|record| {
        matches!(&record.event, Event::StepStarted { key, .. } if key.ends_with("/tool-1"))
    });
    assert_eq!(calls.count(), 1, "the tool was called once");
}
