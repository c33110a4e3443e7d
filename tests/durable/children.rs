//! Functions that start others, and what becomes of them when one of the two goes away.

use std::future::pending;
use std::time::Duration;

use relight::durable::{Builder, Context};
use relight::journal::{End, Failure, FailureKind, Filter, Status, Store, Task, TaskId};
use relight::limits;

use crate::bench::{Log, Process, assert_says, history, parked, start, until};
use crate::scratch::{Scratch, within};

/// A parent of one child, which does one step and then what its input says.
fn family(builder: Builder, log: &Log) -> Builder {
    let log = log.clone();
    builder
        .function("parent", |ctx: Context, what: String| async move {
            let answer: Result<String, Failure> = ctx.child("kid", "child", &what).await;
            match answer {
                Err(failure) if failure.kind == FailureKind::Cancelled => {
                    Ok(format!("without the child: {failure}"))
                }
                other => other,
            }
        })
        .function("child", move |ctx: Context, what: String| {
            let log = log.clone();
            async move {
                ctx.once("work").run(|_| async { log.done("worked") }).await?;
                match what.as_str() {
                    "fail" => Err(Failure::is_final("the child fails").with_code(-32_000)),
                    "hang" => {
                        let _memory = log.on_drop("child dropped");
                        ctx.pure("hang").run::<(), _, _>(|_| pending()).await?;
                        Ok(what)
                    }
                    "sleep" => {
                        ctx.sleep("nap", Duration::from_millis(2_500)).await?;
                        Ok(what)
                    }
                    _ => Ok(format!("the child did {what}")),
                }
            }
        })
}

async fn child_of(store: &dyn Store, parent: TaskId) -> Task {
    let mut changes = store.changes();
    let find = async {
        loop {
            changes.mark_unchanged();
            let filter = Filter { parent: Some(parent), limit: 10, ..Filter::default() };
            let mut found = store.tasks(filter).await.unwrap();
            assert!(found.len() <= 1, "{found:?}");
            if let Some(child) = found.pop() {
                return child;
            }
            changes.changed().await.unwrap();
        }
    };
    within("the child", find).await
}

#[tokio::test]
async fn a_child_answers_its_parent() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| family(builder, &log)).await;
    let task = process.task("parent", "homework").await;
    assert_eq!(process.answer::<String>(task).await, "the child did homework");
    let child = child_of(&**process.runtime.store(), task).await;
    let link = child.parent.unwrap();
    assert_eq!((link.task, link.key.as_str(), link.depth), (task, "kid", 1));
}

#[tokio::test]
async fn a_child_fails_its_parent_with_all_that_it_said() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| family(builder, &log)).await;
    let task = process.task("parent", "fail").await;
    let failure = process.failure(task).await;
    assert_says(&failure, FailureKind::Final, &["the child fails"]);
    assert_eq!(failure.code, Some(-32_000));
}

#[tokio::test]
async fn a_parent_may_go_on_without_a_cancelled_child() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| family(builder, &log)).await;
    let task = process.task("parent", "hang").await;
    log.saw("worked").await;
    let child = child_of(&**process.runtime.store(), task).await.id;
    process.runtime.cancel(child, Some("enough".to_owned())).await.unwrap();
    let answer = process.answer::<String>(task).await;
    assert!(answer.starts_with("without the child: cancelled: enough"), "{answer}");
}

#[tokio::test]
async fn a_cancel_reaches_the_children() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| family(builder, &log)).await;
    let task = process.task("parent", "hang").await;
    log.saw("worked").await;
    let child = child_of(&**process.runtime.store(), task).await.id;
    process.runtime.cancel(task, None).await.unwrap();
    process.cancelled(task).await;
    let message = process.cancelled(child).await;
    assert!(message.contains("the task that started it has ended"), "{message}");
    log.saw("child dropped").await;
}

#[tokio::test]
async fn a_parent_that_ends_first_takes_its_child_along() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| {
        family(builder, &log).function("impatient", |ctx: Context, (): ()| async move {
            let (kid, nap) = (ctx.scope("kid"), ctx.scope("nap"));
            tokio::select! {
                child = kid.child::<String>("kid", "child", "hang") => child,
                slept = nap.sleep("nap", Duration::from_millis(200)) => {
                    slept.map(|()| "no time".to_owned())
                }
            }
        })
    })
    .await;
    let task = process.task("impatient", &()).await;
    assert_eq!(process.answer::<String>(task).await, "no time");
    let child = child_of(&**process.runtime.store(), task).await.id;
    process.cancelled(child).await;
}

#[tokio::test]
async fn a_parent_is_parked_while_its_child_takes_its_time() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| family(builder, &log)).await;
    let store = process.runtime.store();
    let task = process.task("parent", "hang").await;
    log.saw("worked").await;
    let waiting = parked(&**store, task).await;
    assert_eq!(waiting.wake_at_ms, None, "it waits for its child alone");
    let child = child_of(&**store, task).await.id;
    process.runtime.cancel(child, None).await.unwrap();
    assert!(process.answer::<String>(task).await.starts_with("without the child"));
    assert_eq!(log.count("worked"), 1);
}

#[tokio::test]
async fn a_parent_that_dies_finds_its_child_again() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let first = Process::start(scratch.open(), |builder| family(builder, &log)).await;
    let task = first.task("parent", "sleep").await;
    log.saw("worked").await;
    first.kill().await;
    let second = Process::start(scratch.open(), |builder| family(builder, &log)).await;
    let answer = match second.end(task).await {
        End::Completed(answer) => answer.read::<String>().unwrap(),
        // The child's own step was under way when the process died.
        End::Failed(failure) => {
            assert_says(&failure, FailureKind::InDoubt, &["work"]);
            return;
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(answer, "sleep");
    child_of(&**second.runtime.store(), task).await;
    assert_eq!(log.count("worked"), 1);
}

#[tokio::test]
async fn children_of_children_end_somewhere() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("again", |ctx: Context, depth: u32| async move {
            ctx.child::<u32>("again", "again", &(depth + 1)).await
        })
    })
    .await;
    let task = process.task("again", &0).await;
    let failure = process.failure(task).await;
    assert_says(&failure, FailureKind::Final, &["17 levels deep", "at most 16"]);
    let filter = Filter { limit: 100, ..Filter::default() };
    let tasks = process.runtime.store().tasks(filter).await.unwrap();
    assert_eq!(tasks.len(), limits::CHILD_DEPTH_MAX as usize + 1);
}

#[tokio::test]
async fn an_ended_child_is_kept_as_long_as_its_parent_may_ask_for_it() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| {
        family(builder, &log).function("busy", |ctx: Context, (): ()| async move {
            let (a, b) = (ctx.scope("a"), ctx.scope("b"));
            let kid = a.child::<String>("kid", "child", "homework");
            let (kid, never) = tokio::join!(kid, b.pure("hang").run::<(), _, _>(|_| pending()));
            never.and(kid)
        })
    })
    .await;
    let store = process.runtime.store();
    let mut call = start("busy", &());
    call.ttl_ms = Some(0);
    let task = process.runtime.start(call).await.unwrap();
    let child = child_of(&**store, task).await.id;
    until(&**store, child, "the child ends", |child| child.status == Status::Completed).await;
    let now_ms = process.runtime.clock().now_ms() + 1_000;
    assert_eq!(store.purge(now_ms, 10).await.unwrap(), 0, "its parent still runs");
    process.runtime.cancel(task, None).await.unwrap();
    process.cancelled(task).await;
    assert!(history(&**store, child).await.end().is_some());
    assert_eq!(store.purge(now_ms, 10).await.unwrap(), 2);
}
