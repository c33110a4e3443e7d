//! A step that must not run twice, and a crash between its start and its outcome.

use std::future::pending;

use relight::agent::OpenQuestions;
use relight::durable::{Attempt, Builder, Context, Doubt};
use relight::journal::{Failure, FailureKind, Signal, Status, Store, Task, TaskId};
use serde_json::{Value, json};

use crate::bench::{Log, Process, assert_says, history, until};
use crate::scratch::{Scratch, within};

/// Charges under this policy; the first process never sees the answer.
fn charge(builder: Builder, log: &Log, doubt: Doubt, answers: bool) -> Builder {
    let log = log.clone();
    builder.function("f", move |ctx: Context, (): ()| {
        let log = log.clone();
        async move {
            let code = |attempt: Attempt| {
                log.note("charged");
                log.note(format!("attempt {} of {}", attempt.number, attempt.idempotency_key));
                async move { if answers { Ok(attempt.number) } else { pending().await } }
            };
            match ctx.once("charge").in_doubt(doubt).run(code).await {
                Err(failure) if failure.kind == FailureKind::InDoubt => {
                    log.note("doubted");
                    // The code decides; what it does about it is a step of its own.
                    ctx.pure("find").run(|_| async { log.done("looked it up") }).await?;
                    Err::<u32, _>(failure)
                }
                outcome => outcome,
            }
        }
    })
}

#[tokio::test]
async fn by_default_the_code_is_told_and_nothing_is_run_again() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let first = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Fail, false)).await;
    let task = first.task("f", &()).await;
    log.saw("charged").await;
    first.kill().await;
    let second = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Fail, true)).await;
    let failure = second.failure(task).await;
    assert_says(&failure, FailureKind::InDoubt, &["\"charge\"", "may have taken effect"]);
    assert_eq!(log.count("charged"), 1);
    assert_eq!(log.count("looked it up"), 1);
}

#[tokio::test]
async fn a_doubt_is_recorded_and_stays_what_it_was() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let first = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Fail, false)).await;
    let task = first.task("f", &()).await;
    log.saw("charged").await;
    first.kill().await;
    let second = Process::start(scratch.open(), |builder| {
        let log = log.clone();
        builder.function("f", move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                let step = ctx.once("charge").run::<u32, _, _>(|_| pending()).await;
                let failure = step.unwrap_err();
                log.note("doubted");
                ctx.pure("find").run::<(), _, _>(|_| pending()).await?;
                Err::<u32, Failure>(failure)
            }
        })
    })
    .await;
    log.saw("doubted").await;
    second.kill().await;
    // A policy that says otherwise comes too late: the outcome is recorded.
    let third = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Rerun, true)).await;
    assert_says(&third.failure(task).await, FailureKind::InDoubt, &["\"charge\""]);
    assert_eq!(log.count("charged"), 1);
    assert_eq!(history(&**third.runtime.store(), task).await.claims(), 3);
}

#[tokio::test]
async fn a_rerun_uses_the_same_idempotency_key() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let first = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Rerun, false)).await;
    let task = first.task("f", &()).await;
    log.saw("charged").await;
    first.kill().await;
    let second = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Rerun, true)).await;
    assert_eq!(second.answer::<u32>(task).await, 2);
    assert_eq!(log.count(&format!("attempt 1 of {task}/charge")), 1);
    assert_eq!(log.count(&format!("attempt 2 of {task}/charge")), 1);
}

/// Waits until the step asks, and tells the key and the words.
async fn asked(process: &Process, task: TaskId, after: &str) -> (String, String) {
    let store = process.runtime.store().as_ref();
    let mut changes = store.changes();
    let asked = async {
        loop {
            changes.mark_unchanged();
            let open = OpenQuestions::of(store, task).await.unwrap();
            if let Some((key, question)) = open.iter().find(|(key, _)| *key != after) {
                return (key.to_owned(), question.message.clone());
            }
            changes.changed().await.unwrap();
        }
    };
    within("a question", asked).await
}

async fn say(process: &Process, task: TaskId, key: &str, content: Value) {
    let store = process.runtime.store().as_ref();
    let answer = json!({"action": "accept", "content": content});
    let open = OpenQuestions::of(store, task).await.unwrap();
    let answers = [(key.to_owned(), answer)];
    assert_eq!(open.answer(store, 0, answers).await.unwrap(), 1);
}

