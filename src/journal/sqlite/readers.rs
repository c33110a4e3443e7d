//! Reading, beside the writer and without waiting for it.
//!
//! A query runs on a blocking thread, in one read transaction: it sees one state of the journal, never
//! half of a commit. One that only looks at a row or two runs where it is asked for: that takes
//! microseconds, and to hand it to another thread takes longer. Connections are opened when they are
//! first needed, and kept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::task::{spawn, spawn_blocking};

use super::fault::Fault;
use super::schema::open_reader;
use crate::journal::{Error, Result, joined};
use crate::limits;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    room: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        let room = Arc::new(Semaphore::new(limits::READERS));
        Self { path: path.to_owned(), idle: Mutex::default(), room }
    }

    /// Runs a query.
    pub(super) async fn read<T, F>(self: &Arc<Self>, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let readers = Arc::clone(self);
        let run = move |place: OwnedSemaphorePermit| {
            spawn_blocking(move || {
                let answer = readers.run(query);
                drop(place);
                answer.map_err(|fault| fault.into_error("read", &readers.path))
            })
        };
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(place) => joined(run(place).await),
            Err(TryAcquireError::Closed) => Err(Error::Closed),
            Err(TryAcquireError::NoPermits) => {
                // A place goes to who has waited longest. This waits in a task of its own, because a
                // caller may hold on to this future without polling it any more: the place would be
                // lost to all who come after it, and they may be what that caller waits for.
                let room = Arc::clone(&self.room);
                let turn = spawn(async move {
                    let place = room.acquire_owned().await.map_err(|_| Error::Closed)?;
                    joined(run(place).await)
                });
                joined(turn.await)
            }
        }
    }

    /// Runs a query that looks at a few rows, on this thread. Each of its statements sees a state of
    /// its own.
    pub(super) fn glance<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T> {
        let _place = match self.room.try_acquire() {
            Err(TryAcquireError::Closed) => return Err(Error::Closed),
            // As many connections as places are for queries that take their time. What is done at
            // once waits for none of them.
            place => place.ok(),
        };
        let answer = self.connection().and_then(|connection| {
            let answer = query(&connection)?;
            self.idle().push(connection);
            Ok(answer)
        });
        answer.map_err(|fault| fault.into_error("read", &self.path))
    }

    /// Lets no more queries in and closes the connections, once those in flight are done.
    pub(super) async fn close(&self) {
        let all = u32::try_from(limits::READERS).unwrap_or(u32::MAX);
        let places = self.room.acquire_many(all).await;
        self.room.close();
        drop(places);
        self.idle().clear();
    }

    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let connection = self.connection()?;
        // An error drops the connection, and the transaction with it.
        connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        let answer = query(&connection)?;
        connection.prepare_cached("COMMIT")?.execute([])?;
        self.idle().push(connection);
        Ok(answer)
    }

    /// One that nobody uses. After any error it is dropped and not put back.
    fn connection(&self) -> Result<Connection, Fault> {
        let kept = self.idle().pop();
        Ok(match kept {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
