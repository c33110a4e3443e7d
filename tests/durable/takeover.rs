//! Two processes on one journal: when one dies or hangs, the other goes on with its tasks, and no
//! task is run by both.

use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Builder, Context, ManualClock};
use relight::journal::{Error, Event, Lease, Record, Store, TaskId};
use relight::limits::LEASE_MS;
use tokio::sync::Semaphore;

use crate::bench::{BEGIN_MS, Log, Process, events, history, parked};
use crate::faulty::{Call, Faulty};
use crate::scratch::Scratch;
use crate::valve::Valve;

/// A function of two steps. The first waits for a permit; every note begins with who ran it.
#[derive(Clone)]
struct Work {
    log: Log,
    go: Arc<Semaphore>,
    clock: ManualClock,
}

impl Work {
    fn new() -> Self {
        let (log, go) = (Log::default(), Arc::new(Semaphore::new(0)));
        Self { log, go, clock: ManualClock::at_ms(BEGIN_MS) }
    }

    fn register(&self, builder: Builder, who: &'static str) -> Builder {
        let work = self.clone();
        builder.clock(self.clock.clone()).function("work", move |ctx: Context, (): ()| {
            let Work { log, go, .. } = work.clone();
            async move {
                let _memory = log.on_drop(&format!("{who} dropped"));
                let first = ctx.idempotent("first").run(|_| async {
                    log.note(format!("{who} first"));
                    go.acquire().await.unwrap().forget();
                    Ok(who.to_owned())
                });
                let first: String = first.await?;
                let second = ctx.once("second").run(|_| async {
                    log.note(format!("{who} second"));
                    Ok(who.to_owned())
                });
                let second: String = second.await?;
                Ok((first, second))
            }
        })
    }
}

#[tokio::test]
async fn a_dead_process_is_noticed_without_waiting_for_its_lease() {
    let (scratch, work) = (Scratch::new(), Work::new());
    let a = Process::start(scratch.open(), |builder| work.register(builder, "a")).await;
    let task = a.task("work", &()).await;
    work.log.saw("a first").await;
    let b = Process::start(scratch.open(), |builder| work.register(builder, "b")).await;
    a.kill().await;
    work.go.add_permits(1);
    // The clock stands: no lease ever runs out.
    assert_eq!(b.answer::<(String, String)>(task).await, ("b".to_owned(), "b".to_owned()));
    assert_eq!(b.runtime.store().task(task).await.unwrap().unwrap().epoch, 2);
}

/// A process behind a valve that runs a task into its first step.
async fn behind_valve(scratch: &Scratch, work: &Work) -> (Process, Arc<Valve>, TaskId) {
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let process = Process::start(store, |builder| work.register(builder, "a")).await;
    let task = process.task("work", &()).await;
    work.log.saw("a first").await;
    (process, valve, task)
}

#[tokio::test]
async fn a_process_that_hangs_is_waited_out_and_fenced_off() {
    let (scratch, work) = (Scratch::new(), Work::new());
    let (a, valve, task) = behind_valve(&scratch, &work).await;
    let store = scratch.open();
    let before = store.task(task).await.unwrap().unwrap();
    valve.hang();
    let b = Process::start(scratch.open(), |builder| work.register(builder, "b")).await;
    assert_eq!(work.log.count("b first"), 0, "a lease is good while it lasts");
    work.clock.advance_ms(i64::try_from(LEASE_MS).unwrap() + 1);
    work.log.saw("b first").await;
    // One for each of the two that wait.
    work.go.add_permits(2);
    assert_eq!(b.answer::<(String, String)>(task).await, ("b".to_owned(), "b".to_owned()));

    // The old one wakes up, is refused, and lets go.
    valve.open();
    work.log.saw("a dropped").await;
    assert_eq!(work.log.count("a second"), 0);
    let lease = Lease { task, runner: before.runner.unwrap(), epoch: before.epoch };
    let seq = events(&*store, task).await.len() as u64;
    let late = Record { seq, at_ms: BEGIN_MS, event: Event::TaskClaimed { epoch: 9 } };
    let error = store.append(&lease, vec![late], None).await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error}");

    // It is a process like any other again. By the clock its leases have run out until it renews
    // them, so that either of the two may take this one up, or both one after the other.
    work.go.add_permits(10);
    let next = a.task("work", &()).await;
    a.answer::<(String, String)>(next).await;
}

