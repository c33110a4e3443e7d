//! Questions to people: asked once, answered from outside, kept over restarts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{
    Answer, Clock, Context, ManualClock, Question, Runtime, StartTask, SystemClock,
};
use relight::journal::sqlite::Sqlite;
use relight::journal::{End, Failure, Filter, History, Payload, Signal, Status, TaskId};
use serde_json::json;

fn question(message: &str) -> Question {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    Question::new(message, Payload::of(&schema).unwrap())
}

async fn both(ctx: Context, _: ()) -> Result<Vec<Answer>, Failure> {
    let (one, two) = (question("one?"), question("two?"));
    let (one, two) = tokio::try_join!(ctx.ask("one", &one), ctx.ask("two", &two))?;
    Ok(vec![one, two, ctx.ask("one", &question("one again?")).await?])
}

/// Starts `both` through a child of its own.
async fn above(ctx: Context, levels: u32) -> Result<Vec<Answer>, Failure> {
    if levels == 1 {
        return ctx.child("below", "both", &()).await;
    }
    ctx.child("below", "above", &(levels - 1)).await
}

async fn runtime(journal: &Path) -> Runtime {
    let store = Arc::new(Sqlite::open(journal).unwrap());
    let builder = Runtime::builder(store).function("both", both).function("above", above);
    builder.start().await.unwrap()
}

async fn stop(runtime: Runtime) {
    runtime.shutdown().await;
    runtime.store().close().await;
}

/// Waits until the task asks exactly these.
async fn until_asked(runtime: &Runtime, task: TaskId, expected: &[&str]) {
    let store = runtime.store();
    let mut changes = store.changes();
    let asked = async {
        loop {
            changes.mark_unchanged();
            let history = History::of(store.history(task, 0).await.unwrap()).unwrap();
            let mut keys: Vec<_> = history.questions().map(|(key, _)| key.to_owned()).collect();
            keys.sort();
            if keys == expected {
                return;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
    assert_eq!(store.task(task).await.unwrap().unwrap().status, Status::InputRequired);
}

async fn say(runtime: &Runtime, task: TaskId, key: &str, answer: serde_json::Value) {
    let value = Payload::of(&answer).unwrap();
    let answer = Signal::Answer { key: key.to_owned(), value };
    runtime.store().signal(task, answer, SystemClock.now_ms()).await.unwrap();
}

async fn output(runtime: &Runtime, task: TaskId) -> serde_json::Value {
    match runtime.wait(task).await.unwrap() {
        End::Completed(output) => output.read().unwrap(),
        end => panic!("{end:?}"),
    }
}

fn accept(name: &str) -> serde_json::Value {
    json!({"action": "accept", "content": {"name": name}})
}

#[tokio::test]
async fn answers_come_one_by_one_and_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal.db");

    let first = runtime(&journal).await;
    let new = StartTask::new("both", "both", Payload::null());
    let task = first.start(new).await.unwrap();
    until_asked(&first, task, &["one", "two"]).await;
    say(&first, task, "unknown", accept("nobody")).await;
    say(&first, task, "two", json!({"action": "decline"})).await;
    until_asked(&first, task, &["one"]).await;
    stop(first).await;

    let second = runtime(&journal).await;
    until_asked(&second, task, &["one"]).await;
    say(&second, task, "one", accept("Ada")).await;
    say(&second, task, "one", accept("too late")).await;
    until_asked(&second, task, &["one#2"]).await;
    stop(second).await;

    let third = runtime(&journal).await;
    say(&third, task, "one#2", json!("no answer at all")).await;
    say(&third, task, "one#2", accept("Grace")).await;
    let expected = json!([accept("Ada"), {"action": "decline"}, accept("Grace")]);
    assert_eq!(output(&third, task).await, expected);
    stop(third).await;
}

#[tokio::test]
async fn a_task_that_asks_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime(&dir.path().join("journal.db")).await;
    let task = runtime.start(StartTask::new("both", "both", Payload::null())).await.unwrap();
    until_asked(&runtime, task, &["one", "two"]).await;
    runtime.cancel(task, None).await.unwrap();
    assert_eq!(runtime.wait(task).await.unwrap(), End::Cancelled("cancelled".to_owned()));
    stop(runtime).await;
}

/// The task that asks for itself, two levels below.
async fn lowest(runtime: &Runtime, task: TaskId) -> TaskId {
    let mut lowest = task;
    loop {
        let filter = Filter { parent: Some(lowest), limit: 1, ..Filter::default() };
        match runtime.store().tasks(filter).await.unwrap().first() {
            Some(child) => lowest = child.id,
            None => return lowest,
        }
    }
}

#[tokio::test]
async fn a_task_asks_for_its_children_and_their_children() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal.db");
    let key = |name: &str| format!("below#child/below#child/{name}");

    let first = runtime(&journal).await;
    let new = StartTask::new("above", "above", Payload::of(&2).unwrap());
    let task = first.start(new).await.unwrap();
    until_asked(&first, task, &[&key("one"), &key("two")]).await;
    say(&first, task, &key("two"), json!({"action": "decline"})).await;
    until_asked(&first, task, &[&key("one")]).await;
    stop(first).await;

    let second = runtime(&journal).await;
    until_asked(&second, task, &[&key("one")]).await;
    say(&second, task, &key("one"), accept("Ada")).await;
    until_asked(&second, task, &[&key("one#2")]).await;
    // Answered where it is asked: nobody above asks it any more, and the history is sound.
    let below = lowest(&second, task).await;
    say(&second, below, "one#2", accept("Grace")).await;
    let expected = json!([accept("Ada"), {"action": "decline"}, accept("Grace")]);
    assert_eq!(output(&second, task).await, expected);
    let history = History::of(second.store().history(task, 0).await.unwrap()).unwrap();
    assert_eq!(history.questions().count(), 0);
    stop(second).await;
}

