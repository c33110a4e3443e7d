//! Words to a task from outside.

use relight::journal::{Error, Sent, Signal, Wake};
use serde_json::json;

use crate::store::Journal;
use crate::support::{
    AGENT, T0, child, leased, new_task, noise, payload, runner, task_completed, task_id,
};

fn cancel() -> Signal {
    Signal::Cancel { reason: Some("enough".to_owned()) }
}

pub(crate) async fn a_signal_wakes_a_parked_task(journal: &dyn Journal) {
    let store = journal.open();
    for (n, wake) in [(1, Wake::OnSignal), (2, Wake::At(T0 + 99_999))] {
        let lease = leased(&*store, new_task(n), runner(1)).await;
        store.release(&lease, wake, 0).await.unwrap();
        assert_eq!(store.signal(task_id(n), cancel(), T0 + 5).await.unwrap(), Sent::Delivered);
        let task = store.task(task_id(n)).await.unwrap().unwrap();
        assert_eq!((task.wake_at_ms, task.cancel_requested), (Some(T0 + 5), true));
        let claimed = store.claim(runner(1), &[AGENT.to_owned()], T0 + 5, 9).await.unwrap();
        assert_eq!(claimed[0].task, task_id(n));
    }
    // One that is due already is not put off.
    store.create(new_task(3)).await.unwrap();
    store.signal(task_id(3), cancel(), T0 + 5).await.unwrap();
    assert_eq!(store.task(task_id(3)).await.unwrap().unwrap().wake_at_ms, Some(T0));
}

pub(crate) async fn signals_come_in_order_and_are_counted(journal: &dyn Journal) {
    let store = journal.open();
    store.create(new_task(1)).await.unwrap();
    assert_eq!(store.signals(task_id(1)).await.unwrap(), (vec![], 0));
    let answer = |value| Signal::Answer { key: "turn-2/ask".to_owned(), value };
    let sent = vec![answer(payload(&json!("yes"))), cancel(), answer(noise(10_000, 3)), cancel()];
    for signal in &sent {
        store.signal(task_id(1), signal.clone(), T0).await.unwrap();
    }
    assert_eq!(store.signals(task_id(1)).await.unwrap(), (sent, 4));
    assert_eq!(store.signals(task_id(2)).await.unwrap(), (vec![], 0));
}

pub(crate) async fn a_runner_is_told_of_the_signals_of_its_tasks(journal: &dyn Journal) {
    let store = journal.open();
    leased(&*store, new_task(1), runner(1)).await;
    leased(&*store, new_task(2), runner(1)).await;
    leased(&*store, new_task(3), runner(2)).await;
    assert_eq!(store.nudged(runner(1)).await.unwrap(), []);
    for n in [2, 3, 2] {
        store.signal(task_id(n), cancel(), T0).await.unwrap();
    }
    assert_eq!(store.nudged(runner(1)).await.unwrap(), [(task_id(2), 2)]);
    assert_eq!(store.nudged(runner(2)).await.unwrap(), [(task_id(3), 1)]);
    let task = store.task(task_id(2)).await.unwrap().unwrap();
    assert_eq!((task.runner, task.wake_at_ms), (Some(runner(1)), None));
}

pub(crate) async fn an_ended_task_takes_no_signal(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    store.append(&lease, vec![task_completed(1)], None).await.unwrap();
    assert_eq!(store.signal(task_id(1), cancel(), T0).await.unwrap(), Sent::AlreadyEnded);
    let task = store.task(task_id(1)).await.unwrap().unwrap();
    assert_eq!((task.cancel_requested, task.wake_at_ms), (false, None));
    assert_eq!(store.signals(task_id(1)).await.unwrap(), (vec![], 0));

    let unknown = store.signal(task_id(2), cancel(), T0).await;
    assert!(matches!(unknown, Err(Error::UnknownTask { .. })), "{unknown:?}");
}

pub(crate) async fn the_end_of_a_child_wakes_its_parent(journal: &dyn Journal) {
    let store = journal.open();
    let parent = leased(&*store, new_task(1), runner(1)).await;
    let first = leased(&*store, child(2, 1), runner(2)).await;
    let second = leased(&*store, child(3, 1), runner(2)).await;
    let late = leased(&*store, child(4, 1), runner(2)).await;

    // While the parent runs.
    store.append(&first, vec![task_completed(1)], None).await.unwrap();
    assert_eq!(store.nudged(runner(1)).await.unwrap(), [(task_id(1), 1)]);
    assert_eq!(store.signals(task_id(1)).await.unwrap(), (vec![], 1));

    // While it is parked; and not twice, when the reply was lost.
    store.release(&parent, Wake::OnSignal, 1).await.unwrap();
    for _ in 0..2 {
        store.append(&second, vec![task_completed(1)], None).await.unwrap();
    }
    assert_eq!(store.signals(task_id(1)).await.unwrap(), (vec![], 2));
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().wake_at_ms, Some(T0 + 1));

    // After its end.
    let parent = store.claim_one(runner(1), task_id(1), T0).await.unwrap().unwrap();
    store.append(&parent, vec![task_completed(1)], None).await.unwrap();
    store.append(&late, vec![task_completed(1)], None).await.unwrap();
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().wake_at_ms, None);
}
