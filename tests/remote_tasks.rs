//! The real binary with a tool server that makes tasks of calls: `examples/conformance.rs`, which keeps
//! them in a journal of its own. Over HTTP it speaks the extension and goes on while relight is killed;
//! over stdio it speaks the experimental dialect, and is started again with relight.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "support/home.rs"]
mod home;
#[path = "support/wire.rs"]
mod wire;

use std::time::Instant;

use fixtures::{Fixtures, example};
use home::{Home, Server, tasks, until};
use relight::journal::sqlite::Sqlite;
use relight::journal::{Event, Record, Status, Store, Task};
use serde_json::{Value, json};

/// relight with an agent `ask` that calls one tool of the server and answers what it was told.
struct Place {
    home: Home,
    /// Where the server is over HTTP; it dies with the test.
    jobs: Option<Fixtures>,
    dialect: &'static str,
}

impl Place {
    /// The server over HTTP.
    fn http(tool: &str, arguments: &Value) -> Self {
        let home = Home::empty();
        let jobs = Fixtures::start(&home.path("jobs.db"));
        let config = json!({"type": "http", "url": format!("{}/mcp", jobs.origin)});
        Self { home, jobs: Some(jobs), dialect: "extension" }
            .with_agent(&config, tool, arguments, "tell")
    }

    /// The server as a program.
    fn stdio(tool: &str, arguments: &Value) -> Self {
        let home = Home::empty();
        let args = json!(["--stdio", home.path("jobs.db")]);
        let config = json!({"command": example("conformance"), "args": args});
        Self { home, jobs: None, dialect: "experimental" }
            .with_agent(&config, tool, arguments, "tell")
    }

    fn with_agent(self, config: &Value, tool: &str, arguments: &Value, in_doubt: &str) -> Self {
        let agent = format!(
            "---\nname: ask\ndescription: Asks for one job.\nmodel: script:ask.yaml\n\
             in_doubt: {in_doubt}\nmcpServers: {{jobs: {config}}}\n---\nAsk.\n"
        );
        self.home.write("prompts/ask.md", &agent);
        let script = format!(
            "replies:\n  - calls: [{{tool: {tool}, arguments: {arguments}}}]\n  - text: \"told: {{{{results.{tool}}}}}\"\n"
        );
        self.home.write("ask.yaml", &script);
        self
    }

