//! Code that changed under a running task: it stops, keeps its history, and says why.

use std::future::pending;
use std::time::Duration;

use relight::durable::{Builder, Context};
use relight::journal::{Failure, FailureKind, Payload, StepState};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bench::{Log, Process, assert_says, history};
use crate::scratch::Scratch;

/// Runs one step to its end and dies; then runs `f` as `second` registers it. Returns how the task
/// was stopped.
async fn changed(second: impl FnOnce(Builder, Log) -> Builder) -> (Failure, Log) {
    let (scratch, log) = (Scratch::new(), Log::default());
    let noted = log.clone();
    let first = Process::start(scratch.open(), |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let log = noted.clone();
            async move {
                let price: u32 =
                    ctx.once("charge").input(&("card", 42)).run(|_| async { Ok(42) }).await?;
                log.note("charged");
                ctx.pure("hang").run::<(), _, _>(|_| pending()).await?;
                Ok(price)
            }
        })
    })
    .await;
    let task = first.task("f", &()).await;
    log.saw("charged").await;
    first.kill().await;
    let second = Process::start(scratch.open(), |builder| second(builder, log.clone())).await;
    let failure = second.stopped(task).await;
    let history = history(&**second.runtime.store(), task).await;
    let charge = history.step("charge").unwrap();
    assert_eq!(charge.state, StepState::Completed(Payload::of(&42).unwrap()), "it is kept");
    (failure, log)
}

/// As [`changed`], where the function becomes this one step.
async fn becomes<T, F>(step: F) -> (Failure, Log)
where
    T: Serialize + DeserializeOwned + Send + 'static,
    F: for<'a> Fn(&'a Context) -> relight::durable::StepBuilder<'a> + Send + Sync + Copy + 'static,
{
    changed(move |builder, log| {
        builder.function("f", move |ctx: Context, (): ()| {
            let log = log.clone();
            async move {
                let code = |_| {
                    log.note("ran the changed step");
                    pending::<Result<T, Failure>>()
                };
                step(&ctx).run(code).await
            }
        })
    })
    .await
}

#[tokio::test]
async fn another_input_is_shown_as_a_diff() {
    let (failure, log) = becomes::<u32, _>(|ctx| ctx.once("charge").input(&("card", 4_200))).await;
    let words = ["\"charge\"", "-   42", "+   4200", "its history is kept"];
    assert_says(&failure, FailureKind::Mismatch, &words);
    assert_eq!(log.count("ran the changed step"), 0);
}

#[tokio::test]
async fn another_effect_is_a_mismatch() {
    let (failure, _) = becomes::<u32, _>(|ctx| ctx.pure("charge").input(&("card", 42))).await;
    assert_says(&failure, FailureKind::Mismatch, &["- effect: once", "+ effect: pure"]);
}

#[tokio::test]
async fn another_type_of_outcome_is_a_mismatch() {
    let (failure, _) = becomes::<String, _>(|ctx| ctx.once("charge").input(&("card", 42))).await;
    assert_says(&failure, FailureKind::Mismatch, &["\"charge\"", "not of the type"]);
}

#[tokio::test]
async fn a_step_that_is_left_out_is_named() {
    let (failure, _) = changed(|builder, _| {
        builder.function("f", |_: Context, (): ()| async { Ok("done already") })
    })
    .await;
    assert_says(&failure, FailureKind::Mismatch, &["without reaching step \"charge\""]);
}

#[tokio::test]
async fn code_cannot_swallow_a_mismatch() {
    let (failure, _) = changed(|builder, _| {
        builder.function("f", |ctx: Context, (): ()| async move {
            let other = ctx.once("charge").input(&("card", 1));
            tokio::select! {
                biased;
                price = other.run(|_| async { Ok(1_u32) }) => price,
                () = std::future::ready(()) => Ok(0),
            }
        })
    })
    .await;
    assert_says(&failure, FailureKind::Mismatch, &["does not match what the journal recorded"]);
}

#[tokio::test]
async fn one_name_for_two_steps_side_by_side_is_refused() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            let nap = || ctx.sleep("nap", Duration::from_secs(60));
            let (a, b) = tokio::join!(nap(), nap());
            a.and(b)
        })
    })
    .await;
    let task = process.task("f", &()).await;
    let failure = process.stopped(task).await;
    assert_says(&failure, FailureKind::Mismatch, &["\"nap\"", "ctx.scope("]);
}
