//! A task that is asked to stop stops, wherever it is, and says what it had done.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Builder, Context, Question, RetryPolicy, StepBuilder};
use relight::journal::{
    Error, Event, Failure, FailureKind, Lease, Payload, Record, RunnerId, Sent, Signal, Status,
    StepState, Store, TaskId,
};
use relight::limits::JOURNAL_RETRY_MS;

use crate::bench::{Log, Process, events, history, parked, task_of_another, until};
use crate::faulty::{Call, Faulty};
use crate::scratch::{Scratch, within};
use crate::valve::Valve;

/// Charges, then hangs in a second step, with a third one at its side.
fn shop(builder: Builder, log: &Log) -> Builder {
    let log = log.clone();
    builder.function("shop", move |ctx: Context, (): ()| {
        let log = log.clone();
        async move {
            ctx.once("charge").run(|_| async { log.done("charged") }).await?;
            let (a, b) = (ctx.scope("a"), ctx.scope("b"));
            let hang = async |step: StepBuilder<'_>, name: &str| {
                let code = |_| {
                    let log = log.clone();
                    let name = name.to_owned();
                    async move {
                        let _request = log.on_drop(&format!("{name} dropped"));
                        log.note(name);
                        pending::<Result<(), Failure>>().await
                    }
                };
                step.run(code).await
            };
            let (x, y) = tokio::join!(hang(a.once("mail"), "mail"), hang(b.pure("look"), "look"));
            x.and(y)
        }
    })
}

#[tokio::test]
async fn a_running_task_drops_what_is_under_way_and_says_what_it_did() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| shop(builder, &log)).await;
    let task = process.task("shop", &()).await;
    log.saw("mail").await;
    log.saw("look").await;
    let reason = Some("changed my mind".to_owned());
    assert_eq!(process.runtime.cancel(task, reason).await.unwrap(), Sent::Delivered);
    assert_eq!(
        process.cancelled(task).await,
        "cancelled: changed my mind; took effect before that: charge; \
         may have taken effect before that: a/mail"
    );
    log.saw("mail dropped").await;
    log.saw("look dropped").await;
    let again = process.runtime.cancel(task, None).await.unwrap();
    assert_eq!(again, Sent::AlreadyEnded);
}

#[tokio::test]
async fn a_cancel_does_not_take_the_lease_from_its_own_process() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let process = Process::start(store, |builder| shop(builder, &log)).await;
    let task = process.task("shop", &()).await;
    log.saw("look").await;
    log.saw("mail").await;
    // The runtime hears of the signal only after its own `cancel` has looked for a lease.
    valve.hold(Call::Nudged);
    valve.more(Call::Nudged, 0).await;
    process.runtime.cancel(task, None).await.unwrap();
    valve.open();
    process.cancelled(task).await;
    log.saw("look dropped").await;
    let history = history(&**process.runtime.store(), task).await;
    assert_eq!(history.claims(), 1, "one lease from start to end");
}

#[tokio::test]
async fn a_parked_task_is_cancelled_at_once() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            ctx.sleep("nap", Duration::from_secs(3_600)).await
        })
    })
    .await;
    let task = process.task("f", &()).await;
    parked(&**process.runtime.store(), task).await;
    process.runtime.cancel(task, None).await.unwrap();
    assert_eq!(process.cancelled(task).await, "cancelled");
}

#[tokio::test]
async fn a_task_that_asks_is_cancelled_at_once() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            let schema = Payload::of(&serde_json::json!({"type": "object"}))?;
            ctx.ask("sure", &Question::new("Sure?", schema)).await
        })
    })
    .await;
    let store = process.runtime.store();
    // Both while it is in memory, and once it is parked.
    for is_parked in [false, true] {
        let task = process.task("f", &()).await;
        until(&**store, task, "the question is put", |task| {
            task.status == Status::InputRequired && task.runner.is_none() == is_parked
        })
        .await;
        process.runtime.cancel(task, None).await.unwrap();
        assert_eq!(process.cancelled(task).await, "cancelled");
    }
}

