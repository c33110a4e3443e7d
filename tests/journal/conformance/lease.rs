//! Who runs a task.

use std::collections::HashSet;

use relight::journal::{NewTask, RunnerId, Signal, Store, TaskId, Wake};

use crate::store::Journal;
use crate::support::{AGENT, T0, leased, new_task, runner, started, task_completed, task_id};

async fn claim(store: &dyn Store, by: RunnerId, now_ms: i64, limit: usize) -> Vec<TaskId> {
    let leases = store.claim(by, &[AGENT.to_owned()], now_ms, limit).await.unwrap();
    assert!(leases.iter().all(|lease| lease.runner == by));
    leases.into_iter().map(|lease| lease.task).collect()
}

pub(crate) async fn due_tasks_are_claimed_oldest_first(journal: &dyn Journal) {
    let store = journal.open();
    for (n, created_at_ms) in [(1, T0 + 30), (2, T0 + 10), (3, T0 + 20), (4, T0 + 40)] {
        store.create(NewTask { created_at_ms, ..new_task(n) }).await.unwrap();
    }
    store.renew(runner(1), T0 + 60_000).await.unwrap();
    assert_eq!(claim(&*store, runner(1), T0, 10).await, []);
    let due = [task_id(2), task_id(3), task_id(1)];
    assert_eq!(claim(&*store, runner(1), T0 + 30, 10).await, due);
    assert_eq!(claim(&*store, runner(1), T0 + 30, 10).await, []);

    let task = store.task(task_id(2)).await.unwrap().unwrap();
    assert_eq!((task.runner, task.wake_at_ms), (Some(runner(1)), None));
    assert_eq!(store.next_due(&[AGENT.to_owned()]).await.unwrap(), Some(T0 + 40));
}

pub(crate) async fn a_claim_is_limited(journal: &dyn Journal) {
    let store = journal.open();
    store.renew(runner(1), T0 + 60_000).await.unwrap();
    for n in 1..=5 {
        store.create(new_task(n)).await.unwrap();
    }
    let mut claimed = HashSet::new();
    for (limit, expected) in [(0, 0), (2, 2), (2, 2), (2, 1), (2, 0)] {
        let tasks = claim(&*store, runner(1), T0, limit).await;
        assert_eq!(tasks.len(), expected);
        claimed.extend(tasks);
    }
    assert_eq!(claimed.len(), 5);
}

pub(crate) async fn only_asked_functions_are_claimed(journal: &dyn Journal) {
    let store = journal.open();
    store.create(NewTask { function: "refund".to_owned(), ..new_task(1) }).await.unwrap();
    store.create(NewTask { created_at_ms: T0 + 1, ..new_task(2) }).await.unwrap();
    let [agent, refund, other] = [AGENT, "refund", "other"].map(str::to_owned);

    let due = async |functions: &[String]| store.next_due(functions).await.unwrap();
    assert_eq!(due(&[]).await, None);
    assert_eq!(due(std::slice::from_ref(&other)).await, None);
    assert_eq!(due(std::slice::from_ref(&agent)).await, Some(T0 + 1));
    assert_eq!(due(&[agent.clone(), refund.clone()]).await, Some(T0));

    let claim = async |functions: &[String]| {
        let leases = store.claim(runner(1), functions, T0 + 1, 10).await.unwrap();
        leases.into_iter().map(|lease| lease.task).collect::<Vec<_>>()
    };
    assert_eq!(claim(&[]).await, []);
    assert_eq!(claim(&[other]).await, []);
    assert_eq!(claim(&[agent.clone(), agent.clone()]).await, [task_id(2)]);
    assert_eq!(claim(&[agent, refund]).await, [task_id(1)]);
}

pub(crate) async fn each_lease_has_a_higher_epoch(journal: &dyn Journal) {
    let store = journal.open();
    let mut lease = leased(&*store, new_task(1), runner(1)).await;
    assert_eq!(lease.epoch, 1);
    for epoch in 2..5 {
        store.release(&lease, Wake::Now, 0).await.unwrap();
        let leases = store.claim(runner(epoch), &[AGENT.to_owned()], T0, 1).await.unwrap();
        assert_eq!((leases[0].runner, leases[0].epoch), (runner(epoch), epoch));
        lease = leases[0];
    }
    // By the same runner too: what it did under the lease before may still be under way.
    let again = store.claim_one(runner(4), task_id(1), T0).await.unwrap().unwrap();
    assert_eq!(again.epoch, 5);
}

pub(crate) async fn an_expired_runner_loses_its_tasks(journal: &dyn Journal) {
    let store = journal.open();
    leased(&*store, new_task(1), runner(1)).await;
    store.renew(runner(1), T0 + 100).await.unwrap();
    store.renew(runner(2), T0 + 1_000).await.unwrap();
    assert_eq!(claim(&*store, runner(2), T0 + 99, 10).await, []);
    assert_eq!(store.claim_one(runner(2), task_id(1), T0 + 99).await.unwrap(), None);

    store.renew(runner(1), T0 + 200).await.unwrap();
    assert_eq!(claim(&*store, runner(2), T0 + 199, 10).await, []);
    assert_eq!(claim(&*store, runner(2), T0 + 201, 10).await, [task_id(1)]);

    // It was only slow: it may go on with other tasks, not with this one.
    store.renew(runner(1), T0 + 500).await.unwrap();
    store.create(new_task(2)).await.unwrap();
    assert_eq!(claim(&*store, runner(1), T0 + 202, 10).await, [task_id(2)]);

    // One that never renewed has no time at all.
    store.create(new_task(3)).await.unwrap();
    assert_eq!(claim(&*store, runner(3), T0 + 203, 10).await, [task_id(3)]);
    assert_eq!(claim(&*store, runner(2), T0 + 204, 10).await, [task_id(3)]);
}