    /// Starts the agent; returns its handle.
    async fn ask(&self, server: &mut Server) -> String {
        let call = json!({"name": "ask", "arguments": {"task": "it"}});
        let answer = server.wire.modern("tools/call", call).await;
        answer["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The server's own record.
    async fn jobs(&self) -> Vec<Task> {
        let path = self.home.path("jobs.db");
        if path.exists() { tasks(&Sqlite::open(&path).unwrap()).await } else { Vec::new() }
    }

    async fn until_job(&self, status: Status) {
        until(status.as_str(), async || self.jobs().await.iter().any(|job| job.status == status))
            .await;
    }

    /// Waits until the handle of the server's task is in our journal.
    async fn until_followed(&self, handle: &str) {
        let journal = self.home.journal();
        let task = home::task_id(handle);
        let dialect = format!("\"dialect\":\"{}\"", self.dialect);
        let is_handle = |record: &Record| match &record.event {
            Event::StepCompleted { output, .. } => output.json().contains(&dialect),
            _ => false,
        };
        until("the handle", async || journal.history(task, 0).await.unwrap().iter().any(is_handle))
            .await;
    }

    /// Waits until nobody runs the task.
    async fn until_parked(&self, handle: &str) {
        let (journal, task) = (self.home.journal(), home::task_id(handle));
        until("it is parked", async || journal.task(task).await.unwrap().unwrap().runner.is_none())
            .await;
    }

    /// Tools are called once, whatever happened in between.
    async fn called_once(&self) {
        assert_eq!(self.jobs().await.len(), 1, "the tool was called once");
    }
}

async fn view(server: &mut Server, handle: &str) -> Value {
    let answer = server.wire.modern("tasks/get", json!({"taskId": handle})).await;
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"].clone()
}

async fn until_shown(server: &mut Server, handle: &str, status: &str) -> Value {
    let since = Instant::now();
    loop {
        let shown = view(server, handle).await;
        if shown["status"] == status {
            return shown;
        }
        assert!(since.elapsed() < home::PATIENCE, "never {status}: {shown}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn told(ended: &Value) -> &str {
    assert_eq!(ended["status"], "completed", "{ended}");
    ended.pointer("/result/content/0/text").and_then(Value::as_str).unwrap()
}

/// The server works through a kill; the tool is not called again, and its answer arrives.
async fn survives_a_kill(place: Place) {
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    place.until_followed(&handle).await;
    server.kill().await;
    let mut server = place.home.serve_raw();
    let ended = server.wire.settle(&handle).await;
    assert_eq!(told(&ended), "told: computed \"it\" in 2 s");
    place.called_once().await;
}

fn two_seconds() -> Value {
    json!({"seconds": 2, "label": "it"})
}

#[tokio::test]
async fn a_task_of_the_extension_is_found_again_after_a_kill() {
    survives_a_kill(Place::http("slow_compute", &two_seconds())).await;
}

#[tokio::test]
async fn a_task_of_the_experimental_dialect_is_found_again_after_a_kill() {
    survives_a_kill(Place::stdio("slow_compute", &two_seconds())).await;
}

#[tokio::test]
async fn what_the_task_is_at_over_there_is_shown() {
    let place = Place::http("slow_compute", &json!({"seconds": 30, "label": "it"}));
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    let wire = &mut server.wire;
    let since = Instant::now();
    loop {
        let answer = wire.modern("tasks/get", json!({"taskId": handle})).await;
        let message = answer["result"]["statusMessage"].as_str().unwrap_or_default();
        if message == "jobs/slow_compute: computing \"it\"" {
            return;
        }
        assert!(since.elapsed() < home::PATIENCE, "{message}");
    }
}

/// The question comes up, is answered after a kill, and the answer goes down.
async fn question_comes_up(place: Place) {
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    let shown = until_shown(&mut server, &handle, "input_required").await;
    let (key, asked) = shown["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(asked["params"]["message"], "jobs/confirm_delete asks: Delete all.txt?");
    assert_eq!(
        asked["params"]["requestedSchema"]["properties"]["confirm"]["type"], "boolean",
        "{asked}"
    );
    server.kill().await;

    let mut server = place.home.serve_raw();
    let answer = json!({"action": "accept", "content": {"confirm": true}});
    let update = json!({"taskId": handle, "inputResponses": {key: answer}});
    let updated = server.wire.modern("tasks/update", update).await;
    assert!(updated["result"].is_object(), "{updated}");
    let ended = until_shown(&mut server, &handle, "completed").await;
    assert_eq!(told(&ended), "told: all.txt is deleted");
    place.called_once().await;
}

fn all() -> Value {
    json!({"filename": "all.txt"})
}

#[tokio::test]
async fn a_question_of_the_extension_is_answered_after_a_kill() {
    question_comes_up(Place::http("confirm_delete", &all())).await;
}

#[tokio::test]
async fn a_question_of_the_experimental_dialect_is_answered_after_a_kill() {
    question_comes_up(Place::stdio("confirm_delete", &all())).await;
}

#[tokio::test]
async fn questions_that_are_asked_together_are_answered_one_by_one() {
    let place = Place::http("multi_input", &json!({}));
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    let wanted = |shown: &Value| shown["inputRequests"].as_object().map_or(0, |asked| asked.len());
    let since = Instant::now();
    let mut shown = until_shown(&mut server, &handle, "input_required").await;
    while wanted(&shown) < 2 {
        assert!(since.elapsed() < home::PATIENCE, "{shown}");
        shown = view(&mut server, &handle).await;
    }
    for (key, asked) in shown["inputRequests"].as_object().unwrap() {
        let fields = asked["params"]["requestedSchema"]["properties"].as_object().unwrap();
        let field = fields.keys().next().unwrap();
        let answer = json!({"action": "accept", "content": {field: "blue"}});
        let update = json!({"taskId": handle, "inputResponses": {key: answer}});
        server.wire.modern("tasks/update", update).await;
    }
    let ended = until_shown(&mut server, &handle, "completed").await;
    assert!(told(&ended).contains("\"name\": String(\"blue\")"), "{ended}");
    assert!(told(&ended).contains("\"colour\": String(\"blue\")"), "{ended}");
}

async fn cancel(server: &mut Server, handle: &str) -> String {
    let cancelled = server.wire.modern("tasks/cancel", json!({"taskId": handle})).await;
    assert!(cancelled["result"].is_object(), "{cancelled}");
    let ended = until_shown(server, handle, "cancelled").await;
    ended["statusMessage"].as_str().unwrap().to_owned()
}

/// The cancel goes down, and the call is told as one that may have taken effect.
async fn cancel_goes_down(place: Place, status: Status, restart: bool) {
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    place.until_followed(&handle).await;
    if status == Status::InputRequired {
        until_shown(&mut server, &handle, "input_required").await;
        place.until_parked(&handle).await;
    }
    place.until_job(status).await;
    if restart {
        server.kill().await;
        server = place.home.serve_raw();
    }
    let message = cancel(&mut server, &handle).await;
    assert!(message.contains("may have taken effect before that: turn-1/tool-1"), "{message}");
    place.until_job(Status::Cancelled).await;
    place.called_once().await;
}

fn long() -> Value {
    json!({"seconds": 600, "label": "it"})
}

#[tokio::test]
async fn a_cancel_reaches_a_task_of_the_extension() {
    cancel_goes_down(Place::http("slow_compute", &long()), Status::Working, false).await;
}

#[tokio::test]
async fn a_cancel_reaches_a_task_of_the_experimental_dialect() {
    cancel_goes_down(Place::stdio("slow_compute", &long()), Status::Working, false).await;
}

#[tokio::test]
async fn a_cancel_after_a_kill_reaches_the_task() {
    cancel_goes_down(Place::http("slow_compute", &long()), Status::Working, true).await;
}

#[tokio::test]
async fn a_cancel_reaches_a_task_whose_question_is_waited_for() {
    cancel_goes_down(Place::http("confirm_delete", &all()), Status::InputRequired, false).await;
    cancel_goes_down(Place::stdio("confirm_delete", &all()), Status::InputRequired, false).await;
}

#[tokio::test]
async fn a_cancel_after_a_kill_reaches_a_task_whose_question_is_waited_for() {
    cancel_goes_down(Place::http("confirm_delete", &all()), Status::InputRequired, true).await;
}

#[tokio::test]
async fn a_task_that_its_server_has_lost_is_in_doubt() {
    let place = Place::stdio("slow_compute", &two_seconds());
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    place.until_followed(&handle).await;
    server.kill().await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place.home.path(&format!("jobs.db{end}")));
    }
    let mut server = place.home.serve_raw();
    let ended = server.wire.settle(&handle).await;
    assert!(told(&ended).contains("The outcome of this call is unknown"), "{ended}");
    assert!(told(&ended).contains("ran jobs/slow_compute as its task"), "{ended}");
}

#[tokio::test]
async fn a_server_that_is_down_for_a_while_is_asked_again() {
    let mut place = Place::http("slow_compute", &two_seconds());
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    place.until_followed(&handle).await;
    let jobs = place.jobs.take().unwrap();
    let listen = jobs.origin.trim_start_matches("http://").to_owned();
    jobs.kill();
    place.jobs = Some(Fixtures::start_at(&listen, &place.home.path("jobs.db")));
    let ended = server.wire.settle(&handle).await;
    assert_eq!(told(&ended), "told: computed \"it\" in 2 s");
    place.called_once().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_servers_task() {
    let place = Place::http("slow_compute", &long());
    let mut server = place.home.serve_raw();
    let handle = place.ask(&mut server).await;
    place.until_followed(&handle).await;
    let since = Instant::now();
    assert_eq!(server.leave().await, Some(0));
    assert!(since.elapsed().as_millis() < 3_000, "{:?}", since.elapsed());
    assert_eq!(place.jobs().await[0].status, Status::Working, "it goes on without us");
}
