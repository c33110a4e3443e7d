//! Names of steps, and values that stay what they were.

use std::future::pending;

use relight::durable::{Builder, Context, ManualClock};
use relight::journal::{Failure, FailureKind};

use crate::bench::{BEGIN_MS, HOUR_MS, Log, Process, assert_says, history};
use crate::scratch::Scratch;

#[tokio::test]
async fn a_name_that_comes_again_is_numbered() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            let mut all = Vec::new();
            for n in 0..3 {
                all.push(ctx.pure("item").run(|_| async move { Ok(n) }).await?);
            }
            let inside = ctx.scope("inner");
            all.push(inside.pure("item").run(|_| async { Ok(10) }).await?);
            Ok::<Vec<u32>, Failure>(all)
        })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_eq!(process.answer::<Vec<u32>>(task).await, [0, 1, 2, 10]);
    let history = history(&**process.runtime.store(), task).await;
    let keys: Vec<_> = history.steps().map(|(key, _)| key).collect();
    assert_eq!(keys, ["item", "item#2", "item#3", "inner/item"]);
}

#[tokio::test]
async fn a_name_that_looks_like_a_number_of_another_is_refused() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            ctx.pure("item").run(|_| async { Ok(1) }).await?;
            ctx.pure("item").run(|_| async { Ok(2) }).await?;
            ctx.pure("item#2").run(|_| async { Ok(3) }).await
        })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_says(&process.failure(task).await, FailureKind::Final, &["\"item#2\"", "#"]);
}

#[tokio::test]
async fn a_name_that_is_empty_or_too_long_is_refused() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, name: String| async move {
            ctx.scope("s").pure(name).run(|_| async { Ok(()) }).await
        })
    })
    .await;
    for name in ["", &"x".repeat(200)] {
        let task = process.task("f", name).await;
        assert_says(&process.failure(task).await, FailureKind::Final, &["1 to 200 bytes"]);
    }
}

/// Reads the clock and draws numbers; hangs where it is told to.
fn dice(builder: Builder, clock: &ManualClock, log: &Log, hangs: bool) -> Builder {
    let log = log.clone();
    builder.clock(clock.clone()).function("dice", move |ctx: Context, (): ()| {
        let log = log.clone();
        async move {
            let (x, y) = (ctx.random("x"), ctx.random("y"));
            let z = ctx.scope("s").random("x");
            let now_ms = ctx.now_ms().await?;
            log.note(format!("{x} {y} {z} {now_ms}"));
            log.note("drawn");
            if hangs {
                ctx.pure("hang").run::<(), _, _>(|_| pending()).await?;
            }
            Ok((vec![x, y, z], now_ms, ctx.now_ms().await?))
        }
    })
}

#[tokio::test]
async fn chance_and_time_are_the_same_in_every_run() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let clock = ManualClock::at_ms(BEGIN_MS);
    let first = Process::start(scratch.open(), |b| dice(b, &clock, &log, true)).await;
    let task = first.task("dice", &()).await;
    log.saw("drawn").await;
    first.kill().await;
    clock.advance_ms(HOUR_MS);
    // The step that hung is left out now: it had no outcome, so nothing is lost.
    let second = Process::start(scratch.open(), |b| dice(b, &clock, &log, false)).await;
    let (numbers, began_ms, ended_ms) = second.answer::<(Vec<u64>, i64, i64)>(task).await;
    assert_eq!((began_ms, ended_ms), (BEGIN_MS, BEGIN_MS + HOUR_MS));
    let all = log.all();
    assert_eq!(all[0], all[2]);
    assert!(numbers[0] != numbers[1] && numbers[0] != numbers[2], "{numbers:?}");
    let other = second.task("dice", &()).await;
    let others = second.answer::<(Vec<u64>, i64, i64)>(other).await.0;
    assert_ne!(numbers, others, "another task, other numbers");
}
