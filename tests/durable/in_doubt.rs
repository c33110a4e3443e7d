//! A step that must not run twice, and a crash between its start and its outcome.

use std::future::pending;

use relight::durable::{Attempt, Builder, Context, Doubt};
use relight::journal::{Failure, FailureKind};

use crate::bench::{Log, Process, assert_says, history};
use crate::scratch::Scratch;

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
