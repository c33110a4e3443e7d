//! What the tests have in common: a process on a journal, a log of what happened outside, and ways
//! to wait for what a journal shows.

use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Builder, Runtime, StartTask};
use relight::journal::{
    End, Event, Failure, FailureKind, History, Payload, Status, Store, Task, TaskId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::scratch::{Scratch, within};

/// When tests with a clock of their own begin: Unix milliseconds.
pub(crate) const BEGIN_MS: i64 = 1_700_000_000_000;
pub(crate) const SECOND_MS: i64 = 1_000;
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// A process as far as this suite is concerned: a runtime in a tokio of its own, which can die.
pub(crate) struct Process {
    pub(crate) runtime: Runtime,
    store: Arc<dyn Store>,
    tokio: Option<tokio::runtime::Runtime>,
}

impl Process {
    /// Starts one over this handle on the journal.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        build: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let mut tokio = tokio::runtime::Builder::new_multi_thread();
        let tokio = tokio.worker_threads(2).enable_all().build().unwrap();
        let builder = build(Runtime::builder(Arc::clone(&store)));
        let runtime = tokio.spawn(builder.start()).await.unwrap().unwrap();
        Self { runtime, store, tokio: Some(tokio) }
    }

    /// Starts a task of this function.
    pub(crate) async fn task(&self, function: &str, input: &(impl Serialize + ?Sized)) -> TaskId {
        self.runtime.start(start(function, input)).await.unwrap()
    }

    /// It dies: nothing is given back, and nothing that was under way goes on.
    pub(crate) async fn kill(mut self) {
        let tokio = self.tokio.take().unwrap();
        // Waits until all that was under way is dropped, but not for code that blocks its thread.
        let dead = move || tokio.shutdown_timeout(Duration::from_secs(1));
        tokio::task::spawn_blocking(dead).await.unwrap();
        self.store.close().await;
    }

    /// How a task ends.
    pub(crate) async fn end(&self, task: TaskId) -> End {
        within("the task's end", self.runtime.wait(task)).await.unwrap()
    }

    /// What a task that ends well returns.
    pub(crate) async fn answer<T: DeserializeOwned>(&self, task: TaskId) -> T {
        match self.end(task).await {
            End::Completed(output) => output.read().unwrap(),
            other => panic!("the task ended otherwise: {other:?}"),
        }
    }

    /// What a task fails with.
    pub(crate) async fn failure(&self, task: TaskId) -> Failure {
        match self.end(task).await {
            End::Failed(failure) => failure,
            other => panic!("the task ended otherwise: {other:?}"),
        }
    }

    /// What a task is stopped with.
    pub(crate) async fn stopped(&self, task: TaskId) -> Failure {
        match self.end(task).await {
            End::Stopped(failure) => failure,
            other => panic!("the task ended otherwise: {other:?}"),
        }
    }

    /// The last word of a task that is cancelled.
    pub(crate) async fn cancelled(&self, task: TaskId) -> String {
        match self.end(task).await {
            End::Cancelled(message) => message,
            other => panic!("the task ended otherwise: {other:?}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

/// Starts a task of this function by a process that cannot run it.
pub(crate) async fn task_of_another(
    scratch: &Scratch,
    function: &str,
    input: &(impl Serialize + ?Sized),
) -> TaskId {
    let client = Process::start(scratch.open(), |builder| builder).await;
    client.task(function, input).await
}

pub(crate) fn start(function: &str, input: &(impl Serialize + ?Sized)) -> StartTask {
    StartTask::new(function, function, Payload::of(input).unwrap())
}

/// Waits until a task looks like this.
pub(crate) async fn until(
    store: &dyn Store,
    task: TaskId,
    what: &str,
    holds: impl Fn(&Task) -> bool,
) -> Task {
    let mut changes = store.changes();
    let look = async {
        loop {
            changes.mark_unchanged();
            let found = store.task(task).await.unwrap().unwrap();
            if holds(&found) {
                return found;
            }
            changes.changed().await.unwrap();
        }
    };
    within(what, look).await
}

/// Waits until a task that has run is parked: nobody has it, and it has not ended.
pub(crate) async fn parked(store: &dyn Store, task: TaskId) -> Task {
    let is_parked =
        |task: &Task| task.epoch > 0 && task.runner.is_none() && task.status == Status::Working;
    until(store, task, "the task is parked", is_parked).await
}

pub(crate) async fn history(store: &dyn Store, task: TaskId) -> History {
    History::of(store.history(task, 0).await.unwrap()).unwrap()
}

pub(crate) async fn events(store: &dyn Store, task: TaskId) -> Vec<Event> {
    let records = store.history(task, 0).await.unwrap();
    records.into_iter().map(|record| record.event).collect()
}

#[track_caller]
pub(crate) fn assert_says(failure: &Failure, kind: FailureKind, words: &[&str]) {
    assert_eq!(failure.kind, kind, "{failure}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in: {failure}");
    }
}

/// What happened outside of all processes, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<watch::Sender<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.send_modify(|all| all.push(what.into()));
    }

    /// Notes what a step or a function has done, as its outcome.
    pub(crate) fn done(&self, what: &str) -> Result<(), Failure> {
        self.note(what);
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|noted| *noted == what).count()
    }

    /// Waits until this was noted so many times.
    pub(crate) async fn times(&self, what: &str, count: usize) {
        let mut all = self.0.subscribe();
        let enough = all.wait_for(|all| all.iter().filter(|noted| *noted == what).count() >= count);
        within(&format!("{what:?}, {count} times"), enough).await.unwrap();
    }

    /// Waits until this was noted.
    pub(crate) async fn saw(&self, what: &str) {
        self.times(what, 1).await;
    }

    /// Notes this when the guard is dropped.
    pub(crate) fn on_drop(&self, what: &str) -> NotesDrop {
        NotesDrop(self.clone(), what.to_owned())
    }
}

pub(crate) struct NotesDrop(Log, String);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        self.0.note(self.1.clone());
    }
}
