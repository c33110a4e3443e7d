//! Appending events and reading them back.

use relight::journal::{End, Error, Event, Payload, Record, Status, Wake};
use relight::limits;
use serde_json::json;

use crate::store::Journal;
use crate::support::{
    T0, completed, every_event, leased, new_task, noise, payload, record, runner, started,
    task_completed, task_id,
};

pub(crate) async fn events_come_back_as_they_went_in(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    let ends = |event: &Event| event.end().is_some();
    let events = every_event().into_iter().skip(1).filter(|event| !ends(event));
    let records: Vec<Record> = (1..).zip(events).map(|(seq, event)| record(seq, event)).collect();
    store.append(&lease, records.clone(), None).await.unwrap();

    let history = store.history(task_id(1), 1).await.unwrap();
    assert_eq!(history, records);
    assert_eq!(store.history(task_id(1), 5).await.unwrap(), records[4..]);
    assert!(store.history(task_id(1), 1_000).await.unwrap().is_empty());
    assert!(store.history(task_id(1), u64::MAX).await.unwrap().is_empty());

    for (n, event) in (2..).zip(every_event().into_iter().filter(ends)) {
        let lease = leased(&*store, new_task(n), runner(1)).await;
        let expected = event.end();
        store.append(&lease, vec![record(1, event)], None).await.unwrap();
        assert_eq!(store.end(task_id(n)).await.unwrap(), expected);
    }
}

pub(crate) async fn payloads_of_any_length_come_back(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    let inline = limits::INLINE_PAYLOAD_BYTES;
    let aside = limits::PACK_ASIDE_BYTES;
    let mut outputs: Vec<Payload> = [2, inline - 1, inline, inline + 1, 3 * inline, aside + 1]
        .into_iter()
        .flat_map(|bytes| [noise(bytes, 7), payload(&json!("a".repeat(bytes - 2)))])
        .collect();
    // Twice the same content, and one that reads like what a store may write in a payload's place.
    outputs.push(outputs[6].clone());
    outputs.push(payload(&json!({"blob": outputs[6].hash(), "slot": 0})));
    outputs.push(Payload::null());
    let records: Vec<Record> =
        (1..).zip(&outputs).map(|(seq, output)| completed(seq, "s", output.clone())).collect();
    store.append(&lease, records.clone(), None).await.unwrap();
    assert_eq!(store.history(task_id(1), 1).await.unwrap(), records);
}

pub(crate) async fn what_leaves_a_gap_is_refused(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    for records in [
        vec![started(2, "a", 1)],
        vec![started(1, "a", 1), started(3, "b", 1)],
        vec![started(1, "a", 1), started(1, "b", 1)],
    ] {
        let refused = store.append(&lease, records, None).await;
        assert!(matches!(refused, Err(Error::Gap { .. })), "{refused:?}");
    }
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().events, 1);
}

pub(crate) async fn what_is_there_already_counts_as_appended(journal: &dyn Journal) {
    let store = journal.open();
    let old = leased(&*store, new_task(1), runner(1)).await;
    let big = noise(3 * limits::INLINE_PAYLOAD_BYTES, 1);
    let first = vec![started(1, "a", 1), completed(2, "a", big)];
    store.append(&old, first.clone(), None).await.unwrap();
    store.append(&old, first.clone(), None).await.unwrap();
    store.append(&old, vec![first[1].clone()], None).await.unwrap();

    // What was lost with the reply, and more behind it.
    let longer = vec![first[1].clone(), started(3, "b", 1)];
    store.append(&old, longer.clone(), None).await.unwrap();
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().events, 4);

    store.release(&old, Wake::Now, 0).await.unwrap();
    let new = store.claim_one(runner(2), task_id(1), T0).await.unwrap().unwrap();
    store.append(&old, longer.clone(), None).await.unwrap();

    let end = vec![completed(4, "b", Payload::null()), task_completed(5)];
    store.append(&new, end.clone(), None).await.unwrap();
    store.append(&new, end, Some("late".to_owned())).await.unwrap();
    assert_eq!(store.history(task_id(1), 0).await.unwrap().len(), 6);
}

pub(crate) async fn what_is_there_with_another_content_is_refused(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    store.append(&lease, vec![started(1, "a", 1)], None).await.unwrap();
    let later = Record { at_ms: T0 + 99, ..started(1, "a", 1) };
    for record in [started(1, "b", 1), later] {
        let refused = store.append(&lease, vec![record, started(2, "c", 1)], None).await;
        assert!(matches!(refused, Err(Error::Gap { seq: 1, next: 2, .. })), "{refused:?}");
    }
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().events, 2);
}

