//! A process that stops: what is under way is recorded, and the rest is left to the next one.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Builder, Context};
use relight::journal::Failure;
use tokio::sync::Semaphore;

use crate::bench::{Log, Process, history};
use crate::scratch::{Scratch, within};

/// Two steps one after another; the first waits for a permit.
fn two_steps(builder: Builder, log: &Log, go: &Arc<Semaphore>) -> Builder {
    let (log, go) = (log.clone(), Arc::clone(go));
    builder.function("f", move |ctx: Context, (): ()| {
        let (log, go) = (log.clone(), Arc::clone(&go));
        async move {
            ctx.once("first")
                .run(|_| async {
                    log.note("first");
                    go.acquire().await.unwrap().forget();
                    Ok(())
                })
                .await?;
            ctx.once("second").run(|_| async { log.done("second") }).await
        }
    })
}

#[tokio::test]
async fn a_step_under_way_is_recorded_and_the_next_does_not_begin() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let go = Arc::new(Semaphore::new(0));
    let first = Process::start(scratch.open(), |b| two_steps(b, &log, &go)).await;
    let task = first.task("f", &()).await;
    log.saw("first").await;
    let stopping = first.runtime.shutdown();
    let stopped = async {
        tokio::join!(stopping, async { go.add_permits(1) });
    };
    within("the shutdown", stopped).await;
    assert_eq!(log.all(), ["first"]);
    let store = first.runtime.store();
    let left = store.task(task).await.unwrap().unwrap();
    assert_eq!(left.runner, None);
    assert!(left.wake_at_ms.is_some_and(|at_ms| at_ms <= first.runtime.clock().now_ms()));
    assert!(history(&**store, task).await.step("first").unwrap().state.is_finished());

    let second = Process::start(scratch.open(), |b| two_steps(b, &log, &go)).await;
    second.answer::<()>(task).await;
    assert_eq!(log.all(), ["first", "second"]);
}

#[tokio::test]
async fn a_task_that_sleeps_in_memory_is_given_back_at_once() {
    let scratch = Scratch::new();
    let nap = |builder: Builder| {
        builder.function("nap", |ctx: Context, (): ()| async move {
            ctx.sleep("nap", Duration::from_millis(900)).await
        })
    };
    let first = Process::start(scratch.open(), nap).await;
    let task = first.task("nap", &()).await;
    let second = Process::start(scratch.open(), nap).await;
    within("the shutdown", first.runtime.shutdown()).await;
    second.answer::<()>(task).await;
}

#[tokio::test]
async fn a_step_that_does_not_end_is_dropped_after_the_grace() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let seen = log.clone();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let log = seen.clone();
            async move {
                let _memory = log.on_drop("dropped");
                log.note("hangs");
                ctx.once("hang").run(|_| pending::<Result<(), Failure>>()).await
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    log.saw("hangs").await;
    within("the shutdown", process.runtime.shutdown()).await;
    assert_eq!(log.count("dropped"), 1, "nothing of it goes on behind the next process's back");
    let left = process.runtime.store().task(task).await.unwrap().unwrap();
    assert_eq!(left.runner, None);
}
