//! Creating tasks.

use relight::journal::{Created, Deadline, Error, Event, Lease, NewTask, Status, Task};
use serde_json::json;

use crate::store::Journal;
use crate::support::{AGENT, T0, child, completed, new_task, payload, runner, started, task_id};

pub(crate) async fn a_new_task_is_there_and_due(journal: &dyn Journal) {
    let store = journal.open();
    let new = NewTask {
        definition: Some(payload(&json!({"model": "m"}))),
        owner: Some("ada".to_owned()),
        ttl_ms: Some(5_000),
        deadline: Some(Deadline { at_ms: T0 + 7, set_by: None }),
        ..child(1, 9)
    };
    assert_eq!(store.create(new.clone()).await.unwrap(), Created::New(task_id(1)));

    let task = store.task(task_id(1)).await.unwrap().unwrap();
    assert_eq!((task.id, &*task.function, &*task.name), (new.id, AGENT, "checkout"));
    assert_eq!((task.owner, task.parent), (new.owner, new.parent.clone()));
    assert_eq!((task.status, task.message), (Status::Working, None));
    assert_eq!((task.created_at_ms, task.updated_at_ms), (T0, T0));
    assert_eq!((task.ttl_ms, task.wake_at_ms), (Some(5_000), Some(T0)));
    assert_eq!((task.runner, task.epoch), (None, 0));
    assert_eq!((task.cancel_requested, task.events), (false, 1));

    let history = store.history(task_id(1), 0).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].seq, history[0].at_ms), (0, T0));
    let expected = Event::TaskCreated {
        function: new.function,
        name: new.name,
        input: new.input,
        definition: new.definition,
        seed: new.seed,
        parent: new.parent,
        deadline: new.deadline,
    };
    assert_eq!(history[0].event, expected);
    assert_eq!(store.end(task_id(1)).await.unwrap(), None);

    assert_eq!(store.task(task_id(2)).await.unwrap(), None);
    assert_eq!(store.end(task_id(2)).await.unwrap(), None);
    assert!(store.history(task_id(2), 0).await.unwrap().is_empty());
    let claimed = store.claim(runner(1), &[AGENT.to_owned()], T0, 10).await.unwrap();
    assert_eq!(claimed.len(), 1);
}

fn keyed(n: u128, owner: Option<&str>, key: &str) -> NewTask {
    let (owner, idempotency_key) = (owner.map(str::to_owned), Some(key.to_owned()));
    NewTask { owner, idempotency_key, ..new_task(n) }
}

pub(crate) async fn a_key_finds_the_task_that_it_made(journal: &dyn Journal) {
    let store = journal.open();
    for (new, expected) in [
        (keyed(1, Some("ada"), "k"), Created::New(task_id(1))),
        (keyed(2, Some("ada"), "k"), Created::Existing(task_id(1))),
        (keyed(3, Some("bob"), "k"), Created::New(task_id(3))),
        (keyed(4, None, "k"), Created::New(task_id(4))),
        (keyed(5, None, "k"), Created::Existing(task_id(4))),
        (keyed(6, Some(""), "k"), Created::New(task_id(6))),
        (keyed(7, Some("ada"), "other"), Created::New(task_id(7))),
    ] {
        assert_eq!(store.create(new.clone()).await.unwrap(), expected, "{new:?}");
    }
    assert_eq!(store.history(task_id(1), 0).await.unwrap().len(), 1);
    assert_eq!(store.task(task_id(2)).await.unwrap(), None);
}

pub(crate) async fn a_key_of_another_call_is_refused(journal: &dyn Journal) {
    let store = journal.open();
    store.create(keyed(1, None, "k")).await.unwrap();
    for other in [
        NewTask { function: "refund".to_owned(), ..keyed(2, None, "k") },
        NewTask { name: "refund".to_owned(), ..keyed(2, None, "k") },
        NewTask { input: payload(&json!({"order": 8})), ..keyed(2, None, "k") },
    ] {
        let refused = store.create(other).await;
        assert!(matches!(&refused, Err(Error::KeyReused { key }) if key == "k"), "{refused:?}");
    }
    assert_eq!(store.task(task_id(2)).await.unwrap(), None);
}

