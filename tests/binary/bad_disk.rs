//! Journals that cannot be used, and disks that fill up or fail, under the real binary: nothing of
//! another's is touched, a server that is up stays up, and nothing that was promised is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::json;
use tokio::process::Command;

use crate::home::{Home, Ran, Server, is_error, until};
use crate::promises;

/// Every command that opens the journal says the same of it, and leaves the file as it is.
async fn refused_as_it_is(home: &Home, said: &[&str]) {
    let before = fs::read(home.path("journal.db")).unwrap();
    for command in [&["serve"][..], &["tasks", "list"], &["run", "order", "order=A1"]] {
        home.run(command).await.refused(1, said);
    }
    assert!(fs::read(home.path("journal.db")).unwrap() == before, "the file was changed");
}

/// Makes a journal with one finished task in it.
async fn with_a_task() -> Home {
    let home = Home::new();
    assert_eq!(home.run(&["run", "order", "order=A1"]).await.code, 0);
    home
}

#[tokio::test]
async fn a_journal_of_a_newer_version() {
    let home = with_a_task().await;
    let file = rusqlite::Connection::open(home.path("journal.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    file.close().unwrap();
    refused_as_it_is(&home, &["journal.db has journal format 99", "a newer one"]).await;
}

#[tokio::test]
async fn a_file_that_is_no_journal() {
    let home = Home::new();
    home.write("journal.db", &"Dear diary, today I was no journal. ".repeat(100));
    refused_as_it_is(&home, &["journal.db", "no SQLite file", "another path"]).await;

    fs::remove_file(home.path("journal.db")).unwrap();
    let file = rusqlite::Connection::open(home.path("journal.db")).unwrap();
    file.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    file.close().unwrap();
    refused_as_it_is(&home, &["journal.db", "another program's SQLite file"]).await;
}

#[tokio::test]
async fn a_damaged_journal() {
    let home = with_a_task().await;
    let mut bytes = fs::read(home.path("journal.db")).unwrap();
    bytes[8 * 1024..].fill(0xA5);
    fs::write(home.path("journal.db"), bytes).unwrap();
    let said = ["journal.db", "damaged", "put a copy of it in its place"];
    home.run(&["tasks", "list"]).await.refused(1, &said);
}

#[tokio::test]
async fn a_place_where_no_journal_can_be() {
    let home = Home::new();
    for (place, said) in [
        ("order.script.yaml/journal.db", "its directory"),
        ("prompts", "it is a directory; name a file in it"),
    ] {
        let home_there = home.path(place);
        let place = home_there.to_str().unwrap();
        for command in [&["serve"][..], &["tasks", "list"], &["run", "order", "order=A1"]] {
            let arguments = [command, &["--journal", place]].concat();
            home.run(&arguments).await.refused(1, &["cannot open the journal", place, said]);
        }
    }
}

/// A command line with a disk of its own, in memory, mounted on `disk`. Nobody else sees it, and it
/// goes with the process. `prepare` is a shell command, run before, in the directory of the home.
fn on_a_disk(home: &Home, size: &str, prepare: &str, arguments: &[&str]) -> Command {
    let script = format!(
        "mkdir -p disk && mount -t tmpfs -o size={size} none disk && {prepare} && exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_relight")).args(arguments);
    home.surround(&mut command);
    command.env("RELIGHT_JOURNAL", home.path("disk/journal.db"));
    command
}

/// Whether this machine lets us mount a disk of our own. Where it does not, there is no way to have a
/// full or read-only one that binds a superuser too, and those tests say that they did not run.
#[expect(clippy::print_stderr, reason = "a test that does not run must say so")]
async fn may_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/mnt"]);
    let may = command.status().await.is_ok_and(|status| status.success());
    if !may {
        eprintln!("NOT RUN: mounting a file system of one's own is not permitted here");
    }
    may
}

