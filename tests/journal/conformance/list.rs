//! Listing tasks.

use relight::journal::{Error, Filter, NewTask, Signal, Status, Store, TaskId};

use crate::store::Journal;
use crate::support::{child, leased, new_task, runner, task_completed, task_id};

async fn list(store: &dyn Store, filter: Filter) -> Vec<TaskId> {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let tasks = store.tasks(Filter { limit, ..filter }).await.unwrap();
    tasks.into_iter().map(|task| task.id).collect()
}

pub(crate) async fn tasks_are_listed_newest_first(journal: &dyn Journal) {
    let store = journal.open();
    assert_eq!(list(&*store, Filter::default()).await, []);
    for n in [5, 3, 9] {
        store.create(new_task(n)).await.unwrap();
    }
    let expected = [9, 3, 5].map(task_id);
    assert_eq!(list(&*store, Filter::default()).await, expected);
    let listed = store.tasks(Filter { limit: 1, ..Filter::default() }).await.unwrap();
    assert_eq!(listed, [store.task(task_id(9)).await.unwrap().unwrap()]);
}

pub(crate) async fn a_listing_is_read_page_by_page(journal: &dyn Journal) {
    let store = journal.open();
    for n in 1..=5 {
        store.create(new_task(n)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = list(&*store, Filter { after, limit: 2, ..Filter::default() }).await;
        // A task that comes in between belongs before the first page.
        store.create(new_task(100 + seen.len() as u128)).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(*last);
        seen.extend(page);
    }
    assert_eq!(seen, [5, 4, 3, 2, 1].map(task_id));
    let gone = Filter { after: Some(task_id(77)), limit: 2, ..Filter::default() };
    assert!(matches!(store.tasks(gone).await, Err(Error::UnknownTask { .. })));
}

pub(crate) async fn a_listing_is_filtered(journal: &dyn Journal) {
    let store = journal.open();
    let owned = |n, owner: &str| NewTask { owner: Some(owner.to_owned()), ..new_task(n) };
    store.create(new_task(0xab << 120)).await.unwrap();
    store.create(owned(2, "ada")).await.unwrap();
    store.create(NewTask { owner: Some("ada".to_owned()), ..child(3, 2) }).await.unwrap();
    let lease = leased(&*store, owned(0xabc << 116, "bob"), runner(1)).await;
    store.append(&lease, vec![task_completed(1)], None).await.unwrap();
    store.signal(task_id(2), Signal::Cancel { reason: None }, 0).await.unwrap();

    let (plain, done) = (task_id(0xab << 120), lease.task);
    let all = Filter::default;
    for (filter, expected) in [
        (all(), vec![done, task_id(3), task_id(2), plain]),
        (Filter { owner: Some(None), ..all() }, vec![plain]),
        (Filter { owner: Some(Some("ada".to_owned())), ..all() }, vec![task_id(3), task_id(2)]),
        (Filter { owner: Some(Some(String::new())), ..all() }, vec![]),
        (Filter { status: vec![Status::Completed], ..all() }, vec![done]),
        (
            Filter { status: vec![Status::Working, Status::Failed], ..all() },
            vec![task_id(3), task_id(2), plain],
        ),
        (Filter { parent: Some(task_id(2)), ..all() }, vec![task_id(3)]),
        (Filter { id_prefix: Some("ab".to_owned()), ..all() }, vec![done, plain]),
        (Filter { id_prefix: Some("ABC".to_owned()), ..all() }, vec![done]),
        (Filter { id_prefix: Some(task_id(2).to_string()), ..all() }, vec![task_id(2)]),
        (Filter { id_prefix: Some("x".to_owned()), ..all() }, vec![]),
        (Filter { id_prefix: Some("0".repeat(33)), ..all() }, vec![]),
        (
            Filter {
                owner: Some(Some("ada".to_owned())),
                status: vec![Status::Working],
                after: Some(task_id(3)),
                id_prefix: Some(String::new()),
                ..all()
            },
            vec![task_id(2)],
        ),
    ] {
        assert_eq!(list(&*store, filter.clone()).await, expected, "{filter:?}");
    }
}
