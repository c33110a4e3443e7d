//! What is particular to the embedded store: crashes, other processes, disks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use relight::journal::sqlite::{Options, Sqlite};
use relight::journal::{Error, Filter, Lease, NewTask, Payload, Signal, Store, Wake};
use relight::limits;

use crate::support::{
    AGENT, T0, completed, leased, new_task, news, noise, record, runner, started, task_completed,
    task_id,
};

fn open(dir: &Path) -> Sqlite {
    Sqlite::open(&dir.join("journal.db")).unwrap()
}

/// The names of the files beside the journal, it included.
fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn reads_that_nobody_polls_hold_no_other_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    leased(&store, new_task(1), runner(1)).await;
    let mut held: Vec<_> = (0..2 * limits::READERS).map(|_| store.history(task_id(1), 0)).collect();
    for read in &mut held {
        assert!(read.as_mut().now_or_never().is_none());
    }
    let read = tokio::time::timeout(Duration::from_secs(20), store.history(task_id(1), 0));
    assert!(!read.await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn a_write_that_waits_for_another_process_holds_up_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    store.create(new_task(1)).await.unwrap();
    let other = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = Arc::clone(&store);
    let mut write = tokio::spawn(async move { waiting.create(new_task(2)).await });
    // On the only thread of this runtime: a write that kept it would have ended, with its patience,
    // before the time could be seen to be up.
    let early =
        tokio::time::timeout(Duration::from_millis(limits::JOURNAL_BUSY_MS / 10), &mut write);
    assert!(early.await.is_err(), "it was written under another's lock");
    other.execute_batch("COMMIT").unwrap();
    write.await.unwrap().unwrap();
    assert!(store.task(task_id(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn writes_side_by_side_and_alone_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    for n in 0..200 {
        if n % 3 == 0 {
            store.create(new_task(n)).await.unwrap();
            continue;
        }
        let (one, two) = (store.create(new_task(n)), store.create(new_task(1_000 + n)));
        let (one, two) = tokio::join!(one, two);
        one.and(two).unwrap();
    }
    drop(store);
    let again = open(dir.path());
    let tasks = again.tasks(Filter { limit: 1_000, ..Filter::default() }).await.unwrap();
    assert_eq!(tasks.len(), 200 + 133);
}

/// How many tasks are in the journal, and not in their places.
fn waiting(dir: &Path) -> i64 {
    let file = rusqlite::Connection::open(dir.join("journal.db")).unwrap();
    file.query_row("SELECT count(*) FROM newest", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_task_created_by_itself_is_one_row_until_the_next_write() {
    let dir = tempfile::tempdir().unwrap();
    let (dying, living) = (open(dir.path()), open(dir.path()));
    let rows = || waiting(dir.path());
    let new = |n| NewTask { runner: Some(runner(1)), ..new_task(n) };
    dying.renew(runner(1), T0 + 60_000).await.unwrap();
    let long = NewTask { owner: Some("a".repeat(2_000)), input: noise(2_500, 1), ..new(5) };
    for (task, expected) in [(new(1), 1), (new(2), 0), (new_task(3), 0), (long, 0), (new(4), 1)] {
        dying.create(task).await.unwrap();
        assert_eq!(rows(), expected);
    }
    // It is not lost with its process.
    dying.close().await;
    let leases = living.claim(runner(2), &[AGENT.to_owned()], T0, 9).await.unwrap();
    let claimed: Vec<_> = leases.into_iter().map(|lease| lease.task).collect();
    assert_eq!(claimed, [1, 2, 3, 5, 4].map(task_id));
    assert_eq!(rows(), 0);
}

#[tokio::test]
async fn a_runner_whose_process_is_gone_loses_its_tasks_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (dying, living) = (open(dir.path()), open(dir.path()));
    leased(&dying, new_task(1), runner(1)).await;
    living.renew(runner(2), T0 + 60_000).await.unwrap();
    let claim = async || living.claim(runner(2), &[AGENT.to_owned()], T0, 9).await.unwrap();
    assert_eq!(claim().await, []);

    // What the operating system does when a process dies: its locks are let go.
    dying.close().await;
    let lease = Lease { task: task_id(1), runner: runner(2), epoch: 2 };
    assert_eq!(claim().await, [lease]);
    assert_eq!(files(dir.path()).iter().filter(|name| name.contains("runner")).count(), 1);

    living.retire(runner(2)).await.unwrap();
    living.close().await;
    assert_eq!(files(dir.path()), ["journal.db"]);
}

#[tokio::test]
async fn a_runner_that_was_taken_for_dead_shows_again_that_it_lives() {
    let dir = tempfile::tempdir().unwrap();
    let (slow, other) = (open(dir.path()), open(dir.path()));
    leased(&slow, new_task(1), runner(1)).await;
    let late = T0 + 60_001;
    let functions = [AGENT.to_owned()];
    other.renew(runner(2), late + 60_000).await.unwrap();
    assert_eq!(other.claim(runner(2), &functions, late, 9).await.unwrap().len(), 1);

    slow.renew(runner(1), late + 60_000).await.unwrap();
    other.create(new_task(2)).await.unwrap();
    assert_eq!(slow.claim(runner(1), &functions, late, 9).await.unwrap().len(), 1);
    assert_eq!(other.claim(runner(2), &functions, late, 9).await.unwrap(), []);
    slow.close().await;
    assert_eq!(other.claim(runner(2), &functions, late, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_its_lock_file_a_runner_is_judged_by_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    leased(&store, new_task(1), runner(1)).await;
    let lock = files(dir.path()).into_iter().find(|name| name.contains("runner")).unwrap();
    fs::remove_file(dir.path().join(lock)).unwrap();
    let functions = [AGENT.to_owned()];
    assert_eq!(store.claim(runner(2), &functions, T0 + 59_999, 9).await.unwrap(), []);
    assert_eq!(store.claim(runner(2), &functions, T0 + 60_000, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_dropped_store_leaves_a_whole_journal() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = leased(&store, new_task(1), runner(1)).await;
    store.append(&lease, vec![started(1, "a", 1)], None).await.unwrap();
    // As a kill would leave it: the log is not copied back.
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.history(task_id(1), 1).await.unwrap(), [started(1, "a", 1)]);
    let lease = store.claim_one(runner(2), task_id(1), T0).await.unwrap().unwrap();
    assert_eq!(lease.epoch, 2);
}

#[tokio::test]
async fn many_processes_may_make_one_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = Arc::new(dir.path().join("deep/er/journal.db"));
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let path = Arc::clone(&path);
            tokio::task::spawn_blocking(move || Sqlite::open(&path).unwrap())
        })
        .collect();
    let mut stores = Vec::new();
    for store in opening {
        stores.push(store.await.unwrap());
    }
    for (n, store) in (0..).zip(&stores) {
        store.create(new_task(n)).await.unwrap();
    }
    for n in 0..8 {
        assert!(stores[0].task(task_id(n)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_full_journal_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.max_bytes = Some(512 * 1024);
    let store = Sqlite::open_with(&dir.path().join("journal.db"), options).unwrap();
    let old = leased(&store, new_task(1), runner(1)).await;
    let output = || completed(2, "a", noise(100_000, 1));
    let records = vec![started(1, "a", 1), output(), task_completed(3)];
    store.append(&old, records, None).await.unwrap();

    let lease = leased(&store, new_task(2), runner(1)).await;
    let (full, why) = 'full: {
        for seq in 1.. {
            match store.append(&lease, vec![completed(seq, "a", noise(9_000, seq))], None).await {
                Ok(()) => {}
                Err(Error::Unavailable { operation: "write", why }) => break 'full (seq, why),
                Err(other) => panic!("{other}"),
            }
        }
        unreachable!()
    };
    assert!(why.contains("free space"), "{why}");
    assert_eq!(store.task(task_id(2)).await.unwrap().unwrap().events, full);
    let half = vec![started(full, "small", 1), completed(full + 1, "b", noise(400_000, 2))];
    assert!(store.append(&lease, half, None).await.unwrap_err().is_retryable());
    assert_eq!(store.history(task_id(2), full).await.unwrap(), []);

    // No task is taken in for which there is no place.
    let new = NewTask { runner: Some(runner(1)), ..new_task(3) };
    let taken = store.create(new).await.is_ok();
    assert_eq!(waiting(dir.path()), 0);
    assert_eq!(store.task(task_id(3)).await.unwrap().is_some(), taken);

    // Room is made, and the same write goes through.
    assert!(store.remove(task_id(1)).await.unwrap());
    let record = completed(full, "a", noise(9_000, full));
    store.append(&lease, vec![record.clone()], None).await.unwrap();
    assert_eq!(store.history(task_id(2), full).await.unwrap(), [record]);
}

#[tokio::test]
async fn removed_tasks_give_their_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let size = async |store: &Sqlite| {
        store.close().await;
        fs::metadata(dir.path().join("journal.db")).unwrap().len()
    };
    let empty = size(&store).await;
    let store = open(dir.path());
    let lease = leased(&store, new_task(1), runner(1)).await;
    let outputs = (1..=100).map(|seq| completed(seq, "a", noise(10_000, seq)));
    store.append(&lease, outputs.chain([task_completed(101)]).collect(), None).await.unwrap();
    let full = size(&store).await;
    assert!(full > empty + 800_000, "{full}");
    let store = open(dir.path());
    store.remove(task_id(1)).await.unwrap();
    let after = size(&store).await;
    assert!(after <= empty + 16_384, "{after} bytes, {empty} when it was empty");
}

#[tokio::test]
async fn a_journal_that_is_deleted_while_open_is_not_written_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = (open(dir.path()), dir.path().join("journal.db"));
    store.create(new_task(1)).await.unwrap();
    let aside = dir.path().join("aside");
    fs::create_dir(&aside).unwrap();
    for name in files(dir.path()).iter().filter(|name| name.starts_with("journal")) {
        fs::rename(dir.path().join(name), aside.join(name)).unwrap();
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut n = 2;
    let why = loop {
        assert!(std::time::Instant::now() < deadline, "it still writes after {n} tasks");
        match store.create(new_task(n)).await {
            Ok(_) => n += 1,
            Err(error) => break error.to_string(),
        }
        tokio::task::yield_now().await;
    };
    assert!(why.contains("cannot be opened"), "{why}");
    assert!(!path.exists());

    for name in files(&aside) {
        fs::rename(aside.join(&name), dir.path().join(name)).unwrap();
    }
    store.create(new_task(n)).await.unwrap();
    for n in 1..=n {
        assert!(store.task(task_id(n)).await.unwrap().is_some(), "{n}");
    }
}

#[tokio::test]
async fn a_plain_append_of_another_process_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (open(dir.path()), open(dir.path()));
    let lease = leased(&there, new_task(1), runner(1)).await;
    let mut changes = here.changes();
    changes.mark_unchanged();
    there.append(&lease, vec![started(1, "a", 1)], None).await.unwrap();
    news(&mut changes).await;
    assert_eq!(here.task(task_id(1)).await.unwrap().unwrap().events, 2);
}

/// Storage grows with what is new, and by little more than it.
#[tokio::test]
async fn a_run_takes_little_more_than_its_outputs() {
    const OUTPUT_BYTES: usize = 2_048;
    let dir = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    for turns in [0_u64, 500, 1_000] {
        let path = dir.path().join(format!("{turns}.db"));
        let store = Sqlite::open(&path).unwrap();
        let lease = leased(&store, new_task(1), runner(1)).await;
        let turn = |turn: u64| {
            let (seq, model) = (4 * turn + 1, format!("turn-{turn}/model"));
            let tool = format!("turn-{turn}/tool-1");
            vec![
                started(seq, &model, 1),
                completed(seq + 1, &model, noise(120, turn)),
                started(seq + 2, &tool, 1),
                completed(seq + 3, &tool, noise(OUTPUT_BYTES, turn)),
            ]
        };
        for some in (0..turns).collect::<Vec<_>>().chunks(50) {
            let records = some.iter().flat_map(|&n| turn(n)).collect();
            store.append(&lease, records, None).await.unwrap();
        }
        store.close().await;
        sizes.push(fs::metadata(path).unwrap().len());
    }
    let [empty, half, whole] = sizes[..] else { panic!("{sizes:?}") };
    let outputs = 1_000 * u64::try_from(OUTPUT_BYTES).unwrap();
    assert!(whole <= outputs * 13 / 10, "{whole} bytes for {outputs}");
    let growth = (whole - half).abs_diff(half - empty);
    assert!(growth < half / 20, "not linear: {sizes:?}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = Sqlite::open(&dir.path().join("file/journal.db")).err().unwrap();
    assert!(matches!(error, Error::Open { .. }));
    let shown = error.to_string();
    assert!(shown.contains("file/journal.db") && shown.contains("directory"), "{shown}");
}

/// Permissions do not bind root, so under root this test runs itself once more as nobody.
#[tokio::test]
async fn a_read_only_journal_is_refused_with_what_to_do() {
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let copy = dir.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        let name = "sqlite::a_read_only_journal_is_refused_with_what_to_do";
        let child = Command::new(&copy)
            .args(["--exact", name, "--nocapture"])
            .current_dir(dir.path())
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && shown.contains("1 passed"), "{child:?}");
        return;
    }
    let path = dir.path().join("journal.db");
    let store = open(dir.path());
    store.create(new_task(1)).await.unwrap();
    store.close().await;
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = |allowed: &str| {
        let shown = Sqlite::open(&path).err().map(|error| error.to_string());
        let shown = shown.unwrap_or_else(|| panic!("{allowed}: it was opened"));
        assert!(shown.contains("journal.db") && shown.contains("writ"), "{allowed}: {shown}");
    };
    allow(&path, 0o444);
    refused("a read-only file");
    allow(&path, 0o644);
    allow(dir.path(), 0o555);
    refused("a read-only directory");
    allow(dir.path(), 0o755);
    let store = open(dir.path());
    assert!(store.task(task_id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_claim_does_not_count_as_news() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = leased(&store, new_task(1), runner(1)).await;
    let changes = store.changes();
    let before = *changes.borrow();
    store.claim(runner(1), &[AGENT.to_owned()], T0, 9).await.unwrap();
    store.renew(runner(1), T0 + 70_000).await.unwrap();
    store.append(&lease, vec![started(1, "a", 1)], None).await.unwrap();
    let refused = store.append(&lease, vec![started(9, "a", 1)], Some("no".to_owned())).await;
    assert!(refused.is_err());
    assert_eq!(*changes.borrow(), before);
}

#[tokio::test]
async fn large_answers_and_inputs_are_stored_once_and_read_by_all() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (open(dir.path()), open(dir.path()));
    let big = noise(limits::PACK_ASIDE_BYTES * 4, 9);
    for n in 0..8 {
        here.create(NewTask { input: big.clone(), ..new_task(n) }).await.unwrap();
    }
    let Some(first) = there.history(task_id(7), 0).await.unwrap().pop() else { panic!() };
    let relight::journal::Event::TaskCreated { input, .. } = &first.event else { panic!() };
    assert_eq!(*input, big);
    assert_eq!(first, record(0, first.event.clone()));

    let answer = Signal::Answer { key: "ask".to_owned(), value: big.clone() };
    here.signal(task_id(1), answer.clone(), T0).await.unwrap();
    assert_eq!(there.signals(task_id(1)).await.unwrap().0, [answer]);

    let lease = there.claim_one(runner(1), task_id(1), T0).await.unwrap().unwrap();
    there.release(&lease, Wake::OnSignal, 1).await.unwrap();
    let refused = there.append(&lease, vec![completed(1, "a", Payload::null())], None).await;
    assert!(matches!(refused, Err(Error::LeaseLost { .. })));
    drop((here, there));
    let stored = fs::metadata(dir.path().join("journal.db-wal")).map_or(0, |file| file.len())
        + fs::metadata(dir.path().join("journal.db")).unwrap().len();
    assert!(stored < 5 * 1024 * 1024, "{stored}");
}
