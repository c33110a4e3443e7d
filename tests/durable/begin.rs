//! How a task begins: at once, by who creates it, and whatever becomes of who asked for it.

use std::sync::Arc;

use relight::durable::{Builder, Context};
use relight::journal::{Event, Filter, Store, TaskId};
use relight::limits::LIVE_TASKS;
use tokio::sync::Semaphore;

use crate::bench::{Process, events, start};
use crate::faulty::{Call, Faulty};
use crate::scratch::{Scratch, within};
use crate::valve::Valve;

/// A function whose step ends once there is a permit for it.
fn work(builder: Builder, go: &Arc<Semaphore>) -> Builder {
    let go = Arc::clone(go);
    builder.function("work", move |ctx: Context, n: u64| {
        let go = Arc::clone(&go);
        async move {
            let step = ctx.idempotent("wait").run(|_| async {
                go.acquire().await.unwrap().forget();
                Ok(2 * n)
            });
            step.await
        }
    })
}

/// A process behind a valve, whose tasks need not wait.
async fn behind_valve(scratch: &Scratch) -> (Process, Arc<Valve>) {
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let go = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    (Process::start(store, |builder| work(builder, &go)).await, valve)
}

/// The one task of a journal, once it is there.
async fn created(store: &dyn Store) -> TaskId {
    let mut changes = store.changes();
    let look = async {
        loop {
            changes.mark_unchanged();
            let filter = Filter { limit: 1, ..Filter::default() };
            if let Some(task) = store.tasks(filter).await.unwrap().pop() {
                return task.id;
            }
            changes.changed().await.unwrap();
        }
    };
    within("the task is created", look).await
}

#[tokio::test]
async fn who_creates_a_task_runs_it_without_a_claim() {
    let scratch = Scratch::new();
    let (process, valve) = behind_valve(&scratch).await;
    valve.refuse(Call::Claim);
    let task = process.task("work", &21).await;
    assert_eq!(process.answer::<u64>(task).await, 42);
    let events = events(process.runtime.store().as_ref(), task).await;
    assert_eq!(events[1], Event::TaskClaimed { epoch: 1 });
}

#[tokio::test]
async fn a_task_whose_caller_goes_away_meanwhile_is_run() {
    let scratch = Scratch::new();
    let (process, valve) = behind_valve(&scratch).await;
    valve.hold_answers(Call::Create);
    let runtime = process.runtime.clone();
    let caller = tokio::spawn(async move { runtime.start(start("work", &21)).await });
    let task = created(&*scratch.open()).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(process.answer::<u64>(task).await, 42);
}

#[tokio::test]
async fn a_task_that_could_not_be_created_takes_no_place() {
    let scratch = Scratch::new();
    let (process, valve) = behind_valve(&scratch).await;
    valve.refuse(Call::Create);
    for _ in 0..2 * LIVE_TASKS {
        process.runtime.start(start("work", &1)).await.unwrap_err();
    }
    valve.open();
    let has_place = async {
        loop {
            let (_, looks) = process.runtime.create(start("work", &1)).await.unwrap();
            if looks.unwrap().runner.is_some() {
                return;
            }
        }
    };
    within("there is a place", has_place).await;
}

#[tokio::test]
async fn a_task_for_which_there_is_no_place_waits_for_one() {
    let (scratch, go) = (Scratch::new(), Arc::new(Semaphore::new(0)));
    let process = Process::start(scratch.open(), |builder| work(builder, &go)).await;
    for _ in 0..LIVE_TASKS {
        process.task("work", &1).await;
    }
    let task = process.task("work", &21).await;
    let waiting = process.runtime.store().task(task).await.unwrap().unwrap();
    assert_eq!((waiting.runner, waiting.epoch), (None, 0));
    assert!(waiting.wake_at_ms.is_some());
    go.add_permits(LIVE_TASKS + 1);
    assert_eq!(process.answer::<u64>(task).await, 42);
}
