//! A task that is not done in time ends, whatever it is at, and says what it had done.

use std::future::pending;
use std::time::Duration;

use relight::durable::{Builder, Context, ManualClock, Question, StartTask, TimeLimit};
use relight::journal::{Deadline, End, Event, FailureKind, Filter, Payload, Status, TaskId};

use crate::bench::{
    BEGIN_MS, HOUR_MS, Log, Process, assert_says, events, history, parked, start, until,
};
use crate::scratch::Scratch;

const LIMIT_MS: i64 = 2 * HOUR_MS;

/// A task of this function that may take two hours.
async fn limited(process: &Process, function: &str) -> TaskId {
    let limit = TimeLimit { ms: LIMIT_MS.cast_unsigned(), set_by: Some("limit".to_owned()) };
    let new = StartTask { time_limit: Some(limit), ..start(function, &()) };
    process.runtime.start(new).await.unwrap()
}

/// Functions that charge first, and then hang in a step, sleep for a week, ask, wait for a child, or
/// are done.
fn shop(builder: Builder, clock: &ManualClock, log: &Log) -> Builder {
    let charge = async |ctx: &Context, log: &Log| {
        ctx.once("charge").run(|_| async { log.done("charged") }).await
    };
    let (hang, sleep, ask, wait) = (log.clone(), log.clone(), log.clone(), log.clone());
    builder
        .clock(clock.clone())
        .function("hang", move |ctx: Context, (): ()| {
            let log = hang.clone();
            async move {
                charge(&ctx, &log).await?;
                let mail = |_| {
                    let log = log.clone();
                    async move {
                        let _request = log.on_drop("mail dropped");
                        log.note("mailing");
                        pending().await
                    }
                };
                ctx.once("mail").run::<(), _, _>(mail).await
            }
        })
        .function("sleep", move |ctx: Context, (): ()| {
            let log = sleep.clone();
            async move {
                log.note("running");
                charge(&ctx, &log).await?;
                ctx.sleep("nap", Duration::from_secs(7 * 24 * 3_600)).await
            }
        })
        .function("ask", move |ctx: Context, (): ()| {
            let log = ask.clone();
            async move {
                charge(&ctx, &log).await?;
                let schema = Payload::of(&serde_json::json!({"type": "object"}))?;
                ctx.ask("sure", &Question::new("Sure?", schema)).await
            }
        })
        .function("wait", move |ctx: Context, (): ()| {
            let log = wait.clone();
            async move {
                charge(&ctx, &log).await?;
                ctx.child::<()>("below", "hang", &()).await
            }
        })
        .function("done", |_: Context, (): ()| async { Ok("in time") })
}

async fn process(scratch: &Scratch, clock: &ManualClock, log: &Log) -> Process {
    Process::start(scratch.open(), |builder| shop(builder, clock, log)).await
}

fn parts() -> (Scratch, ManualClock, Log) {
    (Scratch::new(), ManualClock::at_ms(BEGIN_MS), Log::default())
}

#[tokio::test]
async fn what_is_under_way_is_dropped_and_listed() {
    let (scratch, clock, log) = parts();
    let process = process(&scratch, &clock, &log).await;
    let task = limited(&process, "hang").await;
    log.saw("mailing").await;
    clock.advance_ms(LIMIT_MS);
    let failure = process.failure(task).await;
    assert_eq!(failure.kind, FailureKind::Final);
    assert_eq!(
        failure.message,
        "out of time: the task's deadline was 2023-11-15T00:13:20Z, set by `limit`; give new tasks \
         more; took effect before that: charge; may have taken effect before that: mail"
    );
    log.saw("mail dropped").await;
}

#[tokio::test]
async fn a_task_that_is_done_in_time_is_not_concerned() {
    let (scratch, clock, log) = parts();
    let process = process(&scratch, &clock, &log).await;
    let task = limited(&process, "done").await;
    assert_eq!(process.answer::<String>(task).await, "in time");
    clock.advance_ms(LIMIT_MS);
    assert!(matches!(process.end(task).await, End::Completed(_)));
}

#[tokio::test]
async fn a_sleep_cannot_outlast_it() {
    let (scratch, clock, log) = parts();
    let process = process(&scratch, &clock, &log).await;
    let task = limited(&process, "sleep").await;
    let asleep = parked(&**process.runtime.store(), task).await;
    assert_eq!(asleep.wake_at_ms, Some(BEGIN_MS + LIMIT_MS));
    clock.advance_ms(LIMIT_MS);
    let failure = process.failure(task).await;
    assert_says(&failure, FailureKind::Final, &["out of time", "took effect before that: charge"]);
    assert_eq!(log.count("running"), 1, "it is ended without being run again");
}

#[tokio::test]
async fn nor_can_a_question() {
    let (scratch, clock, log) = parts();
    let process = process(&scratch, &clock, &log).await;
    let task = limited(&process, "ask").await;
    let asking = until(&**process.runtime.store(), task, "the task asks and is parked", |task| {
        task.status == Status::InputRequired && task.runner.is_none()
    });
    assert_eq!(asking.await.wake_at_ms, Some(BEGIN_MS + LIMIT_MS));
    clock.advance_ms(LIMIT_MS);
    assert_says(&process.failure(task).await, FailureKind::Final, &["out of time"]);
}

#[tokio::test]
async fn it_passes_while_no_process_is_there() {
    let (scratch, clock, log) = parts();
    let first = process(&scratch, &clock, &log).await;
    let task = limited(&first, "hang").await;
    log.saw("mailing").await;
    first.kill().await;
    clock.advance_ms(LIMIT_MS);
    let second = process(&scratch, &clock, &log).await;
    let words = ["out of time", "may have taken effect before that: mail"];
    assert_says(&second.failure(task).await, FailureKind::Final, &words);
    assert_eq!(log.count("mailing"), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_it_off() {
    let (scratch, clock, log) = parts();
    let process = process(&scratch, &clock, &log).await;
    let task = limited(&process, "sleep").await;
    parked(&**process.runtime.store(), task).await;
    clock.advance_ms(-HOUR_MS);
    let other = limited(&process, "sleep").await;
    // The other task's deadline comes first now.
    clock.advance_ms(LIMIT_MS);
    process.failure(other).await;
    assert_eq!(process.runtime.store().end(task).await.unwrap(), None);
    clock.advance_ms(HOUR_MS);
    process.failure(task).await;
}

#[tokio::test]
async fn a_child_has_no_more_time_than_its_parent() {
    let (scratch, clock, log) = parts();
    let process = process(&scratch, &clock, &log).await;
    let store = process.runtime.store();
    let task = limited(&process, "wait").await;
    log.saw("mailing").await;
    let filter = Filter { parent: Some(task), limit: 1, ..Filter::default() };
    let child = store.tasks(filter).await.unwrap()[0].id;
    let Event::TaskCreated { deadline, .. } = events(&**store, child).await.swap_remove(0) else {
        panic!("no first event");
    };
    let expected = Deadline { at_ms: BEGIN_MS + LIMIT_MS, set_by: Some("limit".to_owned()) };
    assert_eq!(deadline, Some(expected));
    clock.advance_ms(LIMIT_MS);
    assert_says(&process.failure(task).await, FailureKind::Final, &["out of time"]);
    // Either by its own deadline, or because its parent has ended.
    assert!(matches!(process.end(child).await, End::Failed(_) | End::Cancelled(_)));
    log.saw("mail dropped").await;
    assert!(history(&**store, child).await.step("mail").is_some());
}
