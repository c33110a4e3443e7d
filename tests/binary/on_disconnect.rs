//! What `relight serve` does with running tasks when its client goes away, by the real binary.

use relight::journal::{Status, Store, Task};
use rustix::process::{Pid, Signal, kill_process};

use crate::home::{Home, Server, task_id, until};

const LINGER: [&str; 2] = ["--on-disconnect", "linger"];

async fn left(home: &Home, handle: &str) -> Task {
    home.journal().task(task_id(handle)).await.unwrap().unwrap()
}

/// A home whose task is in the middle of a charge, and its handle.
async fn charging(home: &Home, flags: &[&str]) -> (Server, String) {
    home.hold_charges();
    let mut server = home.serve_raw_with(flags);
    let handle = server.order("A-1").await;
    until("a charge", async || home.charges() == 1).await;
    (server, handle)
}

#[tokio::test]
async fn it_lingers_until_running_tasks_are_finished() {
    let home = Home::new();
    let (server, handle) = charging(&home, &LINGER).await;
    let leaving = tokio::spawn(server.leave());
    home.let_go();
    assert_eq!(leaving.await.unwrap(), Some(0));
    assert_eq!(left(&home, &handle).await.status, Status::Completed);
    assert_eq!(home.charges(), 4, "all of them, each once");
}

#[tokio::test]
async fn by_default_it_goes_and_leaves_them_to_the_next() {
    let home = Home::new().slow_model(600_000);
    let mut server = home.serve_raw();
    let handle = server.order("A-1").await;
    assert_eq!(server.leave().await, Some(0));
    let left = left(&home, &handle).await;
    assert_eq!((left.status, left.runner), (Status::Working, None));
}

#[tokio::test]
async fn a_signal_ends_the_lingering() {
    let home = Home::new().slow_model(600_000);
    let mut server = home.serve_raw_with(&LINGER);
    let handle = server.order("A-1").await;
    let pid = Pid::from_raw(server.pid().try_into().unwrap()).unwrap();
    let leaving = tokio::spawn(server.leave());
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(leaving.await.unwrap(), Some(0));
    let left = left(&home, &handle).await;
    assert_eq!((left.status, left.runner), (Status::Working, None));
}