#[tokio::test]
async fn a_question_expires_while_its_task_is_parked_unless_it_was_answered() {
    const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;
    const BEGIN_MS: i64 = 1_700_000_000_000;
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at_ms(BEGIN_MS);
    let start = async |name: &str| {
        let store = Arc::new(Sqlite::open(&dir.path().join(name)).unwrap());
        let asks = |ctx: Context, _: ()| async move {
            let question = Question { expire_ms: Some(WEEK_MS), ..question("who?") };
            ctx.ask("who", &question).await
        };
        let builder = Runtime::builder(store).clock(clock.clone()).function("asks", asks);
        builder.start().await.unwrap()
    };
    for (name, answered) in [("silence.db", false), ("answer.db", true)] {
        let began_ms = clock.now_ms();
        let first = start(name).await;
        let task = first.start(StartTask::new("asks", "asks", Payload::null())).await.unwrap();
        until_asked(&first, task, &["who"]).await;
        let due_ms = began_ms.saturating_add_unsigned(WEEK_MS);
        let mut changes = first.store().changes();
        loop {
            changes.mark_unchanged();
            let parked = first.store().task(task).await.unwrap().unwrap();
            if parked.runner.is_none() {
                assert_eq!(parked.wake_at_ms, Some(due_ms));
                break;
            }
            changes.changed().await.unwrap();
        }
        stop(first).await;

        // Nobody runs the task when its time is over.
        let store = Arc::new(Sqlite::open(&dir.path().join(name)).unwrap());
        let elsewhere = Runtime::builder(store).only_own().start().await.unwrap();
        if answered {
            say(&elsewhere, task, "who", accept("Ada")).await;
        } else {
            say(&elsewhere, task, "who", json!({"action": "expired"})).await;
        }
        stop(elsewhere).await;
        clock.advance_ms(due_ms - clock.now_ms() + 1);

        let second = start(name).await;
        let expected = if answered { accept("Ada") } else { json!({"action": "expired"}) };
        assert_eq!(output(&second, task).await, expected);
        assert_eq!(second.store().task(task).await.unwrap().unwrap().status, Status::Completed);
        stop(second).await;
    }
}
