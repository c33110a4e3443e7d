//! Removing tasks.

use relight::journal::{NewTask, Payload, Signal, Store};
use relight::limits;

use crate::store::Journal;
use crate::support::{
    T0, completed, leased, new_task, noise, runner, started, task_completed, task_id,
};

/// Runs a task to its end, with this output of its only step.
async fn run(store: &dyn Store, task: NewTask, output: Payload) {
    let lease = leased(store, task, runner(1)).await;
    let records = vec![started(1, "a", 1), completed(2, "a", output), task_completed(3)];
    store.append(&lease, records, None).await.unwrap();
}

pub(crate) async fn what_has_outlived_its_time_is_purged(journal: &dyn Journal) {
    let store = journal.open();
    let kept = |n, ttl_ms| NewTask { ttl_ms, ..new_task(n) };
    for n in 1..=3 {
        run(&*store, kept(n, Some(100)), Payload::null()).await;
    }
    run(&*store, kept(4, Some(101)), Payload::null()).await;
    run(&*store, kept(5, Some(u64::MAX)), Payload::null()).await;
    run(&*store, kept(6, None), Payload::null()).await;
    store.create(kept(7, Some(1))).await.unwrap();
    store.signal(task_id(7), Signal::Cancel { reason: None }, T0).await.unwrap();

    assert_eq!(store.purge(T0 + 99, 10).await.unwrap(), 0);
    assert_eq!(store.purge(T0 + 100, 2).await.unwrap(), 2);
    assert_eq!(store.purge(T0 + 100, 2).await.unwrap(), 1);
    assert_eq!(store.purge(T0 + 100, 2).await.unwrap(), 0);
    for n in 1..=3 {
        assert_eq!(store.task(task_id(n)).await.unwrap(), None);
        assert!(store.history(task_id(n), 0).await.unwrap().is_empty());
    }
    assert_eq!(store.purge(i64::MAX / 2, 10).await.unwrap(), 1);
    for n in 5..=7 {
        assert!(store.task(task_id(n)).await.unwrap().is_some(), "{n}");
    }
}

pub(crate) async fn an_ended_task_can_be_removed(journal: &dyn Journal) {
    let store = journal.open();
    let keyed = |n| NewTask { idempotency_key: Some("k".to_owned()), ..new_task(n) };
    run(&*store, keyed(1), Payload::null()).await;
    store.create(new_task(2)).await.unwrap();
    assert!(store.remove(task_id(1)).await.unwrap());
    assert!(!store.remove(task_id(1)).await.unwrap());
    assert!(!store.remove(task_id(2)).await.unwrap());
    assert_eq!(store.task(task_id(1)).await.unwrap(), None);
    assert!(store.history(task_id(1), 0).await.unwrap().is_empty());
    assert_eq!(store.signals(task_id(1)).await.unwrap(), (vec![], 0));
    // Its key is free, and its place holds nothing of it.
    assert_eq!(store.create(keyed(3)).await.unwrap().id(), task_id(3));
    assert_eq!(store.history(task_id(3), 0).await.unwrap().len(), 1);
}

pub(crate) async fn what_other_tasks_hold_stays(journal: &dyn Journal) {
    let store = journal.open();
    let shared = noise(3 * limits::INLINE_PAYLOAD_BYTES, 5);
    for n in 1..=2 {
        let definition = Some(shared.clone());
        run(&*store, NewTask { definition, ..new_task(n) }, shared.clone()).await;
    }
    store.remove(task_id(1)).await.unwrap();
    let history = store.history(task_id(2), 2).await.unwrap();
    assert_eq!(history[0], completed(2, "a", shared.clone()));
    store.remove(task_id(2)).await.unwrap();
    run(&*store, new_task(3), shared.clone()).await;
    assert_eq!(store.history(task_id(3), 2).await.unwrap()[0], completed(2, "a", shared));
}
