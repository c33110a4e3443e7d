//! Stopped tasks, set going again.

use relight::journal::{Error, Event, Failure, FailureKind, Record, Status};

use crate::store::Journal;
use crate::support::{
    AGENT, T0, leased, new_task, record, runner, started, task_completed, task_id,
};

fn resumed(seq: u64) -> Vec<Record> {
    vec![record(seq, Event::TaskResumed {}), record(seq + 1, Event::DriftAccepted {})]
}

pub(crate) async fn a_stopped_task_is_due_again(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    let failure = Failure::new(FailureKind::Mismatch, "the code changed");
    let stopped = record(2, Event::TaskStopped { failure });
    store.append(&lease, vec![started(1, "a", 1), stopped], None).await.unwrap();

    assert!(store.resume(task_id(1), resumed(3)).await.unwrap());
    let task = store.task(task_id(1)).await.unwrap().unwrap();
    assert_eq!((task.status, task.wake_at_ms, task.events), (Status::Working, Some(T0), 5));
    assert_eq!(store.end(task_id(1)).await.unwrap(), None);
    let claimed = store.claim(runner(2), &[AGENT.to_owned()], T0, 9).await.unwrap();
    assert!(claimed[0].epoch > lease.epoch, "{claimed:?}");
    store.append(&claimed[0], vec![task_completed(5)], None).await.unwrap();
    assert!(store.end(task_id(1)).await.unwrap().is_some());
}

pub(crate) async fn only_a_stopped_task_is_resumed(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    assert!(!store.resume(task_id(1), resumed(1)).await.unwrap());
    store.append(&lease, vec![task_completed(1)], None).await.unwrap();
    assert!(!store.resume(task_id(1), resumed(2)).await.unwrap());
    let gap = store.resume(task_id(1), resumed(9)).await;
    assert!(matches!(gap, Err(Error::Gap { seq: 9, next: 2, .. })), "{gap:?}");
    let unknown = store.resume(task_id(7), resumed(1)).await;
    assert!(matches!(unknown, Err(Error::UnknownTask { .. })), "{unknown:?}");
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().events, 2);
}
