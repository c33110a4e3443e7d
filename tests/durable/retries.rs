//! Attempts that fail, and what follows from how they failed.

use std::io;

use relight::durable::{Attempt, Context, ManualClock, RetryPolicy};
use relight::journal::{Event, Failure, FailureKind};

use crate::bench::{BEGIN_MS, HOUR_MS, Log, Process, SECOND_MS, assert_says, events, parked};
use crate::scratch::Scratch;

const AT_ONCE: RetryPolicy = RetryPolicy { attempts: 4, first_ms: 0, max_ms: 0 };

#[tokio::test]
async fn a_moment_of_trouble_is_waited_out_under_one_idempotency_key() {
    let scratch = Scratch::new();
    let log = Log::default();
    let seen = log.clone();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let log = seen.clone();
            async move {
                let step = ctx.once("pay").retry(AT_ONCE);
                step.run(|attempt| {
                    log.note(&attempt.idempotency_key);
                    async move {
                        if attempt.number < 3 { Err(Failure::transient("busy")) } else { Ok(7) }
                    }
                })
                .await
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_eq!(process.answer::<i32>(task).await, 7);
    assert_eq!(log.all(), [(); 3].map(|()| format!("{task}/pay")));
    let attempts: Vec<_> = events(&**process.runtime.store(), task)
        .await
        .into_iter()
        .filter_map(|event| match event {
            Event::StepAttemptFailed { attempt, .. } => Some(attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2]);
}

/// Runs a function of one step that always fails in this way, and returns the failure and how often
/// it was tried.
async fn failing(once: bool, fail: fn() -> Failure) -> (Failure, usize) {
    let scratch = Scratch::new();
    let log = Log::default();
    let seen = log.clone();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let log = seen.clone();
            async move {
                let step = if once { ctx.once("step") } else { ctx.idempotent("step") };
                let code = |_: Attempt| {
                    log.note("tried");
                    std::future::ready(Err(fail()))
                };
                step.retry(AT_ONCE).run::<(), _, _>(code).await
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    (process.failure(task).await, log.count("tried"))
}

#[tokio::test]
async fn trouble_that_lasts_ends_with_the_policy() {
    let (failure, tries) = failing(false, || Failure::transient("still busy")).await;
    assert_says(&failure, FailureKind::Transient, &["still busy"]);
    assert_eq!(tries, 4);
}

#[tokio::test]
async fn a_final_failure_is_final() {
    let (failure, tries) = failing(false, || Failure::is_final("no such card")).await;
    assert_says(&failure, FailureKind::Final, &["no such card"]);
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn an_ordinary_error_may_have_taken_effect() {
    let lost = || Failure::from(io::Error::other("connection lost"));
    let (failure, tries) = failing(true, lost).await;
    assert_says(&failure, FailureKind::InDoubt, &["connection lost"]);
    assert_eq!(tries, 1, "a step that must not run twice");
    assert_eq!(failing(false, lost).await.1, 4, "a step that may");
}

#[tokio::test]
async fn retry_after_is_waited_for_parked() {
    let scratch = Scratch::new();
    let clock = ManualClock::at_ms(BEGIN_MS);
    let process = Process::start(scratch.open(), |builder| {
        builder.clock(clock.clone()).function("f", |ctx: Context, (): ()| async move {
            let step = ctx.idempotent("ask").run(|attempt: Attempt| async move {
                if attempt.number == 1 {
                    let later = Some(HOUR_MS.cast_unsigned());
                    return Err(Failure::transient("429").retry_after_ms(later));
                }
                Ok(attempt.number)
            });
            step.await
        })
    })
    .await;
    let task = process.task("f", &()).await;
    let waiting = parked(&**process.runtime.store(), task).await;
    assert_eq!(waiting.wake_at_ms, Some(BEGIN_MS + HOUR_MS));
    clock.advance_ms(HOUR_MS);
    assert_eq!(process.answer::<u32>(task).await, 2);
}

#[tokio::test]
async fn attempts_go_on_where_they_were_after_a_restart() {
    let scratch = Scratch::new();
    let clock = ManualClock::at_ms(BEGIN_MS);
    let log = Log::default();
    let start = async || {
        let (clock, log) = (clock.clone(), log.clone());
        Process::start(scratch.open(), |builder| {
            builder.clock(clock).function("f", move |ctx: Context, (): ()| {
                let log = log.clone();
                async move {
                    let hourly = HOUR_MS.cast_unsigned();
                    let policy = RetryPolicy { attempts: 3, first_ms: hourly, max_ms: hourly };
                    let code = |attempt: Attempt| {
                        log.note(format!("attempt {}", attempt.number));
                        std::future::ready(Err(Failure::transient("down")))
                    };
                    ctx.once("ask").retry(policy).run::<(), _, _>(code).await
                }
            })
        })
        .await
    };
    let first = start().await;
    let task = first.task("f", &()).await;
    let due_ms = parked(&**first.runtime.store(), task).await.wake_at_ms.unwrap();
    first.kill().await;

    let second = start().await;
    clock.advance_ms(due_ms - BEGIN_MS - SECOND_MS);
    assert_eq!(log.all(), ["attempt 1"], "not before its time");
    clock.advance_ms(SECOND_MS);
    log.saw("attempt 2").await;
    parked(&**second.runtime.store(), task).await;
    clock.advance_ms(HOUR_MS);
    assert_says(&second.failure(task).await, FailureKind::Transient, &["down"]);
    assert_eq!(log.all(), ["attempt 1", "attempt 2", "attempt 3"]);
}
