//! Two `relight serve` processes on one journal: what one starts the other sees, takes over and
//! stops, and nothing runs twice.

use std::time::{Duration, Instant};

use relight::journal::sqlite::Sqlite;
use relight::journal::{RunnerId, Status, Store, Task, TaskId};
use relight::limits;
use relight::mcp::TaskClient;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::home::{Home, order, task_id, tasks, until, until_all_ended};
use crate::promises;
use crate::wire::with_meta;

/// Starts tasks at a server and returns their handles.
async fn start(server: &TaskClient, names: &[&str]) -> Vec<String> {
    let mut handles = Vec::new();
    for name in names {
        handles.push(server.call("order", order(name)).await.unwrap());
    }
    handles
}

async fn task(journal: &Sqlite, id: TaskId) -> Task {
    journal.task(id).await.unwrap().unwrap()
}

/// Who runs a task, once somebody does.
async fn runner(journal: &Sqlite, handle: &str) -> RunnerId {
    let id = task_id(handle);
    until("somebody runs the task", async || task(journal, id).await.runner.is_some()).await;
    task(journal, id).await.runner.unwrap()
}

#[tokio::test]
async fn a_dead_servers_tasks_are_taken_over_and_none_runs_twice() {
    let home = Home::new();
    let journal = home.journal();
    // Every task of the first server is caught with its first charge made and not answered.
    home.hold_charges();
    let first = home.serve().await;
    let of_first = start(&first, &["A1", "A2", "A3"]).await;
    until("the first server's charges", async || home.charges() == 3).await;
    let dying = runner(&journal, &of_first[0]).await;

    let second = home.serve().await;
    let of_second = start(&second, &["B1", "B2"]).await;
    for handle in &of_second {
        // Which server runs a task is nobody's business: both may claim it.
        runner(&journal, handle).await;
    }
    for (server, handle) in [(&first, &of_second[0]), (&second, &of_first[0])] {
        let view = server.get(handle).await.expect("each server knows the other's tasks");
        assert_eq!(view.status, "working");
    }

    let killed = Instant::now();
    first.kill().await.unwrap();
    // Nobody asks the second server for these tasks.
    until("all tasks are taken over", async || {
        tasks(&journal).await.iter().all(|task| task.runner.is_some_and(|runner| runner != dying))
    })
    .await;
    let waited = killed.elapsed();
    let lease = Duration::from_millis(limits::LEASE_MS);
    assert!(waited < lease, "a dead server was waited out like a hung one: {waited:?}");
    home.let_go();
    until_all_ended(&journal).await;
    for handle in of_first.iter().chain(&of_second) {
        assert_eq!(second.get(handle).await.unwrap().status, "completed");
    }
    for handle in &of_first {
        assert_eq!(task(&journal, task_id(handle)).await.epoch, 2, "taken over once");
    }
    promises::check(&home, &journal).await;
    second.close().await.unwrap();
}

