//! Waits that outlive processes, and clocks that jump.

use std::pin::pin;
use std::time::Duration;

use relight::durable::{Builder, Context, ManualClock};

use crate::bench::{BEGIN_MS, HOUR_MS, Log, Process, SECOND_MS, history, parked};
use crate::scratch::Scratch;

const WEEK_MS: i64 = 7 * 24 * HOUR_MS;

/// A function that sleeps for a week between two notes.
fn sleeper(builder: Builder, clock: &ManualClock, log: &Log) -> Builder {
    let log = log.clone();
    builder.clock(clock.clone()).function("sleeper", move |ctx: Context, (): ()| {
        let log = log.clone();
        async move {
            let _memory = log.on_drop("dropped");
            log.note("asleep");
            ctx.sleep("nap", Duration::from_millis(WEEK_MS.cast_unsigned())).await?;
            log.note("awake");
            Ok(())
        }
    })
}

#[tokio::test]
async fn a_sleeping_task_holds_no_lease_and_no_memory() {
    let scratch = Scratch::new();
    let (clock, log) = (ManualClock::at_ms(BEGIN_MS), Log::default());
    let process = Process::start(scratch.open(), |b| sleeper(b, &clock, &log)).await;
    let task = process.task("sleeper", &()).await;
    let asleep = parked(&**process.runtime.store(), task).await;
    assert_eq!(asleep.wake_at_ms, Some(BEGIN_MS + WEEK_MS));
    assert_eq!(log.all(), ["asleep", "dropped"]);
    clock.advance_ms(WEEK_MS);
    process.answer::<()>(task).await;
    assert_eq!(log.count("awake"), 1);
}

#[tokio::test]
async fn time_runs_on_while_the_process_is_down() {
    let scratch = Scratch::new();
    let (clock, log) = (ManualClock::at_ms(BEGIN_MS), Log::default());
    let first = Process::start(scratch.open(), |b| sleeper(b, &clock, &log)).await;
    let task = first.task("sleeper", &()).await;
    log.saw("asleep").await;
    parked(&**first.runtime.store(), task).await;
    first.kill().await;
    clock.advance_ms(2 * WEEK_MS);
    let second = Process::start(scratch.open(), |b| sleeper(b, &clock, &log)).await;
    second.answer::<()>(task).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_delays_a_timer_and_loses_none() {
    let scratch = Scratch::new();
    let (clock, log) = (ManualClock::at_ms(BEGIN_MS), Log::default());
    let first = Process::start(scratch.open(), |b| sleeper(b, &clock, &log)).await;
    let task = first.task("sleeper", &()).await;
    parked(&**first.runtime.store(), task).await;
    clock.advance_ms(-WEEK_MS);
    first.kill().await;
    // Another process looks at it by the clock that is behind, and leaves it asleep.
    let second = Process::start(scratch.open(), |b| sleeper(b, &clock, &log)).await;
    let other = second.task("sleeper", &()).await;
    parked(&**second.runtime.store(), other).await;
    assert_eq!(parked(&**second.runtime.store(), task).await.wake_at_ms, Some(BEGIN_MS + WEEK_MS));
    clock.advance_ms(WEEK_MS);
    second.answer::<()>(other).await;
    assert_eq!(log.count("awake"), 1);
    clock.advance_ms(WEEK_MS);
    second.answer::<()>(task).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_up_no_signal() {
    let scratch = Scratch::new();
    let (clock, log) = (ManualClock::at_ms(BEGIN_MS), Log::default());
    let process = Process::start(scratch.open(), |b| sleeper(b, &clock, &log)).await;
    let task = process.task("sleeper", &()).await;
    parked(&**process.runtime.store(), task).await;
    clock.advance_ms(-WEEK_MS);
    process.runtime.cancel(task, None).await.unwrap();
    process.cancelled(task).await;
}

#[tokio::test]
async fn timers_side_by_side_wake_at_the_first_and_run_out_in_order() {
    let scratch = Scratch::new();
    let (clock, log) = (ManualClock::at_ms(BEGIN_MS), Log::default());
    let seen = log.clone();
    let process = Process::start(scratch.open(), |builder| {
        builder.clock(clock.clone()).function("f", move |ctx: Context, (): ()| {
            let log = seen.clone();
            async move {
                let nap = async |name: &str, hours: u64| {
                    ctx.sleep(name, Duration::from_secs(hours * 3600)).await?;
                    let noted = ctx.once(format!("{name} is over"));
                    noted.run(|_| async { log.done(name) }).await
                };
                let (long, short) = tokio::join!(nap("long", 5), nap("short", 1));
                short.and(long)
            }
        })
    })
    .await;
    let store = process.runtime.store();
    let task = process.task("f", &()).await;
    assert_eq!(parked(&**store, task).await.wake_at_ms, Some(BEGIN_MS + HOUR_MS));
    clock.advance_ms(HOUR_MS);
    log.saw("short").await;
    assert_eq!(parked(&**store, task).await.wake_at_ms, Some(BEGIN_MS + 5 * HOUR_MS));
    clock.advance_ms(4 * HOUR_MS);
    process.answer::<()>(task).await;
    assert_eq!(log.all(), ["short", "long"]);
}

#[tokio::test]
async fn a_short_sleep_is_slept_in_memory() {
    let scratch = Scratch::new();
    let clock = ManualClock::at_ms(BEGIN_MS);
    let log = Log::default();
    let seen = log.clone();
    let process = Process::start(scratch.open(), |builder| {
        builder.clock(clock.clone()).function("f", move |ctx: Context, (): ()| {
            let log = seen.clone();
            async move {
                ctx.pure("before").run(|_| async { log.done("before") }).await?;
                ctx.sleep("nap", Duration::from_millis(SECOND_MS.cast_unsigned())).await
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    log.saw("before").await;
    clock.advance_ms(10 * SECOND_MS);
    // The timer may have been set before or after the clock moved.
    clock.advance_ms(10 * SECOND_MS);
    let mut end = pin!(process.runtime.wait(task));
    let end = async {
        loop {
            tokio::select! {
                end = &mut end => return end.unwrap(),
                () = tokio::task::yield_now() => clock.advance_ms(1),
            }
        }
    };
    crate::scratch::within("the task's end", end).await;
    assert_eq!(history(&**process.runtime.store(), task).await.claims(), 1);
}