#[tokio::test]
async fn a_read_only_disk() {
    if !may_mount().await {
        return;
    }
    let home = with_a_task().await;
    for (prepare, said) in [
        ("cp journal.db disk", "it is read-only: make it and its directory writable"),
        ("true", "you may write to both"),
    ] {
        let prepare = format!("{prepare} && mount -o remount,ro disk");
        for arguments in [&["serve"][..], &["tasks", "list"], &["run", "order", "order=A2"]] {
            let child = on_a_disk(&home, "1m", &prepare, arguments).spawn().unwrap();
            Ran::of(arguments, child).await.refused(1, &["disk/journal.db", said]);
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out_and_nothing_is_lost() {
    if !may_mount().await {
        return;
    }
    let home = Home::new();
    home.hold_charges();
    let log = fs::File::create(home.path("serve.log")).unwrap();
    let mut server = Server::spawn(on_a_disk(&home, "2m", "true", &["serve"]), log);
    let mut kept = vec![server.order("A0").await];
    until("a charge", async || home.charges() > 0).await;

    // The server's own disk, seen from outside of its namespace.
    let disk = PathBuf::from(format!("/proc/{}/root", server.pid()))
        .join(home.path("disk/filler").strip_prefix("/").unwrap());
    let mut filler = fs::File::create(&disk).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}

    // New tasks are taken for as long as there is room, and then refused.
    let refusal = loop {
        let order = format!("A{}", kept.len());
        let call = json!({"name": "order", "arguments": {"order": order}});
        let answer = server.wire.modern("tools/call", call).await;
        match answer["result"]["taskId"].as_str() {
            Some(task) => kept.push(task.to_owned()),
            None => break answer,
        }
    };
    is_error(&refusal, -32603, &["no room is left", "disk/journal.db", "free space"]);
    // The charges are answered now, and their outcomes cannot be written down.
    home.let_go();
    until("the log says what is waited for", async || {
        home.logged().contains("waiting for the journal")
    })
    .await;
    let answer = server.wire.modern("tasks/get", json!({"taskId": kept[0]})).await;
    assert_eq!(answer["result"]["taskId"], json!(kept[0]), "{answer}");

    fs::remove_file(&disk).unwrap();
    drop(filler);
    all_complete(&mut server, &home, &kept).await;
    assert_eq!(server.leave().await, Some(0));
}

#[tokio::test]
async fn a_file_that_may_not_grow_is_waited_for_too() {
    let home = Home::new();
    home.hold_charges();
    let mut command = Command::new("sh");
    // At most a MiB, whatever the shell's blocks are. Without the trap the first write beyond it
    // would kill.
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 1024; exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_relight")).arg("serve");
    home.surround(&mut command);
    let log = fs::File::create(home.path("serve.log")).unwrap();
    let mut server = Server::spawn(command, log);
    let mut kept = vec![server.order("A0").await];

    // Too much for the file, and then it must still take what fits.
    let name = incompressible(4 << 20);
    let call = json!({"name": "order", "arguments": {"order": name}});
    let refusal = server.wire.modern("tools/call", call).await;
    is_error(&refusal, -32603, &["the journal cannot write", "journal.db", "not full"]);
    kept.push(server.order("A1").await);
    until("both charges", async || home.charges() == 2).await;

    let unlimited = Rlimit { current: None, maximum: None };
    let pid = Pid::from_raw(server.pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, unlimited).unwrap();
    home.let_go();
    all_complete(&mut server, &home, &kept).await;
    server.signal(Signal::TERM);
    assert_eq!(server.ended().await.0, Some(0));
    promises::check(&home, &home.journal()).await;
}

/// Every task whose handle was returned completes; none that was refused was ever begun.
async fn all_complete(server: &mut Server, home: &Home, kept: &[String]) {
    for (n, task) in kept.iter().enumerate() {
        let end = server.wire.settle(task).await;
        assert_eq!(end["status"], "completed", "{end}\n{}", home.logged());
        let text = end["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with(&format!("A{n}: charged 300 cents")), "{text}");
    }
    let ledger = home.ledger();
    let keys: BTreeSet<_> = ledger.iter().map(|entry| entry.key.clone().unwrap()).collect();
    assert_eq!(keys.len(), ledger.len(), "an effect was repeated: {ledger:?}");
    assert_eq!(home.charges(), promises::CHARGES * kept.len());
    assert!(keys.iter().all(|key| kept.iter().any(|task| key.starts_with(task))), "{keys:?}");
}

/// A text that stays about as long when it is compressed. Always the same.
fn incompressible(chars: usize) -> String {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state >> 32) as u8 % 90)
    };
    (0..chars).map(|_| next()).collect()
}
