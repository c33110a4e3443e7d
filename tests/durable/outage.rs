//! A journal that cannot be written or read for a while: tasks wait for it, and lose nothing.

use std::future::pending;
use std::sync::Arc;

use relight::durable::{Builder, Context};
use relight::journal::sqlite::{Options, Sqlite};
use relight::journal::{End, Failure, Filter, Payload, Signal, Store, TaskId};

use crate::bench::{Log, Process, history, task_of_another};
use crate::faulty::{Call, Faulty};
use crate::scratch::{Scratch, within};
use crate::valve::Valve;

/// Text that does not compress.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    (0..bytes).map(|_| draw()).collect()
}

#[tokio::test]
async fn a_full_disk_holds_a_task_up_until_there_is_room() {
    const MIB: usize = 1024 * 1024;
    let scratch = Scratch::new();
    let mut options = Options::default();
    options.max_bytes = Some(2 * MIB as u64);
    let store = Arc::new(Sqlite::open_with(&scratch.journal(), options).unwrap());
    let log = Log::default();
    let seen = log.clone();
    let process = Process::start(store, |builder| {
        builder
            .function("fill", |ctx: Context, bytes: usize| async move {
                ctx.pure("noise").run(|_| async { Ok(noise(bytes)) }).await.map(|text| text.len())
            })
            .function("big", move |ctx: Context, bytes: usize| {
                let log = seen.clone();
                async move {
                    let step = ctx.once("noise").run(|_| async {
                        log.note("made");
                        Ok(noise(bytes))
                    });
                    step.await.map(|text: String| text.len())
                }
            })
    })
    .await;
    let old = process.task("fill", &MIB).await;
    assert_eq!(process.answer::<usize>(old).await, MIB);
    let task = process.task("big", &MIB).await;
    log.saw("made").await;
    let store = process.runtime.store();
    let remove = async {
        while !store.remove(old).await.unwrap_or(false) {
            tokio::task::yield_now().await;
        }
    };
    within("there is room again", remove).await;
    assert_eq!(process.answer::<usize>(task).await, MIB);
    assert_eq!(log.count("made"), 1);
}

/// A function of a `Once` step, and one that it hangs in afterwards where it is told to.
fn work(builder: Builder, log: &Log) -> Builder {
    let log = log.clone();
    builder.function("work", move |ctx: Context, hangs: bool| {
        let log = log.clone();
        async move {
            ctx.once("charge").run(|_| async { log.done("charged") }).await?;
            log.note("recorded");
            if hangs {
                ctx.pure("hang").run::<(), _, _>(|_| pending::<Result<(), Failure>>()).await?;
            }
            Ok(())
        }
    })
}

async fn behind_valve(scratch: &Scratch, log: &Log) -> (Process, Arc<Valve>) {
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    (Process::start(store, |builder| work(builder, log)).await, valve)
}

async fn assert_charged_once(process: &Process, task: TaskId, log: &Log) {
    let history = history(&**process.runtime.store(), task).await;
    assert!(history.step("charge").unwrap().state.is_finished());
    assert_eq!(log.count("charged"), 1);
}

#[tokio::test]
async fn an_outcome_waits_for_the_journal() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let shut = Arc::clone(&valve);
    let seen = log.clone();
    let process = Process::start(store, |builder| {
        builder.function("f", move |ctx: Context, (): ()| {
            let (log, valve) = (seen.clone(), Arc::clone(&shut));
            async move {
                ctx.once("charge")
                    .run(|_| async {
                        valve.refuse(Call::Append);
                        log.done("charged")
                    })
                    .await?;
                log.done("told")
            }
        })
    })
    .await;
    let task = process.task("f", &()).await;
    log.saw("charged").await;
    valve.more(Call::Append, 2).await;
    assert_eq!(log.count("told"), 0, "nobody is told before the commit");
    valve.open();
    process.answer::<()>(task).await;
    assert_charged_once(&process, task, &log).await;
}

#[tokio::test]
async fn a_cancel_in_an_outage_loses_no_outcome() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let shut = Arc::clone(&valve);
    let seen = log.clone();
    let process = Process::start(store, |builder| {
        builder
            .function("kid", |ctx: Context, (): ()| async move {
                ctx.pure("hang").run::<(), _, _>(|_| pending::<Result<(), Failure>>()).await
            })
            .function("f", move |ctx: Context, (): ()| {
                let (log, valve) = (seen.clone(), Arc::clone(&shut));
                async move {
                    let (a, b) = (ctx.scope("a"), ctx.scope("b"));
                    let charge = a.once("charge").run(|_| async {
                        log.saw("go").await;
                        valve.refuse(Call::Append);
                        valve.refuse(Call::Signal);
                        log.done("charged")
                    });
                    let (kid, charge) = tokio::join!(b.child::<()>("kid", "kid", &()), charge);
                    charge.and(kid)
                }
            })
    })
    .await;
    let task = process.task("f", &()).await;
    let store = scratch.open();
    let has_child = |filter| async { !store.tasks(filter).await.unwrap().is_empty() };
    let filter = Filter { parent: Some(task), limit: 1, ..Default::default() };
    let mut changes = store.changes();
    within("the child", async {
        while !has_child(filter.clone()).await {
            changes.changed().await.unwrap();
        }
    })
    .await;
    log.note("go");
    log.saw("charged").await;
    let cancel = Signal::Cancel { reason: None };
    store.signal(task, cancel, 0).await.unwrap();
    valve.more(Call::Append, 2).await;
    valve.open();
    let message = process.cancelled(task).await;
    assert_eq!(message, "cancelled; took effect before that: a/charge");
}

#[tokio::test]
async fn a_look_that_fails_halfway_forgets_no_lease() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let (process, valve) = behind_valve(&scratch, &log).await;
    valve.refuse(Call::NextDue);
    let task = process.task("work", &false).await;
    valve.more(Call::NextDue, 2).await;
    valve.open();
    process.answer::<()>(task).await;
}

#[tokio::test]
async fn a_read_that_fails_for_a_moment_drops_no_step() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let (process, valve) = behind_valve(&scratch, &log).await;
    let task = process.task("work", &true).await;
    log.saw("recorded").await;
    valve.refuse(Call::Signals);
    let store = scratch.open();
    let answer = Signal::Answer { key: "none".to_owned(), value: Payload::null() };
    store.signal(task, answer, 0).await.unwrap();
    valve.more(Call::Signals, 2).await;
    valve.open();
    process.runtime.cancel(task, None).await.unwrap();
    process.cancelled(task).await;
    let history = history(&*store, task).await;
    assert_eq!(history.claims(), 1, "it was never put back");
}

#[tokio::test]
async fn a_task_is_taken_up_once_the_journal_can_be_read() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let (process, valve) = behind_valve(&scratch, &log).await;
    valve.refuse(Call::History);
    let task = task_of_another(&scratch, "work", &false).await;
    valve.more(Call::History, 2).await;
    valve.open();
    assert!(matches!(process.end(task).await, End::Completed(_)));
    assert_charged_once(&process, task, &log).await;
}
