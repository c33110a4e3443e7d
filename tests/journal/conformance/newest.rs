//! A task that has just been created under its first lease, before anything else is written: a store may
//! keep it elsewhere until then, and nobody may notice.

use relight::journal::{
    Created, End, Error, Filter, Lease, NewTask, Record, Sent, Signal, Status, Store, Task, TaskId,
    Wake,
};
use serde_json::json;

use crate::store::Journal;
use crate::support::{
    AGENT, T0, child, new_task, noise, payload, runner, started, task_completed, task_id,
};

/// Tasks of each shape, with a runner.
fn each_shape() -> Vec<NewTask> {
    let owner = Some("ada".to_owned());
    let shapes = vec![
        new_task(10),
        child(11, 1),
        NewTask { owner: owner.clone(), ttl_ms: Some(5_000), ..new_task(12) },
        NewTask { idempotency_key: Some("k".to_owned()), owner, ..new_task(13) },
        NewTask { owner_tasks_max: Some(9), definition: Some(noise(800, 1)), ..new_task(14) },
        NewTask { input: noise(2_800, 2), ..new_task(15) },
        NewTask { input: noise(3_600, 3), ..new_task(16) },
        NewTask { input: noise(9_000, 4), ..new_task(17) },
        NewTask { past: vec![started(1, "a", 1).event], ..new_task(18) },
    ];
    let with_runner = |task| NewTask { runner: Some(runner(1)), ..task };
    shapes.into_iter().map(with_runner).collect()
}

/// All that can be read of a task.
#[derive(Debug, PartialEq)]
struct Seen {
    task: Option<Task>,
    end: Option<End>,
    histories: Vec<Vec<Record>>,
    signals: (Vec<Signal>, u64),
    nudged: Vec<(TaskId, u64)>,
    lists: Vec<Result<Vec<Task>, String>>,
}

async fn look(store: &dyn Store, id: TaskId) -> Seen {
    let all = Filter { limit: 100, ..Filter::default() };
    let older = store.tasks(Filter { limit: 1, after: Some(id), ..all.clone() }).await.unwrap();
    let prefix = |prefix: &str| Some(prefix.to_owned());
    let mut lists = Vec::new();
    for filter in [
        all.clone(),
        Filter { limit: 1, ..all.clone() },
        Filter { limit: 2, ..all.clone() },
        Filter { owner: Some(None), ..all.clone() },
        Filter { owner: Some(Some("ada".to_owned())), ..all.clone() },
        Filter { status: vec![Status::Working], ..all.clone() },
        Filter { status: vec![Status::Completed, Status::Failed], ..all.clone() },
        Filter { parent: Some(task_id(1)), ..all.clone() },
        Filter { id_prefix: prefix(&id.to_string()), ..all.clone() },
        Filter { id_prefix: prefix("ff"), ..all.clone() },
        Filter { after: Some(id), ..all.clone() },
        Filter { after: older.first().map(|task| task.id), ..all.clone() },
        Filter { after: Some(task_id(99)), ..all },
    ] {
        lists.push(store.tasks(filter).await.map_err(|error| error.to_string()));
    }
    let mut histories = Vec::new();
    for from in 0..2 {
        histories.push(store.history(id, from).await.unwrap());
    }
    Seen {
        task: store.task(id).await.unwrap(),
        end: store.end(id).await.unwrap(),
        histories,
        signals: store.signals(id).await.unwrap(),
        nudged: store.nudged(runner(1)).await.unwrap(),
        lists,
    }
}

pub(crate) async fn it_looks_as_it_will_look(journal: &dyn Journal) {
    let (store, other) = (journal.open(), journal.open());
    store.renew(runner(1), T0 + 60_000).await.unwrap();
    store.create(new_task(1)).await.unwrap();
    for new in each_shape() {
        let id = new.id;
        assert_eq!(store.create(new.clone()).await.unwrap(), Created::New(id));
        let before = look(&*store, id).await;
        assert_eq!(before.task, Some(Task::created(&new)), "{new:?}");
        assert_eq!(before.histories[0], new.records(), "{new:?}");
        assert_eq!(look(&*other, id).await, before);
        other.renew(runner(2), T0 + 60_000).await.unwrap();
        assert_eq!(look(&*store, id).await, before);
        assert_eq!(look(&*other, id).await, before);
    }
}

pub(crate) async fn it_is_found_when_it_is_created_again(journal: &dyn Journal) {
    let (store, other) = (journal.open(), journal.open());
    for new in each_shape() {
        store.create(new.clone()).await.unwrap();
        assert_eq!(store.create(new.clone()).await.unwrap(), Created::Existing(new.id));
    }
    let keyed = |n, key: &str| {
        let idempotency_key = Some(key.to_owned());
        NewTask { idempotency_key, runner: Some(runner(1)), ..new_task(n) }
    };
    store.create(keyed(20, "other")).await.unwrap();
    assert_eq!(other.create(keyed(21, "other")).await.unwrap(), Created::Existing(task_id(20)));
    store.create(keyed(22, "third")).await.unwrap();
    let again = NewTask { input: payload(&json!("else")), ..keyed(23, "third") };
    assert!(matches!(other.create(again).await, Err(Error::KeyReused { .. })));
    assert_eq!(store.task(task_id(23)).await.unwrap(), None);
}

pub(crate) async fn it_counts_as_one_of_its_owner(journal: &dyn Journal) {
    let store = journal.open();
    let bounded = |n| NewTask { owner_tasks_max: Some(2), runner: Some(runner(1)), ..new_task(n) };
    store.create(bounded(1)).await.unwrap();
    store.create(bounded(2)).await.unwrap();
    assert!(matches!(store.create(bounded(3)).await, Err(Error::TooManyTasks { max: 2 })));
}

pub(crate) async fn the_first_write_after_it_finds_it(journal: &dyn Journal) {
    let (store, other) = (journal.open(), journal.open());
    let functions = [AGENT.to_owned()];
    let new = |n| NewTask { runner: Some(runner(1)), ..new_task(n) };
    let lease = |n| Lease { task: task_id(n), runner: runner(1), epoch: 1 };
    store.renew(runner(1), T0 + 60_000).await.unwrap();

    store.create(new(1)).await.unwrap();
    store.append(&lease(1), vec![task_completed(1)], None).await.unwrap();
    assert!(store.end(task_id(1)).await.unwrap().is_some());

    store.create(new(2)).await.unwrap();
    let cancel = Signal::Cancel { reason: None };
    assert_eq!(other.signal(task_id(2), cancel, T0).await.unwrap(), Sent::Delivered);
    assert_eq!(store.nudged(runner(1)).await.unwrap(), [(task_id(2), 1)]);

    store.create(new(3)).await.unwrap();
    assert!(!other.remove(task_id(3)).await.unwrap());
    assert_eq!(other.purge(i64::MAX, 9).await.unwrap(), 0);

    store.create(new(4)).await.unwrap();
    store.release(&lease(4), Wake::At(T0 + 5), 0).await.unwrap();
    assert_eq!(store.next_due(&functions).await.unwrap(), Some(T0 + 5));

    store.create(new(5)).await.unwrap();
    assert_eq!(store.claim_one(runner(2), task_id(5), T0).await.unwrap(), None);
    store.create(new(6)).await.unwrap();
    store.retire(runner(1)).await.unwrap();
    let due = store.claim(runner(2), &functions, T0, 9).await.unwrap();
    let due: Vec<_> = due.into_iter().map(|lease| lease.task).collect();
    assert_eq!(due, [2, 3, 5, 6].map(task_id));
}
