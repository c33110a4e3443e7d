//! An attempt that takes too long is dropped.

use std::future::pending;
use std::time::Duration;

use relight::durable::{Builder, Context, Doubt, RetryPolicy, StepBuilder};
use relight::journal::{Failure, FailureKind};

use crate::bench::{Log, Process, assert_says};
use crate::scratch::Scratch;

const SOON: Duration = Duration::from_millis(50);

/// Runs a step whose first attempt hangs and whose next ones do not.
async fn run(step: StepBuilder<'_>, log: Log) -> Result<u32, Failure> {
    let retry = RetryPolicy { attempts: 3, first_ms: 1, max_ms: 1 };
    step.timeout(SOON)
        .retry(retry)
        .run(|attempt| {
            let log = log.clone();
            async move {
                let _request = log.on_drop(&format!("dropped {}", attempt.number));
                if attempt.number == 1 { pending().await } else { Ok(attempt.number) }
            }
        })
        .await
}

fn steps(builder: Builder, log: &Log) -> Builder {
    let (pure, once, again) = (log.clone(), log.clone(), log.clone());
    builder
        .function("pure", move |ctx: Context, (): ()| {
            let log = pure.clone();
            async move { run(ctx.pure("look"), log).await }
        })
        .function("once", move |ctx: Context, (): ()| {
            let log = once.clone();
            async move { run(ctx.once("charge"), log).await }
        })
        .function("again", move |ctx: Context, (): ()| {
            let log = again.clone();
            async move { run(ctx.once("charge").in_doubt(Doubt::Rerun), log).await }
        })
}

async fn process(scratch: &Scratch, log: &Log) -> Process {
    Process::start(scratch.open(), |builder| steps(builder, log)).await
}

#[tokio::test]
async fn a_safe_step_is_tried_again() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = process(&scratch, &log).await;
    let task = process.task("pure", &()).await;
    assert_eq!(process.answer::<u32>(task).await, 2);
    assert_eq!(log.all(), ["dropped 1", "dropped 2"]);
}

#[tokio::test]
async fn an_unsafe_one_is_in_doubt() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = process(&scratch, &log).await;
    let task = process.task("once", &()).await;
    let words = ["step \"charge\" had no outcome after 50ms"];
    assert_says(&process.failure(task).await, FailureKind::InDoubt, &words);
    assert_eq!(log.all(), ["dropped 1"]);
}

#[tokio::test]
async fn and_is_run_again_where_its_policy_says_so() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = process(&scratch, &log).await;
    let task = process.task("again", &()).await;
    assert_eq!(process.answer::<u32>(task).await, 2);
}