/// A charge that is in doubt after a crash, and asks about it.
async fn in_doubt(scratch: &Scratch, log: &Log) -> (Process, TaskId) {
    let first = Process::start(scratch.open(), |b| charge(b, log, Doubt::Ask, false)).await;
    let task = first.task("f", &()).await;
    log.saw("charged").await;
    first.kill().await;
    (Process::start(scratch.open(), |b| charge(b, log, Doubt::Ask, true)).await, task)
}

#[tokio::test]
async fn a_person_who_knows_completes_the_step() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let (second, task) = in_doubt(&scratch, &log).await;
    let (key, words) = asked(&second, task, "").await;
    assert_eq!(key, "charge#doubt-1");
    assert!(words.contains("Task: f\nStep: charge\n"), "{words}");
    parked_asking(&second, task).await;
    second.kill().await;
    // The question is the same after a further crash, and a result of the wrong type is asked again.
    let third = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Ask, true)).await;
    assert_eq!(asked(&third, task, "").await, (key.clone(), words));
    say(&third, task, &key, json!({"outcome": "happened", "result": "seven"})).await;
    let (again, words) = asked(&third, task, &key).await;
    assert!(words.starts_with("That result cannot be used: "), "{words}");
    say(&third, task, &again, json!({"outcome": "happened", "result": "7"})).await;
    assert_eq!(third.answer::<u32>(task).await, 7);
    assert_eq!(log.count("charged"), 1);
}

async fn parked_asking(process: &Process, task: TaskId) {
    let store = process.runtime.store().as_ref();
    let parked = |task: &Task| task.runner.is_none() && task.status == Status::InputRequired;
    until(store, task, "it is parked", parked).await;
}

#[tokio::test]
async fn what_did_not_happen_runs_and_may_be_in_doubt_again() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let first = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Ask, false)).await;
    let task = first.task("f", &()).await;
    log.saw("charged").await;
    first.kill().await;
    let second = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Ask, false)).await;
    let (key, _) = asked(&second, task, "").await;
    say(&second, task, &key, json!({"outcome": "run"})).await;
    log.times("charged", 2).await;
    second.kill().await;
    let third = Process::start(scratch.open(), |b| charge(b, &log, Doubt::Ask, true)).await;
    let (key, _) = asked(&third, task, "").await;
    assert_eq!(key, "charge#doubt-2");
    say(&third, task, &key, json!({"outcome": "run"})).await;
    assert_eq!(third.answer::<u32>(task).await, 3);
    assert_eq!(log.count(&format!("attempt 3 of {task}/charge")), 1);
}

#[tokio::test]
async fn a_person_who_stops_the_task_ends_it_whatever_its_code_would_do() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let (second, task) = in_doubt(&scratch, &log).await;
    let (key, _) = asked(&second, task, "").await;
    say(&second, task, &key, json!({"outcome": "stop"})).await;
    let failure = second.failure(task).await;
    let words = ["stopped by a person", "may have taken effect before that: charge"];
    assert_says(&failure, FailureKind::InDoubt, &words);
    assert_eq!((log.count("charged"), log.count("doubted")), (1, 0));
}

#[tokio::test]
async fn who_does_not_know_leaves_it_to_the_code() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let (second, task) = in_doubt(&scratch, &log).await;
    let (key, _) = asked(&second, task, "").await;
    let open = OpenQuestions::of(second.runtime.store().as_ref(), task).await.unwrap();
    let answers = [(key, json!({"action": "decline"}))];
    open.answer(second.runtime.store().as_ref(), 0, answers).await.unwrap();
    let failure = second.failure(task).await;
    assert_says(&failure, FailureKind::InDoubt, &["\"charge\""]);
    assert_eq!((log.count("charged"), log.count("doubted")), (1, 1));
}

#[tokio::test]
async fn an_answer_counts_for_the_last_word_of_a_cancel_that_comes_with_it() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let (second, task) = in_doubt(&scratch, &log).await;
    let (key, _) = asked(&second, task, "").await;
    parked_asking(&second, task).await;
    second.kill().await;
    let store = scratch.open();
    let open = OpenQuestions::of(store.as_ref(), task).await.unwrap();
    let happened = json!({"action": "accept", "content": {"outcome": "happened", "result": "7"}});
    open.answer(store.as_ref(), 0, [(key, happened)]).await.unwrap();
    store.signal(task, Signal::Cancel { reason: None }, 0).await.unwrap();
    let third = Process::start(store, |b| charge(b, &log, Doubt::Ask, true)).await;
    assert_eq!(third.cancelled(task).await, "cancelled; took effect before that: charge");
}
