//! What is too large to keep is refused once, with a clear word, and never tried for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use relight::durable::Context;
use relight::journal::{Error, Event, Failure, FailureKind, Record, RunnerId, Store, Wake};
use relight::limits::{PAYLOAD_MAX_BYTES, TASK_EVENTS_MAX};

use crate::bench::{Process, assert_says, history, start};
use crate::scratch::Scratch;

fn too_much() -> String {
    "x".repeat(PAYLOAD_MAX_BYTES)
}

const OVER: [&str; 2] = ["33554434 bytes", "at most 33554432"];

#[tokio::test]
async fn a_steps_outcome() {
    let scratch = Scratch::new();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let runs = Arc::clone(&counted);
            async move {
                let step = ctx.idempotent("read");
                let code = |_| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    async { Ok(too_much()) }
                };
                step.run(code).await.map(|text: String| text.len())
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_says(
        &process.failure(task).await,
        FailureKind::Final,
        &[&OVER[..], &["\"read\""]].concat(),
    );
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_functions_result() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |_: Context, (): ()| async { Ok::<_, Failure>(too_much()) })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_says(&process.failure(task).await, FailureKind::Final, &OVER);
}

#[tokio::test]
async fn a_steps_input() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            ctx.pure("send").input(&too_much()).run(|_| async { Ok(()) }).await
        })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_says(
        &process.failure(task).await,
        FailureKind::Final,
        &[&OVER[..], &["\"send\""]].concat(),
    );
}

#[tokio::test]
async fn a_childs_input() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            ctx.child::<()>("kid", "f", &too_much()).await
        })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_says(
        &process.failure(task).await,
        FailureKind::Final,
        &[&OVER[..], &["\"kid\""]].concat(),
    );
}

#[tokio::test]
async fn a_failures_words() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder
            .function("f", |_: Context, (): ()| async {
                Err::<(), _>(Failure::is_final(too_much()))
            })
            .function("g", |ctx: Context, (): ()| async move {
                let step = ctx.pure("step");
                step.run::<(), _, _>(|_| async { Err(Failure::is_final(too_much())) }).await
            })
    })
    .await;
    for function in ["f", "g"] {
        let task = process.task(function, &()).await;
        let failure = process.failure(task).await;
        assert_eq!(failure.kind, FailureKind::Final);
        assert!(failure.message.starts_with("xxx"), "its beginning is kept");
        assert!(failure.message.ends_with("[cut]"), "and it says so");
    }
}

#[tokio::test]
async fn a_tasks_input() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| builder).await;
    let error = process.runtime.start(start("f", &too_much())).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_history_that_is_full_ends_the_task_before_the_next_effect() {
    let scratch = Scratch::new();
    let effects = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&effects);
    // The history is nearly full before anybody takes the task up.
    let store = scratch.open();
    let idle = Process::start(scratch.open(), |builder| builder).await;
    let task = idle.task("f", &()).await;
    let lease = store.claim_one(RunnerId::from_bits(1), task, i64::MAX).await.unwrap().unwrap();
    let left = 12;
    let claimed = |seq| Record { seq, at_ms: 0, event: Event::TaskClaimed { epoch: 1 } };
    let filler: Vec<_> = (1..TASK_EVENTS_MAX - left).map(claimed).collect();
    for part in filler.chunks(20_000) {
        store.append(&lease, part.to_vec(), None).await.unwrap();
    }
    store.release(&lease, Wake::Now, 0).await.unwrap();

    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let effects = Arc::clone(&counted);
            async move {
                loop {
                    let code = |_| async { Ok(effects.fetch_add(1, Ordering::Relaxed)) };
                    ctx.once("again").run(code).await?;
                }
                #[expect(unreachable_code, reason = "it says what the function returns")]
                Ok::<(), Failure>(())
            }
        })
    })
    .await;
    let failure = process.failure(task).await;
    assert_says(&failure, FailureKind::Final, &["200000 events", "child tasks"]);
    let history = history(&*store, task).await;
    assert_eq!(history.steps().count(), effects.load(Ordering::Relaxed) as usize);
}