#[tokio::test]
async fn servers_that_both_live_never_run_a_task_twice() {
    let home = Home::new();
    let journal = home.journal();
    let (first, second) = tokio::join!(home.serve(), home.serve());
    let (a, b) = tokio::join!(
        start(&first, &["A1", "A2", "A3", "A4"]),
        start(&second, &["B1", "B2", "B3", "B4"])
    );
    until_all_ended(&journal).await;
    for handle in a.iter().chain(&b) {
        assert_eq!(task(&journal, task_id(handle)).await.epoch, 1, "claimed once");
        let (one, other) = (first.get(handle).await.unwrap(), second.get(handle).await.unwrap());
        assert_eq!((one.status, &one.outcome), ("completed", &other.outcome));
    }
    promises::check(&home, &journal).await;
    first.close().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_cancel_reaches_the_server_that_runs_the_task() {
    let home = Home::new();
    home.hold_charges();
    let first = home.serve().await;
    let handles = start(&first, &["A1", "A2"]).await;
    until("both charges", async || home.charges() == 2).await;

    // By the other server.
    let second = home.serve().await;
    second.cancel(&handles[0]).await.unwrap();
    let ended = async |server: &TaskClient, handle: &str| {
        until("the cancelled task's end", async || server.get(handle).await.unwrap().ended).await;
        server.get(handle).await.unwrap()
    };
    for server in [&first, &second] {
        let view = ended(server, &handles[0]).await;
        assert_eq!(view.status, "cancelled");
        let message = view.message.unwrap();
        assert!(message.contains("may have taken effect before that: turn-1/tool-2"), "{message}");
    }

    // By the command line, from a process that runs nothing.
    let ran = home.run(&["tasks", "cancel", &handles[1], "--reason", "wrong size", "--json"]).await;
    let end = ran.json();
    assert_eq!((&end["id"], &end["status"]), (&json!(handles[1]), &json!("cancelled")));
    assert!(end["message"].as_str().unwrap().contains("wrong size"), "{end}");
    assert_eq!(ended(&first, &handles[1]).await.status, "cancelled");

    home.let_go();
    assert_eq!(home.charges(), 2, "a cancelled task goes no further");
    first.close().await.unwrap();
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_task_that_nobody_runs_is_cancelled_by_the_command_line() {
    let home = Home::new().slow_model(600_000);
    let journal = home.journal();
    let mut server = home.serve_raw();
    let handle = server.order("A1").await;
    server.kill().await;
    let ran = home.run(&["tasks", "cancel", &handle[..8]]).await;
    assert_eq!((ran.code, ran.stdout.trim()), (0, "cancelled"), "{ran:?}");
    assert_eq!(task(&journal, task_id(&handle)).await.status, Status::Cancelled);
    let again = home.run(&["tasks", "cancel", &handle]).await;
    assert_eq!((again.code, again.stdout.trim()), (0, "The task had already been cancelled."));
}

#[tokio::test]
async fn a_terminated_server_leaves_its_tasks_to_be_resumed_at_once() {
    let home = Home::new().slow_model(300);
    let journal = home.journal();
    let mut server = home.serve_raw();
    for name in ["A1", "A2", "A3"] {
        server.order(name).await;
    }
    until("a charge", async || home.charges() > 0).await;
    server.signal(Signal::TERM);
    let (code, took) = server.ended().await;
    assert_eq!(code, Some(0), "{}", home.logged());
    assert!(took < bound(), "{took:?}");
    for task in tasks(&journal).await {
        assert_eq!((task.status, task.runner), (Status::Working, None), "{task:?}");
        assert!(task.wake_at_ms.is_some_and(|due| due <= task.updated_at_ms), "{task:?}");
    }

    let server = home.serve().await;
    for task in until_all_ended(&journal).await {
        assert_eq!((task.status, task.epoch), (Status::Completed, 2));
        let answer = server.get(&task.id.to_string()).await.unwrap().outcome.unwrap();
        let text = answer["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(": charged 300 cents"), "steps under way were waited for: {text}");
    }
    promises::check(&home, &journal).await;
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_server_stops_in_bounded_time_whatever_it_waits_for() {
    let home = Home::new().slow_model(600_000);
    let journal = home.journal();
    let mut server = home.serve_raw();
    let in_a_model_call = server.order("A1").await;
    // A client without the extension waits for its answer meanwhile.
    let call = json!({"name": "order", "arguments": {"order": "A2"}});
    let blocking = server.wire.ask("tools/call", with_meta(call, json!({}))).await;
    let id = task_id(&in_a_model_call);
    until("a model call", async || {
        task(&journal, id).await.message.is_some_and(|message| message.contains("turn 1"))
    })
    .await;
    until("the second task", async || tasks(&journal).await.len() == 2).await;
    server.signal(Signal::TERM);
    let answer: Value = server.wire.answer(blocking).await;
    let said = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
    assert!(said.contains("goes on when"), "{said}");
    let (code, took) = server.ended().await;
    assert_eq!(code, Some(0), "{}", home.logged());
    assert!(took < bound(), "{took:?}");
    for task in tasks(&journal).await {
        assert_eq!((task.status, task.runner), (Status::Working, None), "{task:?}");
        assert!(task.wake_at_ms.is_some(), "{task:?}");
    }
}

/// How long a stop may take: the grace for steps, the grace for tool servers, and a slow machine.
fn bound() -> Duration {
    const SLOW: u64 = 10_000;
    Duration::from_millis(limits::SHUTDOWN_GRACE_MS + 2 * limits::SERVER_STOP_MS + SLOW)
}
