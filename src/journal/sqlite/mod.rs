//! The embedded store: one SQLite file that several processes may share.
//!
//! ```text
//!            ┌─ writer ── one connection, a commit for all that is queued
//! Sqlite ────┼─ readers ─ a few connections that never wait for the writer
//!            └─ liveness ─ locks that show which runners live
//! ```
//!
//! What each method does is in the file named after what it touches (`tasks`, `events`, `signals`,
//! `leases`), as a function over an open transaction; here they are only put together. The file's
//! layout is `migrations/`, a row's is `codec`.
//!
//! All checks of a write are made against the database inside its own transaction. Nothing is
//! remembered between two writes: another process may have claimed, appended or removed meanwhile.

mod blobs;
mod codec;
mod committer;
mod company;
mod events;
mod fault;
mod leases;
mod liveness;
mod newest;
mod pack;
mod readers;
mod schema;
mod signals;
mod tasks;
mod wal;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use self::committer::Tx;
use self::liveness::Liveness;
use self::readers::Readers;
use self::writer::Writer;
use super::{
    Created, End, Error, Filter, Lease, NewTask, Record, Renewal, Result, RunnerId, Sent, Signal,
    Store, Task, TaskId, Wake, joined,
};
use crate::limits;

/// How a journal is opened.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The file does not grow beyond so many bytes: writes are then refused as on a full disk.
    /// `None` for SQLite's own bound.
    pub max_bytes: Option<u64>,
}

/// A journal in one file. Cheap to share as an `Arc<dyn Store>`.
///
/// Dropping it without [`Store::close`] ends its thread too, once the queue is empty.
pub struct Sqlite {
    writer: Writer,
    readers: Arc<Readers>,
    liveness: Arc<Liveness>,
    changes: watch::Sender<u64>,
}

impl Sqlite {
    /// Opens the journal at this path; makes it, and the directories above it, where there is none.
    /// Blocks for a few milliseconds.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Corrupt`] and [`Error::NewerFormat`], each with what to do.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// Opens the journal at this path in another way than [`Sqlite::open`].
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_with(path: &Path, options: Options) -> Result<Self> {
        // A change of the working directory must not lead to another file.
        let path = std::path::absolute(path).map_err(|error| Error::Open {
            path: path.to_owned(),
            why: format!("its path cannot be made absolute: {error}"),
        })?;
        let changes = watch::Sender::new(0);
        let writer = Writer::start(path.clone(), options, changes.clone())?;
        let readers = Arc::new(Readers::new(&path));
        let liveness = Arc::new(Liveness::new(&path));
        Ok(Self { writer, readers, liveness, changes })
    }
}

/// Does the work of encoding here, or aside where it would hold up other tasks of this thread.
async fn encode<T: Send + 'static>(
    payload_bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if payload_bytes <= limits::PACK_ASIDE_BYTES {
        return work();
    }
    joined(tokio::task::spawn_blocking(work).await)
}

#[async_trait]
impl Store for Sqlite {
    async fn create(&self, task: NewTask) -> Result<Created> {
        let mut first = task.records();
        let bytes = first.iter_mut().map(codec::payload_bytes).sum();
        let id = task.id;
        let first = encode(bytes, move || events::encode_all(id, first, None)).await?;
        self.writer.write_payloads(bytes, move |tx| tasks::create(tx, &task, &first)).await
    }

    async fn append(
        &self,
        lease: &Lease,
        mut records: Vec<Record>,
        message: Option<String>,
    ) -> Result<()> {
        let lease = *lease;
        let bytes = records.iter_mut().map(codec::payload_bytes).sum();
        let (records, message) = encode(bytes, move || {
            let encoded = events::encode_all(lease.task, records, message.as_deref())?;
            Ok((encoded, message))
        })
        .await?;
        let append = move |tx: &Tx<'_>| events::append(tx, &lease, &records, message.as_deref());
        self.writer.write_payloads(bytes, append).await
    }

    async fn history(&self, task: TaskId, from_seq: u64) -> Result<Vec<Record>> {
        self.readers.read(move |db| events::history(db, task, from_seq)).await
    }

    async fn task(&self, task: TaskId) -> Result<Option<Task>> {
        self.readers.glance(|db| tasks::get(db, task))
    }

    async fn end(&self, task: TaskId) -> Result<Option<End>> {
        self.readers.read(move |db| events::end(db, task)).await
    }

    async fn tasks(&self, filter: Filter) -> Result<Vec<Task>> {
        self.readers.read(move |db| tasks::list(db, &filter)).await
    }

    async fn renew(&self, runner: RunnerId, until_ms: i64) -> Result<Renewal> {
        let liveness = Arc::clone(&self.liveness);
        let renewal =
            self.writer.write(move |tx| leases::renew(tx, &liveness, runner, until_ms)).await?;
        if renewal == Renewal::Afresh {
            // Whoever runs tasks is about to commit often; whoever only looks is not.
            self.writer.warm_up();
        }
        Ok(renewal)
    }

    async fn claim(
        &self,
        runner: RunnerId,
        functions: &[String],
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Lease>> {
        let liveness = Arc::clone(&self.liveness);
        let functions = functions.to_vec();
        self.writer
            .write(move |tx| leases::claim(tx, &liveness, runner, &functions, now_ms, limit))
            .await
    }

    async fn claim_one(
        &self,
        runner: RunnerId,
        task: TaskId,
        now_ms: i64,
    ) -> Result<Option<Lease>> {
        let liveness = Arc::clone(&self.liveness);
        self.writer.write(move |tx| leases::claim_one(tx, &liveness, runner, task, now_ms)).await
    }

    async fn resume(&self, task: TaskId, records: Vec<Record>) -> Result<bool> {
        let records = events::encode_all(task, records, None)?;
        self.writer.write(move |tx| events::resume(tx, task, &records)).await
    }

    async fn release(&self, lease: &Lease, wake: Wake, seen: u64) -> Result<()> {
        let lease = *lease;
        self.writer.write_few(move |tx| leases::release(tx, &lease, wake, seen)).await
    }

    async fn retire(&self, runner: RunnerId) -> Result<()> {
        let liveness = Arc::clone(&self.liveness);
        self.writer.write(move |tx| leases::retire(tx, &liveness, runner)).await
    }

    async fn next_due(&self, functions: &[String]) -> Result<Option<i64>> {
        self.readers.glance(|db| leases::next_due(db, functions))
    }

    async fn signal(&self, task: TaskId, signal: Signal, now_ms: i64) -> Result<Sent> {
        let text = signals::encode(&signal)?;
        let bytes = text.len();
        let send = move |tx: &Tx<'_>| signals::send(tx, task, &signal, &text, now_ms);
        self.writer.write_payloads(bytes, send).await
    }

    async fn signals(&self, task: TaskId) -> Result<(Vec<Signal>, u64)> {
        self.readers.glance(|db| signals::all(db, task))
    }

    async fn nudged(&self, runner: RunnerId) -> Result<Vec<(TaskId, u64)>> {
        self.readers.glance(|db| signals::nudged(db, runner))
    }

    async fn purge(&self, now_ms: i64, limit: usize) -> Result<usize> {
        self.writer.write(move |tx| tasks::purge(tx, now_ms, limit)).await
    }

    async fn remove(&self, task: TaskId) -> Result<bool> {
        self.writer.write(move |tx| tasks::remove(tx, task)).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn close(&self) {
        // The connection that is closed last copies the log into the journal, and a reader cannot.
        self.readers.close().await;
        self.writer.close().await;
        self.liveness.let_go();
    }
}