#[tokio::test]
async fn a_long_step_is_dropped_as_soon_as_its_lease_is_found_lost() {
    let (scratch, work) = (Scratch::new(), Work::new());
    let (_a, valve, task) = behind_valve(&scratch, &work).await;
    valve.hold(Call::Renew);
    work.clock.advance_ms(i64::try_from(LEASE_MS).unwrap() + 1);
    let b = Process::start(scratch.open(), |builder| work.register(builder, "b")).await;
    work.log.saw("b first").await;
    assert_eq!(work.log.count("a dropped"), 0);
    valve.open();
    // Nothing is appended: the step of the first process is still under way.
    work.log.saw("a dropped").await;
    work.go.add_permits(1);
    assert_eq!(b.answer::<(String, String)>(task).await, ("b".to_owned(), "b".to_owned()));
}

#[tokio::test]
async fn a_process_that_gets_a_lost_task_back_runs_it_once() {
    let (scratch, work) = (Scratch::new(), Work::new());
    let (a, valve, task) = behind_valve(&scratch, &work).await;
    valve.hold(Call::Renew);
    work.clock.advance_ms(i64::try_from(LEASE_MS).unwrap() + 1);
    // This one frees the task and cannot run it.
    let b = Process::start(scratch.open(), |b| b.clock(work.clock.clone())).await;
    parked(&**b.runtime.store(), task).await;
    valve.open();
    work.log.times("a first", 2).await;
    b.kill().await;
    // The run of the lost lease is dropped before anything else happens to it.
    work.log.saw("a dropped").await;
    assert_eq!(a.runtime.store().task(task).await.unwrap().unwrap().epoch, 2);
    a.runtime.cancel(task, None).await.unwrap();
    let soon = tokio::time::timeout(Duration::from_secs(3), a.cancelled(task));
    soon.await.expect("the cancel went unnoticed");
    work.log.times("a dropped", 2).await;
}

#[tokio::test]
async fn a_task_is_never_run_by_two() {
    let (scratch, work) = (Scratch::new(), Work::new());
    let a = Process::start(scratch.open(), |builder| work.register(builder, "a")).await;
    let b = Process::start(scratch.open(), |builder| work.register(builder, "b")).await;
    work.go.add_permits(40);
    for n in 0..40 {
        let process = if n % 2 == 0 { &a } else { &b };
        let task = process.task("work", &()).await;
        process.answer::<(String, String)>(task).await;
        let history = history(&**a.runtime.store(), task).await;
        assert_eq!(history.claims(), 1);
    }
    let seconds = work.log.count("a second") + work.log.count("b second");
    assert_eq!(seconds, 40);
}

#[tokio::test]
async fn a_sleeping_task_is_woken_by_whoever_is_there() {
    let (scratch, clock) = (Scratch::new(), ManualClock::at_ms(BEGIN_MS));
    let nap = |builder: Builder| {
        builder.clock(clock.clone()).function("nap", |ctx: Context, (): ()| async move {
            ctx.sleep("nap", Duration::from_secs(3_600)).await
        })
    };
    let a = Process::start(scratch.open(), nap).await;
    let task = a.task("nap", &()).await;
    parked(&**a.runtime.store(), task).await;
    let b = Process::start(scratch.open(), nap).await;
    a.kill().await;
    clock.advance_ms(3_600_000);
    b.answer::<()>(task).await;
}
