//! The stored format: what was written once is read for ever, and what is not ours is left alone.
//!
//! `golden/events-1.jsonl` pins each event's JSON. `golden/journal-1.db` is a journal as the first
//! version of the format wrote it (by [`write_sample`]); it is never made anew.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use relight::journal::sqlite::Sqlite;
use relight::journal::{
    Deadline, End, Error, Event, Filter, NewTask, Record, Signal, Store, Task, Wake,
};
use serde_json::json;
use tempfile::TempDir;

use crate::payloads::any_payload;
use crate::support::{
    T0, child, completed, every_event, leased, new_task, noise, payload, record, runner,
    task_completed, task_id,
};

const SAMPLE: &[u8] = include_bytes!("../golden/journal-1.db");

#[test]
fn events_are_written_as_ever() {
    let golden: Vec<&str> = include_str!("../golden/events-1.jsonl").lines().collect();
    let events = every_event();
    for (n, event) in events.iter().enumerate() {
        let text = serde_json::to_string(event).unwrap();
        assert_eq!(golden.get(n).copied(), Some(text.as_str()), "event {n}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), *event);
    }
    assert_eq!(golden.len(), events.len());
}

/// Came after the golden file, which is left as the first version wrote it.
#[test]
fn a_deadline_is_written_as_ever() {
    let mut event = every_event().swap_remove(0);
    let Event::TaskCreated { deadline, parent, .. } = &mut event else { panic!("not the first") };
    *parent = None;
    *deadline = Some(Deadline { at_ms: T0, set_by: Some("budget.wallTime".to_owned()) });
    let text = serde_json::to_string(&event).unwrap();
    let written = r#","deadline":{"at_ms":1800000000000,"set_by":"budget.wallTime"}}}"#;
    assert!(text.ends_with(written), "{text}");
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}

/// These came after the golden file too.
#[test]
fn what_is_decided_by_hand_is_written_as_ever() {
    for (event, text) in [
        (Event::TaskResumed {}, r#"{"task_resumed":{}}"#),
        (Event::DriftAccepted {}, r#"{"drift_accepted":{}}"#),
        (
            Event::TaskForked { task: task_id(1), at: "turn-3".to_owned() },
            r#"{"task_forked":{"task":"00000000000000000000000000000001","at":"turn-3"}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
        assert_eq!(serde_json::from_str::<Event>(text).unwrap(), event);
    }
}

/// Tasks of all sorts: parked, with signals and large payloads, and one for each way to end.
async fn write_sample(store: &dyn Store) {
    let parked = NewTask {
        owner: Some("ada".to_owned()),
        owner_tasks_max: None,
        idempotency_key: Some("order-7".to_owned()),
        definition: Some(noise(6_000, 1)),
        ttl_ms: Some(60_000),
        ..new_task(1)
    };
    let lease = leased(store, parked, runner(1)).await;
    let events = every_event().into_iter().skip(1).filter(|event| event.end().is_none());
    let records = (1..).zip(events).map(|(seq, event)| record(seq, event)).collect();
    store.append(&lease, records, Some("asleep".to_owned())).await.unwrap();
    let answer = Signal::Answer { key: "turn-1/ask".to_owned(), value: payload(&json!("yes")) };
    store.signal(task_id(1), answer, T0).await.unwrap();
    let cancel = Signal::Cancel { reason: Some("changed my mind".to_owned()) };
    store.signal(task_id(1), cancel, T0 + 1).await.unwrap();
    store.release(&lease, Wake::At(T0 + 60_000), 2).await.unwrap();

    let ends = every_event().into_iter().filter(|event| event.end().is_some());
    for (n, end) in (2..).zip(ends) {
        let lease = leased(store, child(n, 1), runner(1)).await;
        store.append(&lease, vec![record(1, end)], None).await.unwrap();
    }
    let lease = leased(store, new_task(9), runner(1)).await;
    let output = payload(&json!({"text": "all of it. ".repeat(900)}));
    store.append(&lease, vec![record(1, Event::TaskCompleted { output })], None).await.unwrap();
    leased(store, new_task(10), runner(1)).await;
}

/// Everything that can be read of a task.
type Read = (Task, Vec<Record>, Option<End>, (Vec<Signal>, u64));

async fn read_all(store: &dyn Store) -> Vec<Read> {
    let mut all = Vec::new();
    for task in store.tasks(Filter { limit: 100, ..Filter::default() }).await.unwrap() {
        let history = store.history(task.id, 0).await.unwrap();
        let end = store.end(task.id).await.unwrap();
        let signals = store.signals(task.id).await.unwrap();
        all.push((task, history, end, signals));
    }
    all
}

struct Place {
    dir: TempDir,
    path: PathBuf,
}

/// A journal of the first format in a directory of its own.
fn sample() -> Place {
    place(SAMPLE)
}

fn place(content: &[u8]) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    fs::write(&path, content).unwrap();
    Place { dir, path }
}

fn sql(path: &Path, text: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(text).unwrap();
}

fn open_error(path: &Path) -> Error {
    Sqlite::open(path).err().unwrap()
}

#[tokio::test]
async fn a_journal_of_the_first_format_is_read() {
    let place = sample();
    let old = Sqlite::open(&place.path).unwrap();
    let new = Sqlite::open(&place.dir.path().join("new.db")).unwrap();
    write_sample(&new).await;
    let read = read_all(&old).await;
    assert_eq!(read.len(), 7);
    assert_eq!(read, read_all(&new).await);

    // And it goes on from there.
    let lease = old.claim_one(runner(2), task_id(10), T0 + 60_000).await.unwrap().unwrap();
    assert_eq!(lease.epoch, 2);
    old.append(&lease, vec![task_completed(1)], None).await.unwrap();
    assert!(old.end(task_id(10)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_journal_of_the_first_format_becomes_one_of_now() {
    let place = sample();
    let new = place.dir.path().join("new.db");
    let layout = |path: &Path| -> Vec<(String, Option<String>)> {
        let file = rusqlite::Connection::open(path).unwrap();
        let mut query = file.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let before = layout(&place.path);
    for path in [&place.path, &new] {
        Sqlite::open(path).unwrap().close().await;
    }
    assert_ne!(layout(&place.path), before);
    assert_eq!(layout(&place.path), layout(&new));
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let place = sample();
    sql(&place.path, "PRAGMA user_version = 4; PRAGMA wal_checkpoint(TRUNCATE)");
    let before = fs::read(&place.path).unwrap();
    let error = open_error(&place.path);
    assert!(matches!(error, Error::NewerFormat { found: 4, supported: 3, .. }), "{error}");
    assert!(error.to_string().contains("format 4"), "{error}");
    assert_eq!(fs::read(&place.path).unwrap(), before);
}

#[tokio::test]
async fn a_journal_that_a_newer_relight_takes_over_is_written_no_more() {
    let place = place(&[]);
    let store = Sqlite::open(&place.path).unwrap();
    let lease = leased(&store, new_task(1), runner(1)).await;
    let version = |n| sql(&place.path, &format!("PRAGMA user_version = {n}"));
    version(9);
    for written in [
        store.create(new_task(2)).await.map(drop),
        store.append(&lease, vec![task_completed(1)], None).await,
        store.renew(runner(1), T0 + 90_000).await.map(drop),
    ] {
        let newer = matches!(written, Err(Error::NewerFormat { found: 9, supported: 3, .. }));
        assert!(newer, "{written:?}");
    }
    // What it left is whole, and goes on where the format is one that it knows.
    version(3);
    assert_eq!(store.task(task_id(2)).await.unwrap(), None);
    store.append(&lease, vec![task_completed(1)], None).await.unwrap();
    assert!(store.end(task_id(1)).await.unwrap().is_some());
}

#[test]
fn what_is_no_journal_is_refused_and_left_as_it_is() {
    let mut torn = SAMPLE.to_vec();
    torn[..16].fill(0xff);
    let foreign = place(&[]);
    sql(&foreign.path, "CREATE TABLE notes (text)");
    for (content, part) in [
        (b"Dear diary, ".repeat(100), "no SQLite file"),
        (torn, "no SQLite file"),
        (fs::read(&foreign.path).unwrap(), "another program's SQLite file"),
    ] {
        let place = place(&content);
        let error = open_error(&place.path);
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(fs::read(&place.path).unwrap(), content);
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_journal() {
    let place = place(&[]);
    let store = Sqlite::open(&place.path).unwrap();
    store.create(new_task(1)).await.unwrap();
}

/// Damages a journal by SQL, and reads the history of one of its tasks.
async fn damaged(text: &str, task: u128) -> String {
    let place = sample();
    sql(&place.path, text);
    let store = Sqlite::open(&place.path).unwrap();
    let error = store.history(task_id(task), 0).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    error.to_string()
}

#[tokio::test]
async fn damage_is_named_and_never_read_over() {
    for (damage, part) in [
        (r#"UPDATE events SET body = x'00' || '{"step_imagined":{}}'"#, "step_imagined"),
        (r#"UPDATE events SET body = x'00' || '{"task_claimed":'"#, "event 0"),
        ("UPDATE events SET body = x''", "cut short"),
        ("UPDATE events SET body = x'03'", "cut short"),
        ("UPDATE events SET body = x'40'", "flags 0x40"),
        ("UPDATE events SET body = x'010a00000000112233'", "event 0"),
        ("UPDATE events SET body = x'01ffffffff00112233'", "claims to hold"),
        ("UPDATE blobs SET data = zeroblob(bytes)", "content has changed"),
        ("UPDATE blobs SET data = substr(data, 1, 40)", "blob"),
        ("DELETE FROM blobs", "is missing"),
    ] {
        // SQLite joins a blob and a text to a text; the column takes blobs only.
        let damage = match damage.split_once(" = x'00' || ") {
            Some((set, text)) => format!("{set} = CAST(x'00' || {text} AS BLOB)"),
            None => damage.to_owned(),
        };
        let shown = damaged(&damage, 1).await;
        assert!(shown.contains(part) && shown.contains("journal.db"), "{damage}: {shown}");
    }
}

#[tokio::test]
async fn a_file_cut_short_is_damaged() {
    let place = place(&SAMPLE[..SAMPLE.len() / 2]);
    let read = match Sqlite::open(&place.path) {
        Err(error) => Err(error),
        Ok(store) => store.history(task_id(10), 0).await,
    };
    assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_payload_comes_back_to_the_letter(payloads in prop::collection::vec(any_payload(), 4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let [input, definition, output, details] = payloads.try_into().unwrap();
        runtime.block_on(async {
            let store = Sqlite::open(&dir.path().join("journal.db")).unwrap();
            let new = NewTask { input, definition: Some(definition), ..new_task(1) };
            let (input, definition) = (new.input.clone(), new.definition.clone());
            let lease = leased(&store, new, runner(1)).await;
            let mut failure = relight::journal::Failure::is_final("no");
            failure.details = Some(details);
            let records = vec![
                completed(1, "a", output),
                record(2, Event::TaskFailed { failure }),
            ];
            store.append(&lease, records.clone(), None).await.unwrap();
            let mut history = store.history(task_id(1), 0).await.unwrap();
            assert_eq!(history.split_off(1), records);
            let Some(Event::TaskCreated { input: i, definition: d, .. }) =
                history.pop().map(|record| record.event)
            else {
                unreachable!()
            };
            assert_eq!((i, d), (input, definition));
        });
    }
}