pub(crate) async fn one_task_can_be_claimed_by_name(journal: &dyn Journal) {
    let store = journal.open();
    let later = NewTask { function: "refund".to_owned(), created_at_ms: T0 + 50, ..new_task(1) };
    let lease = leased(&*store, later, runner(1)).await;
    assert_eq!((lease.task, lease.runner, lease.epoch), (task_id(1), runner(1), 1));
    assert_eq!(store.claim_one(runner(2), task_id(1), T0).await.unwrap(), None);
    assert_eq!(store.claim_one(runner(2), task_id(7), T0).await.unwrap(), None);
    let lease = store.claim_one(runner(2), task_id(1), T0 + 60_001).await.unwrap().unwrap();
    store.append(&lease, vec![task_completed(1)], None).await.unwrap();
    assert_eq!(store.claim_one(runner(2), task_id(1), T0 + 60_001).await.unwrap(), None);
}

pub(crate) async fn a_released_task_is_due_as_asked(journal: &dyn Journal) {
    let store = journal.open();
    let functions = [AGENT.to_owned()];
    let lease = leased(&*store, new_task(1), runner(1)).await;
    assert_eq!(store.next_due(&functions).await.unwrap(), None);

    store.release(&lease, Wake::At(T0 + 10), 0).await.unwrap();
    assert_eq!(store.next_due(&functions).await.unwrap(), Some(T0 + 10));
    let task = store.task(task_id(1)).await.unwrap().unwrap();
    assert_eq!((task.runner, task.wake_at_ms, task.epoch), (None, Some(T0 + 10), 1));
    assert_eq!(claim(&*store, runner(1), T0 + 9, 10).await, []);
    assert_eq!(claim(&*store, runner(1), T0 + 10, 10).await, [task_id(1)]);

    let lease = store.claim_one(runner(1), task_id(1), T0).await.unwrap().unwrap();
    store.release(&lease, Wake::OnSignal, 0).await.unwrap();
    assert_eq!(store.next_due(&functions).await.unwrap(), None);
    assert_eq!(claim(&*store, runner(1), T0 + 99_999, 10).await, []);

    let lease = store.claim_one(runner(1), task_id(1), T0).await.unwrap().unwrap();
    store.release(&lease, Wake::Now, 0).await.unwrap();
    assert_eq!(claim(&*store, runner(1), T0, 10).await, [task_id(1)]);
}

pub(crate) async fn a_wake_up_before_the_release_is_not_lost(journal: &dyn Journal) {
    let store = journal.open();
    let cancel = Signal::Cancel { reason: None };
    for (n, wake) in [(1, Wake::OnSignal), (2, Wake::At(T0 + 99_999))] {
        let lease = leased(&*store, new_task(n), runner(1)).await;
        store.signal(task_id(n), cancel.clone(), T0).await.unwrap();
        store.release(&lease, wake, 0).await.unwrap();
        let lease = store.claim(runner(1), &[AGENT.to_owned()], T0, 9).await.unwrap()[0];
        assert_eq!(lease.task, task_id(n));

        // What was seen before does not wake it again.
        store.release(&lease, wake, 1).await.unwrap();
        assert_eq!(claim(&*store, runner(1), T0, 9).await, []);
    }
}

pub(crate) async fn a_lost_lease_releases_nothing(journal: &dyn Journal) {
    let store = journal.open();
    let old = leased(&*store, new_task(1), runner(1)).await;
    store.release(&old, Wake::OnSignal, 0).await.unwrap();
    store.release(&old, Wake::Now, 0).await.unwrap();
    assert_eq!(claim(&*store, runner(1), T0, 9).await, []);

    let new = store.claim_one(runner(2), task_id(1), T0).await.unwrap().unwrap();
    store.release(&old, Wake::Now, 0).await.unwrap();
    store.append(&new, vec![started(1, "a", 1), task_completed(2)], None).await.unwrap();
    store.release(&new, Wake::Now, 0).await.unwrap();
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().wake_at_ms, None);
}

pub(crate) async fn a_retired_runner_leaves_its_tasks_due(journal: &dyn Journal) {
    let store = journal.open();
    leased(&*store, new_task(1), runner(1)).await;
    leased(&*store, new_task(2), runner(1)).await;
    leased(&*store, new_task(3), runner(2)).await;
    store.retire(runner(1)).await.unwrap();
    let due: HashSet<_> = claim(&*store, runner(2), T0, 9).await.into_iter().collect();
    assert_eq!(due, HashSet::from([task_id(1), task_id(2)]));
    store.retire(runner(1)).await.unwrap();
}