#[tokio::test]
async fn a_wait_for_another_attempt_is_cancelled_at_once() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            let retry = RetryPolicy { attempts: 2, first_ms: 3_600_000, max_ms: 3_600_000 };
            let busy = |_| async { Err(Failure::transient("busy")) };
            ctx.once("charge").retry(retry).run::<(), _, _>(busy).await
        })
    })
    .await;
    let store = process.runtime.store();
    for is_parked in [false, true] {
        let task = process.task("f", &()).await;
        let failed = async {
            loop {
                let history = history(&**store, task).await;
                let runner = store.task(task).await.unwrap().unwrap().runner;
                let state = history.step("charge").map(|step| &step.state);
                if matches!(state, Some(StepState::Waiting { .. })) && runner.is_none() == is_parked
                {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within("the attempt has failed", failed).await;
        process.runtime.cancel(task, None).await.unwrap();
        // The attempt is known not to have taken effect.
        assert_eq!(process.cancelled(task).await, "cancelled");
    }
}

#[tokio::test]
async fn a_task_that_never_ran_is_cancelled_by_anyone() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| builder).await;
    let task = process.task("nobody has it", &()).await;
    process.runtime.cancel(task, Some("typo".to_owned())).await.unwrap();
    assert_eq!(process.cancelled(task).await, "cancelled: typo");
}

#[tokio::test]
async fn a_cancel_from_another_process_reaches_the_runner() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| shop(builder, &log)).await;
    let task = process.task("shop", &()).await;
    log.saw("look").await;
    let other = Process::start(scratch.open(), |builder| builder).await;
    other.runtime.cancel(task, Some("from afar".to_owned())).await.unwrap();
    assert!(other.cancelled(task).await.starts_with("cancelled: from afar"));
    log.saw("look dropped").await;
    assert_eq!(history(&**process.runtime.store(), task).await.claims(), 1);
}

#[tokio::test]
async fn the_task_of_a_dead_process_is_cancelled_by_who_asks() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let first = Process::start(scratch.open(), |builder| shop(builder, &log)).await;
    let task = first.task("shop", &()).await;
    log.saw("mail").await;
    first.kill().await;
    let second = Process::start(scratch.open(), |builder| builder).await;
    second.runtime.cancel(task, None).await.unwrap();
    let message = second.cancelled(task).await;
    assert!(message.contains("may have taken effect before that: a/mail"), "{message}");
}

#[tokio::test]
async fn a_step_that_failed_in_doubt_is_in_doubt_in_the_last_word_too() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let seen = log.clone();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let log = seen.clone();
            async move {
                let lost = |_| async { Err(Failure::in_doubt("the connection broke")) };
                let failure = ctx.once("charge").run::<(), _, _>(lost).await.unwrap_err();
                assert_eq!(failure.kind, FailureKind::InDoubt);
                log.note("in doubt");
                ctx.pure("hang").run::<(), _, _>(|_| pending()).await
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    log.saw("in doubt").await;
    process.runtime.cancel(task, None).await.unwrap();
    assert_eq!(
        process.cancelled(task).await,
        "cancelled; may have taken effect before that: charge"
    );
}

#[tokio::test]
async fn a_task_that_is_not_there_cannot_be_cancelled() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| builder).await;
    let error = process.runtime.cancel(TaskId::from_bits(1), None).await.unwrap_err();
    assert!(matches!(error, Error::UnknownTask { .. }), "{error}");
}

/// A process whose task sleeps for an hour, behind a valve.
async fn sleeper(scratch: &Scratch) -> (Process, Arc<Valve>, TaskId) {
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let process = Process::start(store, |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            ctx.sleep("nap", Duration::from_secs(3_600)).await
        })
    })
    .await;
    let task = process.task("f", &()).await;
    parked(&**process.runtime.store(), task).await;
    (process, valve, task)
}