pub(crate) async fn an_owner_has_so_many_under_way(journal: &dyn Journal) {
    let store = journal.open();
    let bounded = |n, owner: Option<&str>| {
        let owner = owner.map(str::to_owned);
        NewTask { owner, owner_tasks_max: Some(2), ..new_task(n) }
    };
    let over = async |new: NewTask| {
        let created = store.create(new).await;
        let refused = matches!(created, Err(Error::TooManyTasks { max: 2 }));
        assert!(refused || created.is_ok(), "{created:?}");
        refused
    };
    for owner in [None, Some("ada")] {
        let n = if owner.is_some() { 10 } else { 1 };
        assert!(!over(bounded(n, owner)).await);
        store.create(NewTask { owner: owner.map(str::to_owned), ..child(n + 1, n) }).await.unwrap();
        assert!(!over(bounded(n + 2, owner)).await);
        assert!(over(bounded(n + 3, owner)).await);
        assert!(!over(bounded(n, owner)).await, "it is there already");
    }
    store.claim_one(runner(1), task_id(3), T0).await.unwrap();
    assert!(over(bounded(4, None)).await, "one that runs counts too");
}

pub(crate) async fn an_id_is_taken_once(journal: &dyn Journal) {
    let store = journal.open();
    store.create(new_task(1)).await.unwrap();
    assert_eq!(store.create(new_task(1)).await.unwrap(), Created::Existing(task_id(1)));
    let other = NewTask { input: payload(&json!("other")), ..new_task(1) };
    assert!(matches!(store.create(other).await, Err(Error::KeyReused { .. })));
    assert_eq!(store.history(task_id(1), 0).await.unwrap().len(), 1);
}

pub(crate) async fn a_new_task_may_come_with_its_first_lease(journal: &dyn Journal) {
    let store = journal.open();
    let functions = [AGENT.to_owned()];
    let new = |n| NewTask { runner: Some(runner(1)), ..new_task(n) };
    store.renew(runner(1), T0 + 100).await.unwrap();
    assert_eq!(store.create(new(1)).await.unwrap(), Created::New(task_id(1)));
    assert_eq!(store.task(task_id(1)).await.unwrap(), Some(Task::created(&new(1))));
    assert_eq!(store.next_due(&functions).await.unwrap(), None);
    assert_eq!(store.claim(runner(2), &functions, T0 + 99, 9).await.unwrap(), []);
    let lease = new(1).lease().unwrap();
    store.append(&lease, vec![started(1, "a", 1)], None).await.unwrap();

    // It goes the way of all leases.
    let taken = store.claim(runner(2), &functions, T0 + 101, 9).await.unwrap();
    assert_eq!(taken, [Lease { task: task_id(1), runner: runner(2), epoch: 2 }]);
    let late = store.append(&lease, vec![started(2, "b", 1)], None).await;
    assert!(matches!(late, Err(Error::LeaseLost { epoch: 1, .. })), "{late:?}");

    // What is there already stays as it is.
    assert_eq!(store.create(new(1)).await.unwrap(), Created::Existing(task_id(1)));
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().runner, Some(runner(2)));

    // A runner that nobody knows of has no time.
    let unknown = NewTask { runner: Some(runner(3)), ..new_task(2) };
    store.create(unknown).await.unwrap();
    assert_eq!(store.claim(runner(2), &functions, T0 + 102, 9).await.unwrap().len(), 1);
}

pub(crate) async fn a_new_task_may_have_a_past(journal: &dyn Journal) {
    let store = journal.open();
    let past = vec![started(1, "a", 1).event, completed(2, "a", payload(&json!("paid"))).event];
    store.create(NewTask { past: past.clone(), ..new_task(1) }).await.unwrap();
    let history = store.history(task_id(1), 1).await.unwrap();
    let stored: Vec<_> = history.into_iter().map(|record| record.event).collect();
    assert_eq!(stored, past);
    let looks = Task::created(&NewTask { past, ..new_task(1) });
    assert_eq!(store.task(task_id(1)).await.unwrap(), Some(looks));
}
