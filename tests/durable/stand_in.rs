//! What stands in for the world: its answers become the task's own history, and its refusals end the
//! task. A clock that timers put forward.

use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Ask, Builder, Context, HurriedClock, ManualClock, Stand, StandIn};
use relight::journal::{Failure, FailureKind, Payload, StepKind, Task};

use crate::bench::{BEGIN_MS, HOUR_MS, Log, Process, assert_says, history, parked};
use crate::scratch::Scratch;

const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// Answers `charge`, refuses `refund`, and lets all else run.
struct Bank(Log);

impl StandIn for Bank {
    fn stand_in(&self, _task: &Task, key: &str, ask: &Ask) -> Stand {
        self.0.note(key);
        match key {
            "charge" => Stand::Outcome(Ok(Payload::of("ch_1").unwrap())),
            "fee" => Stand::Outcome(Err(Failure::transient("the bank is closed"))),
            "refund" => Stand::Refuse(Failure::is_final("no such refund")),
            _ => {
                assert!(matches!(ask.kind, StepKind::Run | StepKind::Timer));
                Stand::Run
            }
        }
    }
}

/// Charges, fails at a fee, sleeps for a year, and mails.
async fn sell(ctx: Context, log: Log) -> Result<String, Failure> {
    let run = |what: &'static str| {
        log.note(what);
        std::future::ready(Ok(what.to_owned()))
    };
    let charge: String = ctx.once("charge").run(|_| run("charged")).await?;
    let fee: Result<String, Failure> = ctx.idempotent("fee").run(|_| run("fee paid")).await;
    ctx.sleep("nap", Duration::from_millis(YEAR_MS.cast_unsigned())).await?;
    let mail: String = ctx.once("mail").run(|_| run("mailed")).await?;
    Ok(format!("{charge}, {}, {mail}", fee.unwrap_err()))
}

fn seller(builder: Builder, log: &Log) -> Builder {
    let (bank, log) = (Arc::new(Bank(log.clone())), log.clone());
    let sell = move |ctx: Context, (): ()| sell(ctx, log.clone());
    builder.stand_in(bank).function("sell", sell)
}

#[tokio::test]
async fn its_outcomes_are_recorded_and_it_is_asked_once() {
    let scratch = Scratch::new();
    let (clock, log) = (ManualClock::at_ms(BEGIN_MS), Log::default());
    let first = Process::start(scratch.open(), |b| seller(b.clock(clock.clone()), &log)).await;
    let task = first.task("sell", &()).await;
    parked(&**first.runtime.store(), task).await;
    first.kill().await;

    clock.advance_ms(YEAR_MS);
    let second = Process::start(scratch.open(), |b| seller(b.clock(clock.clone()), &log)).await;
    let answer: String = second.answer(task).await;
    assert_eq!(answer, "ch_1, the bank is closed, mailed");
    assert_eq!(log.all(), ["charge", "fee", "nap", "mail", "mailed"]);
    let history = history(&**second.runtime.store(), task).await;
    assert!(history.steps().all(|(_, step)| step.state.is_finished() && step.attempts == 1));
}

#[tokio::test]
async fn what_it_refuses_no_code_can_catch() {
    let scratch = Scratch::new();
    let log = Log::default();
    let process = Process::start(scratch.open(), |builder| {
        let bank = Arc::new(Bank(log.clone()));
        builder.stand_in(bank).function("give_back", |ctx: Context, (): ()| async move {
            let refund = ctx.once("refund").run(|_| std::future::ready(Ok(true))).await;
            Ok(refund.unwrap_or(false))
        })
    })
    .await;
    let task = process.task("give_back", &()).await;
    assert_says(&process.failure(task).await, FailureKind::Final, &["no such refund"]);
}

#[tokio::test]
async fn a_hurried_clock_waits_for_no_timer_and_shows_that_it_went_by() {
    let scratch = Scratch::new();
    let clock = HurriedClock::at_ms(BEGIN_MS);
    let process = Process::start(scratch.open(), |builder| {
        builder.clock(clock.clone()).function("wait", |ctx: Context, (): ()| async move {
            let before = ctx.now_ms().await?;
            ctx.sleep("a year", Duration::from_millis(YEAR_MS.cast_unsigned())).await?;
            ctx.sleep_until("long ago", BEGIN_MS).await?;
            Ok((before, ctx.now_ms().await?))
        })
    })
    .await;
    let task = process.task("wait", &()).await;
    let (before, after): (i64, i64) = process.answer(task).await;
    assert!((BEGIN_MS..BEGIN_MS + HOUR_MS).contains(&before), "{before}");
    assert!((YEAR_MS..YEAR_MS + HOUR_MS).contains(&(after - before)), "{after}");
}