pub(crate) async fn an_old_lease_is_refused(journal: &dyn Journal) {
    let store = journal.open();
    let old = leased(&*store, new_task(1), runner(1)).await;
    store.release(&old, Wake::Now, 0).await.unwrap();
    let lost = |result| matches!(result, Err(Error::LeaseLost { epoch: 1, .. }));
    assert!(lost(store.append(&old, vec![started(1, "a", 1)], None).await));

    let new = store.claim_one(runner(2), task_id(1), T0).await.unwrap().unwrap();
    assert!(lost(store.append(&old, vec![started(1, "a", 1)], None).await));
    assert!(lost(store.append(&old, vec![], Some("hello".to_owned())).await));
    let thief = relight::journal::Lease { runner: runner(3), ..new };
    let refused = store.append(&thief, vec![started(1, "a", 1)], None).await;
    assert!(matches!(refused, Err(Error::LeaseLost { epoch: 2, .. })));

    store.append(&new, vec![started(1, "b", 1)], None).await.unwrap();
    assert!(lost(store.append(&old, vec![started(1, "a", 1)], None).await));
    assert!(lost(store.append(&old, vec![started(2, "a", 1)], None).await));
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().events, 2);

    let nobody = relight::journal::Lease { task: task_id(7), ..new };
    let refused = store.append(&nobody, vec![started(1, "a", 1)], None).await;
    assert!(matches!(refused, Err(Error::UnknownTask { .. })));
}

pub(crate) async fn the_end_frees_the_lease(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    let end = vec![started(1, "a", 1), completed(2, "a", Payload::null()), task_completed(3)];
    store.append(&lease, end, Some("paid".to_owned())).await.unwrap();

    let task = store.task(task_id(1)).await.unwrap().unwrap();
    assert_eq!((task.status, task.message.as_deref()), (Status::Completed, Some("paid")));
    assert_eq!((task.runner, task.wake_at_ms), (None, None));
    assert_eq!((task.epoch, task.events, task.updated_at_ms), (1, 4, T0 + 3));
    let output = payload(&json!("done"));
    assert_eq!(store.end(task_id(1)).await.unwrap(), Some(End::Completed(output)));
    assert_eq!(store.claim_one(runner(2), task_id(1), T0 + 99_999).await.unwrap(), None);
}

pub(crate) async fn nothing_follows_the_end(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    let records = vec![task_completed(1), started(2, "a", 1)];
    let refused = store.append(&lease, records, None).await;
    assert!(matches!(refused, Err(Error::Illegal { .. })), "{refused:?}");
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().events, 1);

    store.append(&lease, vec![task_completed(1)], None).await.unwrap();
    let refused = store.append(&lease, vec![started(2, "a", 1)], None).await;
    assert!(matches!(refused, Err(Error::LeaseLost { .. })), "{refused:?}");
}

pub(crate) async fn a_payload_over_the_bound_is_refused(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    let over = payload(&json!("a".repeat(limits::PAYLOAD_MAX_BYTES)));
    let records = vec![started(1, "a", 1), completed(2, "a", over)];
    let refused = store.append(&lease, records, None).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    assert_eq!(store.task(task_id(1)).await.unwrap().unwrap().events, 1);
}

pub(crate) async fn a_message_is_shown(journal: &dyn Journal) {
    let store = journal.open();
    let lease = leased(&*store, new_task(1), runner(1)).await;
    let shown = async || {
        let task = store.task(task_id(1)).await.unwrap().unwrap();
        (task.message, task.updated_at_ms)
    };
    store.append(&lease, vec![started(1, "a", 1)], None).await.unwrap();
    assert_eq!(shown().await, (None, T0));
    store.append(&lease, vec![started(2, "b", 1)], Some("charging".to_owned())).await.unwrap();
    assert_eq!(shown().await, (Some("charging".to_owned()), T0 + 2));
    store.append(&lease, vec![], Some("mailing".to_owned())).await.unwrap();
    assert_eq!(shown().await, (Some("mailing".to_owned()), T0 + 2));
    store.append(&lease, vec![started(3, "c", 1)], None).await.unwrap();
    assert_eq!(shown().await, (Some("mailing".to_owned()), T0 + 2));
}