#[tokio::test]
async fn a_stop_waits_for_a_claim() {
    let scratch = Scratch::new();
    let (process, valve, task) = sleeper(&scratch).await;
    // It is due as soon as it is told, to whoever looks.
    valve.refuse(Call::Claim);
    valve.hold(Call::ClaimOne);
    let runtime = process.runtime.clone();
    let canceller = tokio::spawn(async move { runtime.cancel(task, None).await });
    valve.more(Call::ClaimOne, 1).await;
    let runtime = process.runtime.clone();
    let mut stop = tokio::spawn(async move { runtime.shutdown().await });
    // Twice what it waits for the claims that are refused.
    let early = tokio::time::timeout(Duration::from_millis(2 * JOURNAL_RETRY_MS), &mut stop);
    assert!(early.await.is_err(), "it has stopped with a claim under way");
    valve.open();
    within("the stop", stop).await.unwrap();
    canceller.await.unwrap().unwrap();
    let left = scratch.open().task(task).await.unwrap().unwrap();
    assert_eq!(left.runner, None);
}

#[tokio::test]
async fn a_parked_task_whose_canceller_goes_away_meanwhile_is_ended() {
    let scratch = Scratch::new();
    let (process, valve, task) = sleeper(&scratch).await;
    // It is due as soon as it is told, to whoever looks.
    valve.refuse(Call::Claim);
    let other = scratch.open();
    valve.hold_answers(Call::ClaimOne);
    let runtime = process.runtime.clone();
    let caller = tokio::spawn(async move { runtime.cancel(task, None).await });
    until(&*other, task, "the task is claimed", |task| task.runner.is_some()).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    valve.open();
    process.cancelled(task).await;
}

#[tokio::test]
async fn a_cancel_while_the_task_is_being_parked_is_not_slept_through() {
    let scratch = Scratch::new();
    let (process, valve, task) = sleeper(&scratch).await;
    let store = scratch.open();
    // Something else wakes it, and it goes to sleep again; the last append before that is held up.
    valve.hold(Call::Append);
    let answer = Signal::Answer { key: "none".to_owned(), value: Payload::null() };
    store.signal(task, answer, 0).await.unwrap();
    valve.more(Call::Append, 1).await;
    let cancel = Signal::Cancel { reason: None };
    store.signal(task, cancel, 0).await.unwrap();
    // Twice: the second look begins after the first one has told the task.
    valve.more(Call::Nudged, 2).await;
    valve.open();
    process.cancelled(task).await;
}

#[tokio::test]
async fn a_cancel_while_the_task_is_taken_up_is_noticed_at_once() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let process = Process::start(store, |builder| shop(builder, &log)).await;
    valve.hold(Call::History);
    let task = task_of_another(&scratch, "shop", &()).await;
    valve.more(Call::History, 1).await;
    let cancel = Signal::Cancel { reason: None };
    scratch.open().signal(task, cancel, 0).await.unwrap();
    // Twice: the second look begins after the first one has found nobody to tell.
    valve.more(Call::Nudged, 2).await;
    valve.open();
    // Sooner than the runtime looks by itself.
    let soon = tokio::time::timeout(Duration::from_secs(3), process.runtime.wait(task));
    soon.await.expect("the cancel went unnoticed").unwrap();
}

#[tokio::test]
async fn an_append_after_the_cancel_is_refused() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| shop(builder, &log)).await;
    let task = process.task("shop", &()).await;
    log.saw("look").await;
    let store = process.runtime.store();
    let running = store.task(task).await.unwrap().unwrap();
    process.runtime.cancel(task, None).await.unwrap();
    process.cancelled(task).await;
    let lease = Lease { task, runner: running.runner.unwrap(), epoch: running.epoch };
    let late = Record {
        seq: events(&**store, task).await.len() as u64,
        at_ms: 0,
        event: Event::TaskClaimed { epoch: 9 },
    };
    let error = within("an answer", store.append(&lease, vec![late], None)).await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error}");
    assert_eq!(store.claim_one(RunnerId::from_bits(5), task, 0).await.unwrap(), None);
}
