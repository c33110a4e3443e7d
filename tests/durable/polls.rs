//! Waiting for something elsewhere that can only be looked at, and stopping what was left there.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use relight::durable::{Builder, Context, Function, Left, Look, Past, Question};
use relight::journal::{Event, Failure, FailureKind, Payload, Status, StepKind};
use relight::limits;

use crate::bench::{Log, Process, assert_says, events, history, parked, until};
use crate::scratch::{Scratch, within};

/// Looks until `script` has something; the last entry stands for all later looks.
fn looker(builder: Builder, log: &Log, script: fn(usize) -> Result<Look<u32>, Failure>) -> Builder {
    let log = log.clone();
    builder.function("f", move |ctx: Context, (): ()| {
        let log = log.clone();
        async move {
            let look = || {
                log.note("look");
                std::future::ready(script(log.count("look")))
            };
            ctx.poll("there", StepKind::Run, "it", look).await
        }
    })
}

fn again() -> Result<Look<u32>, Failure> {
    Ok(Look::Again { after_ms: Some(0), message: Some("busy".to_owned()) })
}

#[tokio::test]
async fn only_what_came_of_it_is_recorded() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| {
        looker(builder, &log, |n| if n < 4 { again() } else { Ok(Look::Done(7)) })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_eq!(process.answer::<u32>(task).await, 7);
    assert_eq!(log.count("look"), 4);
    let events = events(&**process.runtime.store(), task).await;
    assert!(
        matches!(
            &events[..],
            [
                Event::TaskCreated { .. },
                Event::TaskClaimed { .. },
                Event::StepStarted { .. },
                Event::StepCompleted { .. },
                Event::TaskCompleted { .. },
            ]
        ),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_is_too_large_is_a_failure_that_stays() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| {
        let log = log.clone();
        builder.function("f", move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                let look = || {
                    log.note("look");
                    std::future::ready(Ok(Look::Done("x".repeat(limits::PAYLOAD_MAX_BYTES))))
                };
                let found = ctx.poll::<String, _, _>("there", StepKind::Run, "it", look).await;
                found.map(|_| ())
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    let failure = process.failure(task).await;
    assert_says(&failure, FailureKind::Final, &["the outcome of step \"there\"", "at most"]);
    let history = history(&**process.runtime.store(), task).await;
    assert!(history.step("there").unwrap().state.is_finished());
}

#[tokio::test]
async fn what_it_is_at_over_there_is_told_meanwhile() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process =
        Process::start(scratch.open(), |builder| looker(builder, &log, |_| again())).await;
    let task = process.task("f", &()).await;
    until(&**process.runtime.store(), task, "its message", |task| {
        task.message.as_deref() == Some("busy")
    })
    .await;
}

#[tokio::test]
async fn a_stop_waits_for_no_look_and_the_next_process_looks_again() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let script = |n| match n {
        1 => Ok(Look::Again { after_ms: Some(60_000), message: None }),
        _ => Ok(Look::Done(n.try_into().unwrap())),
    };
    let first = Process::start(scratch.open(), |builder| looker(builder, &log, script)).await;
    let task = first.task("f", &()).await;
    log.saw("look").await;
    let since = Instant::now();
    within("the shutdown", first.runtime.shutdown()).await;
    assert!(since.elapsed() < Duration::from_millis(limits::SHUTDOWN_GRACE_MS));
    first.kill().await;
    let next = Process::start(scratch.open(), |builder| looker(builder, &log, script)).await;
    assert_eq!(next.answer::<u32>(task).await, 2);
}

#[tokio::test]
async fn a_look_that_fails_for_the_moment_is_repeated() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| {
        looker(builder, &log, |n| match n {
            1 => Err(Failure::transient("not now")),
            _ => Ok(Look::Done(1)),
        })
    })
    .await;
    let task = process.task("f", &()).await;
    process.answer::<u32>(task).await;
    assert_eq!(log.count("look"), 2);
}

