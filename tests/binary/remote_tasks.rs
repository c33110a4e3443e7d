//! The real binary with a tool server that makes tasks of calls: `examples/conformance.rs`, which keeps
//! them in a journal of its own. Over HTTP it speaks the extension and goes on while relight is killed;
//! over stdio it speaks the experimental dialect, and is started again with relight.

use std::time::Instant;

use relight::journal::sqlite::Sqlite;
use relight::journal::{Event, Record, Status, Store, Task};
use serde_json::{Value, json};

use crate::examples::example;
use crate::fixtures::Fixtures;
use crate::home::{self, Home, Server, tasks, until};
use crate::one_call::{self, ask, told};

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
        one_call::write(&home, ("jobs", &config), tool, arguments);
        Self { home, jobs: Some(jobs), dialect: "extension" }
    }

    /// The server as a program.
    fn stdio(tool: &str, arguments: &Value) -> Self {
        let home = Home::empty();
        let args = json!(["--stdio", home.path("jobs.db")]);
        let config = json!({"command": example("conformance"), "args": args});
        one_call::write(&home, ("jobs", &config), tool, arguments);
        Self { home, jobs: None, dialect: "experimental" }
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

/// The server works through a kill; the tool is not called again, and its answer arrives.
async fn survives_a_kill(place: Place) {
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
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
    let handle = ask(&mut server).await;
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
    let handle = ask(&mut server).await;
    let shown = server.until_shown(&handle, "input_required").await;
    let (key, asked) = shown["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(asked["params"]["message"], "jobs/confirm_delete asks: Delete all.txt?");
    assert_eq!(
        asked["params"]["requestedSchema"]["properties"]["confirm"]["type"], "boolean",
        "{asked}"
    );
    server.kill().await;

    let mut server = place.home.serve_raw();
    server.accept(&handle, key, json!({"confirm": true})).await;
    let ended = server.until_shown(&handle, "completed").await;
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
    let handle = ask(&mut server).await;
    let since = Instant::now();
    let mut shown = server.until_shown(&handle, "input_required").await;
    // The server may be seen with one of the two only; the other one comes when that is answered.
    while shown["status"] != "completed" {
        assert!(since.elapsed() < home::PATIENCE, "{shown}");
        for (key, asked) in shown["inputRequests"].as_object().into_iter().flatten().take(1) {
            let fields = asked["params"]["requestedSchema"]["properties"].as_object().unwrap();
            let field = fields.keys().next().unwrap();
            server.accept(&handle, key, json!({field: "blue"})).await;
        }
        shown = server.view(&handle).await;
    }
    assert!(told(&shown).contains("\"name\": String(\"blue\")"), "{shown}");
    assert!(told(&shown).contains("\"colour\": String(\"blue\")"), "{shown}");
    place.called_once().await;
}

#[tokio::test]
async fn a_tool_that_asks_before_it_begins_is_called_again_with_the_answer() {
    let place = Place::http("test_tool_with_task", &json!({}));
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
    let shown = server.until_shown(&handle, "input_required").await;
    let (key, asked) = shown["inputRequests"].as_object().unwrap().iter().next().unwrap();
    let message = "jobs/test_tool_with_task asks: What is your name?";
    assert_eq!(asked["params"]["message"], message);
    server.kill().await;
    let mut server = place.home.serve_raw();
    server.accept(&handle, key, json!({"name": "Ada"})).await;
    let ended = server.until_shown(&handle, "completed").await;
    assert_eq!(told(&ended), "told: Hello, Ada!");
    place.called_once().await;
}

async fn cancel(server: &mut Server, handle: &str) -> String {
    let cancelled = server.wire.modern("tasks/cancel", json!({"taskId": handle})).await;
    assert!(cancelled["result"].is_object(), "{cancelled}");
    let ended = server.until_shown(handle, "cancelled").await;
    ended["statusMessage"].as_str().unwrap().to_owned()
}

/// The cancel goes down, and the call is told as one that may have taken effect.
async fn cancel_goes_down(place: Place, status: Status, restart: bool) {
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
    place.until_followed(&handle).await;
    if status == Status::InputRequired {
        server.until_shown(&handle, "input_required").await;
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
async fn a_cancel_from_a_shell_reaches_the_task_where_no_relight_runs() {
    let place = Place::http("slow_compute", &long());
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
    place.until_followed(&handle).await;
    place.until_job(Status::Working).await;
    assert_eq!(server.leave().await, Some(0));
    let ran = place.home.run(&["tasks", "cancel", &handle]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("may have taken effect before that: turn-1/tool-1"), "{ran:?}");
    place.until_job(Status::Cancelled).await;
    place.called_once().await;
}

#[tokio::test]
async fn a_task_that_its_server_has_lost_is_in_doubt() {
    let place = Place::stdio("slow_compute", &two_seconds());
    let mut server = place.home.serve_raw();
    let handle = ask(&mut server).await;
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
    let handle = ask(&mut server).await;
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
    let handle = ask(&mut server).await;
    place.until_followed(&handle).await;
    let since = Instant::now();
    assert_eq!(server.leave().await, Some(0));
    assert!(since.elapsed().as_millis() < 3_000, "{:?}", since.elapsed());
    assert_eq!(place.jobs().await[0].status, Status::Working, "it goes on without us");
}
