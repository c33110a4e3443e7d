//! A faulty store: a real one behind a gate that a test decides about.
//!
//! The fault model. A call may be refused before it reaches the store (nothing of it is stored); it
//! may never reach it; and it may be carried out while its answer never comes back. A gate that does
//! not return models a process that is dead, or hangs, from there on. Writes are never torn and
//! never reordered: that is the store's own promise, and `kill -9` tests of the binary are its proof.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use relight::journal::{
    Created, End, Filter, Lease, NewTask, Record, Renewal, Result, RunnerId, Sent, Signal, Store,
    Task, TaskId, Wake,
};
use tokio::sync::watch;

/// A method of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Append,
    History,
    Task,
    End,
    Tasks,
    Renew,
    Claim,
    ClaimOne,
    Release,
    Retire,
    NextDue,
    Signal,
    Signals,
    Nudged,
    Purge,
    Remove,
}

impl Call {
    /// Whether it changes the journal.
    pub(crate) fn writes(self) -> bool {
        !matches!(
            self,
            Self::History
                | Self::Task
                | Self::End
                | Self::Tasks
                | Self::NextDue
                | Self::Signals
                | Self::Nudged
        )
    }
}

/// What stands between a runtime and its store.
#[async_trait]
pub(crate) trait Gate: Send + Sync + 'static {
    /// Before a call is carried out. An error is its answer; never to return is to be dead.
    async fn before(&self, call: Call) -> Result<()>;

    /// After a call was carried out, before its answer is handed over. `wrote` is `false` for a read
    /// and for a claim that found nothing.
    async fn after(&self, call: Call, wrote: bool);
}

/// The store behind the gate.
pub(crate) struct Faulty<G> {
    store: Arc<dyn Store>,
    gate: Arc<G>,
}

impl<G: Gate> Faulty<G> {
    pub(crate) fn new(store: Arc<dyn Store>, gate: Arc<G>) -> Arc<Self> {
        Arc::new(Self { store, gate })
    }

    async fn pass<T>(&self, call: Call, run: impl Future<Output = Result<T>>) -> Result<T> {
        self.pass_if(call, run, |_| true).await
    }

    async fn pass_if<T>(
        &self,
        call: Call,
        run: impl Future<Output = Result<T>>,
        wrote: impl Fn(&T) -> bool,
    ) -> Result<T> {
        self.gate.before(call).await?;
        let answer = run.await;
        let wrote = call.writes() && answer.as_ref().is_ok_and(wrote);
        self.gate.after(call, wrote).await;
        answer
    }
}

#[async_trait]
impl<G: Gate> Store for Faulty<G> {
    async fn create(&self, task: NewTask) -> Result<Created> {
        self.pass(Call::Create, self.store.create(task)).await
    }

    async fn append(
        &self,
        lease: &Lease,
        records: Vec<Record>,
        message: Option<String>,
    ) -> Result<()> {
        self.pass(Call::Append, self.store.append(lease, records, message)).await
    }

    async fn history(&self, task: TaskId, from_seq: u64) -> Result<Vec<Record>> {
        self.pass(Call::History, self.store.history(task, from_seq)).await
    }

    async fn task(&self, task: TaskId) -> Result<Option<Task>> {
        self.pass(Call::Task, self.store.task(task)).await
    }

    async fn end(&self, task: TaskId) -> Result<Option<End>> {
        self.pass(Call::End, self.store.end(task)).await
    }

    async fn tasks(&self, filter: Filter) -> Result<Vec<Task>> {
        self.pass(Call::Tasks, self.store.tasks(filter)).await
    }

    async fn renew(&self, runner: RunnerId, until_ms: i64) -> Result<Renewal> {
        self.pass(Call::Renew, self.store.renew(runner, until_ms)).await
    }

    async fn claim(
        &self,
        runner: RunnerId,
        functions: &[String],
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Lease>> {
        let claim = self.store.claim(runner, functions, now_ms, limit);
        self.pass_if(Call::Claim, claim, |leases| !leases.is_empty()).await
    }

    async fn claim_one(
        &self,
        runner: RunnerId,
        task: TaskId,
        now_ms: i64,
    ) -> Result<Option<Lease>> {
        let claim = self.store.claim_one(runner, task, now_ms);
        self.pass_if(Call::ClaimOne, claim, Option::is_some).await
    }

    async fn release(&self, lease: &Lease, wake: Wake, seen: u64) -> Result<()> {
        self.pass(Call::Release, self.store.release(lease, wake, seen)).await
    }

    async fn retire(&self, runner: RunnerId) -> Result<()> {
        self.pass(Call::Retire, self.store.retire(runner)).await
    }

    async fn next_due(&self, functions: &[String]) -> Result<Option<i64>> {
        self.pass(Call::NextDue, self.store.next_due(functions)).await
    }

    async fn signal(&self, task: TaskId, signal: Signal, now_ms: i64) -> Result<Sent> {
        self.pass(Call::Signal, self.store.signal(task, signal, now_ms)).await
    }

    async fn signals(&self, task: TaskId) -> Result<(Vec<Signal>, u64)> {
        self.pass(Call::Signals, self.store.signals(task)).await
    }

    async fn nudged(&self, runner: RunnerId) -> Result<Vec<(TaskId, u64)>> {
        self.pass(Call::Nudged, self.store.nudged(runner)).await
    }

    async fn purge(&self, now_ms: i64, limit: usize) -> Result<usize> {
        self.pass_if(Call::Purge, self.store.purge(now_ms, limit), |removed| *removed > 0).await
    }

    async fn remove(&self, task: TaskId) -> Result<bool> {
        self.pass_if(Call::Remove, self.store.remove(task), |removed| *removed).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