#[tokio::test]
async fn a_look_that_fails_for_good_is_recorded() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| {
        looker(builder, &log, |_| Err(Failure::is_final("gone")))
    })
    .await;
    let task = process.task("f", &()).await;
    assert_says(&process.failure(task).await, FailureKind::Final, &["gone"]);
    let history = history(&**process.runtime.store(), task).await;
    assert!(history.step("there").unwrap().state.is_finished());
}

#[tokio::test]
async fn a_question_beside_it_does_not_park_the_task() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| {
        let log = log.clone();
        builder.function("f", move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                let schema = Payload::of(&serde_json::json!({"type": "object"})).unwrap();
                let question = Question::new("Well?", schema);
                let look = || {
                    log.note("look");
                    std::future::ready(again())
                };
                let looked = ctx.poll::<u32, _, _>("there", StepKind::Run, "it", look);
                let (answer, _) = tokio::join!(ctx.ask("question", &question), looked);
                answer.map(|_| ())
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    let enough = limits::PARK_AFTER_MS * 2 / limits::POLL_MIN_MS;
    log.times("look", enough.try_into().unwrap()).await;
    let history = history(&**process.runtime.store(), task).await;
    assert_eq!(history.claims(), 1, "it was never put away");
}

/// Leaves something running elsewhere, and waits for it.
struct Leaver {
    log: Log,
    /// Whether the other side answers a cancel.
    answers: bool,
}

impl Function for Leaver {
    fn run(&self, ctx: Context, _: Payload) -> BoxFuture<'static, Result<Payload, Failure>> {
        async move {
            ctx.once("other").run(|_| async { Ok(()) }).await?;
            ctx.once("begin").run(|_| async { Ok(()) }).await?;
            ctx.sleep("wait", Duration::from_secs(3_600)).await?;
            Ok(Payload::null())
        }
        .boxed()
    }

    fn cancelled(&self, past: &Past) -> Option<Left> {
        let begun = past.history(|history| history.step("begin").is_some());
        let (log, answers) = (self.log.clone(), self.answers);
        let stop = async move {
            log.note("stop");
            if !answers {
                pending::<()>().await;
            }
        };
        begun.then(|| Left { steps: vec!["begin".to_owned()], stop: stop.boxed() })
    }
}

fn leaver(builder: Builder, log: &Log, answers: bool) -> Builder {
    builder.register("leaver", Arc::new(Leaver { log: log.clone(), answers }))
}

const LEFT: &str =
    "cancelled; took effect before that: other; may have taken effect before that: begin";

#[tokio::test]
async fn what_a_parked_task_has_left_elsewhere_is_stopped() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| leaver(builder, &log, true)).await;
    let task = process.task("leaver", &()).await;
    parked(&**process.runtime.store(), task).await;
    process.runtime.cancel(task, None).await.unwrap();
    assert_eq!(process.cancelled(task).await, LEFT);
    assert_eq!(log.count("stop"), 1);
}

#[tokio::test]
async fn what_a_dead_process_has_left_elsewhere_is_stopped() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let first = Process::start(scratch.open(), |builder| leaver(builder, &log, true)).await;
    let task = first.task("leaver", &()).await;
    until(&**first.runtime.store(), task, "both steps", |task| task.events >= 6).await;
    first.kill().await;
    let next = Process::start(scratch.open(), |builder| leaver(builder, &log, true)).await;
    next.runtime.cancel(task, None).await.unwrap();
    assert_eq!(next.cancelled(task).await, LEFT);
    assert_eq!(log.count("stop"), 1);
}

#[tokio::test]
async fn nobody_is_waited_for_that_does_not_answer_a_cancel() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| leaver(builder, &log, false)).await;
    let task = process.task("leaver", &()).await;
    let store = Arc::clone(process.runtime.store());
    until(&*store, task, "both steps", |task| task.events >= 6).await;
    process.runtime.cancel(task, None).await.unwrap();
    assert_eq!(process.cancelled(task).await, LEFT);
    let ended = store.task(task).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.runner), (Status::Cancelled, None));
}
