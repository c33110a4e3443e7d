//! The one thread that writes.
//!
//! ```text
//! callers ──(a place of WRITE_QUEUE)──> queue ──> thread: BEGIN, each command, COMMIT ──> answers
//! ```
//!
//! It takes all that is queued into one transaction and answers each caller after the commit, so
//! that callers share the cost of the sync. A command that is refused has written nothing, and the
//! others of its group go on. When SQLite fails, the whole group is refused, the connection is
//! dropped, which rolls back, and a new one is opened for the next group: a handle that has failed
//! is never written through again. A commit whose sync failed may yet show after a crash, though its
//! caller was told of a failure: this is why events and new tasks may be sent twice.
//!
//! The queue is the standard library's, with a semaphore for its bound, and the times at which to
//! look at other processes' writes come through it from a thread that only sleeps: a wait with a
//! timeout, or a runtime of its own, would cost every commit a few microseconds.

use std::cell::Cell;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::fault::{Fault, sql_error};
use super::schema::{Mode, open_writer};
use super::{Options, wal};
use crate::journal::{Error, Result};
use crate::limits;

/// The transaction that a command runs in.
pub(super) struct Tx<'a> {
    db: &'a Connection,
    changed: Cell<bool>,
}

impl Tx<'_> {
    /// Says that watchers of [`Store::changes`](crate::journal::Store::changes) have news.
    pub(super) fn changed(&self) {
        self.changed.set(true);
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.db
    }
}

enum Message {
    Write(Box<dyn Write>),
    /// Look what other processes have done.
    Look,
    WarmUp,
    Close,
}

/// How many groups may be committed before the log's length is looked at. Looking costs microseconds.
const LOG_CHECK_GROUPS: u32 = 16;

/// A command in the queue, whatever its result.
trait Write: Send {
    /// Runs the command. An error means that the group must not be committed.
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()>;
    /// Answers the caller: with the command's outcome, or with why the group failed.
    fn answer(self: Box<Self>, failed: Option<&Error>);
}

struct Call<T, F> {
    command: Option<F>,
    outcome: Result<T, Fault>,
    reply: oneshot::Sender<Result<T>>,
    path: Arc<PathBuf>,
    _place: OwnedSemaphorePermit,
}

impl<T, F> Write for Call<T, F>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        let Some(command) = self.command.take() else { return Ok(()) };
        let before = tx.total_changes();
        match command(tx) {
            Err(Fault::Sql(error)) => Err(error),
            outcome => {
                debug_assert!(
                    outcome.is_ok() || tx.total_changes() == before,
                    "a command that was refused has written"
                );
                self.outcome = outcome;
                Ok(())
            }
        }
    }

    fn answer(self: Box<Self>, failed: Option<&Error>) {
        let answer = match failed {
            Some(error) => Err(error.clone()),
            None => self.outcome.map_err(|fault| fault.into_error("write", &self.path)),
        };
        // A caller that has gone away does not want it.
        let _ = self.reply.send(answer);
    }
}

/// The way to the thread. Dropping it ends the thread once the queue is empty.
pub(super) struct Writer {
    path: Arc<PathBuf>,
    queue: Arc<mpsc::Sender<Message>>,
    room: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens the journal and starts the thread.
    pub(super) fn start(
        path: PathBuf,
        options: Options,
        changes: watch::Sender<u64>,
    ) -> Result<Self> {
        let connection = open_writer(&path, &options, Mode::Create)?;
        let path = Arc::new(path);
        let (queue, commands) = mpsc::channel();
        let queue = Arc::new(queue);
        let state = Thread {
            path: Arc::clone(&path),
            options,
            commands,
            changes,
            connection: Some(connection),
            seen: None,
            groups: 0,
        };
        let no_thread = |error: std::io::Error| Error::Open {
            path: path.to_path_buf(),
            why: format!("its threads cannot be started: {error}"),
        };
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let thread = named("journal-writer").spawn(move || state.run()).map_err(no_thread)?;
        let looks = Arc::downgrade(&queue);
        named("journal-watch").spawn(move || send_looks(&looks)).map_err(no_thread)?;
        let room = Arc::new(Semaphore::new(limits::WRITE_QUEUE));
        Ok(Self { path, queue, room, thread: Mutex::new(Some(thread)) })
    }

    /// Runs a command and returns after its commit. It runs to its end even when the caller does
    /// not wait for it.
    pub(super) async fn write<T, F>(&self, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        let call = Call {
            command: Some(command),
            outcome: Err(Fault::Refused(Error::Closed)),
            reply,
            path: Arc::clone(&self.path),
            _place: place,
        };
        self.queue.send(Message::Write(Box::new(call))).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Has the thread prepare for many commits (see [`wal`]) when it next has the time.
    pub(super) fn warm_up(&self) {
        // A closed journal needs none.
        let _ = self.queue.send(Message::WarmUp);
    }

    /// Lets no more commands in, has those in the queue committed, and ends the thread.
    pub(super) async fn close(&self) {
        self.room.close();
        let _ = self.queue.send(Message::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // An error is a panic of the thread, which its own message has told.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Sends [`Message::Look`] every [`limits::WATCH_MS`] until the journal is closed or dropped.
fn send_looks(queue: &Weak<mpsc::Sender<Message>>) {
    while queue.upgrade().is_some_and(|queue| queue.send(Message::Look).is_ok()) {
        thread::sleep(Duration::from_millis(limits::WATCH_MS));
    }
}

struct Thread {
    path: Arc<PathBuf>,
    options: Options,
    commands: mpsc::Receiver<Message>,
    changes: watch::Sender<u64>,
    /// `None` after a failure, until the next group.
    connection: Option<Connection>,
    /// SQLite's number for the newest commit of another connection that watchers were told of;
    /// it is this connection's own, and counts anew for another one.
    seen: Option<i64>,
    /// Groups committed since the log was last looked at.
    groups: u32,
}

impl Thread {
    fn run(mut self) {
        // An error is the end of the last sender: the store was dropped.
        while let Ok(first) = self.commands.recv() {
            if !self.serve(first) {
                break;
            }
        }
    }

    /// Takes what is queued into one commit. `false` when the journal is to be closed.
    fn serve(&mut self, first: Message) -> bool {
        let mut group = Vec::new();
        let mut next = Some(first);
        let (mut open, mut look, mut warm) = (true, false, false);
        while let Some(message) = next {
            match message {
                Message::Write(call) => group.push(call),
                Message::Look => look = true,
                Message::WarmUp => warm = true,
                Message::Close => open = false,
            }
            // After Close, all that was queued before it is still written.
            let full = open && group.len() >= limits::GROUP_COMMIT_MAX;
            next = if full { None } else { self.commands.try_recv().ok() };
        }
        if !group.is_empty() {
            self.commit(group);
        }
        if look {
            self.look();
        }
        if warm && open {
            wal::warm_up(&self.path);
        }
        open
    }

    fn commit(&mut self, mut group: Vec<Box<dyn Write>>) {
        let result = self.transact(&mut group);
        let failed = result.as_ref().err();
        if failed.is_some() {
            self.disconnect();
        }
        let news = matches!(result, Ok(true));
        // Whoever is answered may rely on it that the change is counted. Watchers are woken after
        // that, or an answer would wait until they have looked around.
        if news {
            self.changes.send_if_modified(|count| {
                *count += 1;
                false
            });
        }
        for call in group {
            call.answer(failed);
        }
        if news {
            self.changes.send_modify(|_| {});
        }
        self.groups += 1;
        if self.groups >= LOG_CHECK_GROUPS
            && let Some(connection) = &self.connection
        {
            self.groups = 0;
            if wal::checkpoint_if_due(connection).is_err() {
                self.disconnect();
            }
        }
    }

    /// Whether there is news for watchers.
    fn transact(&mut self, group: &mut [Box<dyn Write>]) -> Result<bool> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = open_writer(&self.path, &self.options, Mode::Reopen);
                let connection = connection.map_err(|error| match error {
                    Error::Open { why, .. } => Error::Unavailable { operation: "write", why },
                    other => other,
                })?;
                wal::make_room(&connection);
                connection
            }
        };
        let connection = self.connection.insert(connection);
        let run = |connection: &Connection| {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let tx = Tx { db: connection, changed: Cell::new(false) };
            for call in group {
                call.run(&tx)?;
            }
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(tx.changed.get())
        };
        run(connection).map_err(|error| sql_error(&error, "write", &self.path))
    }

    /// Looks whether another process has committed anything, or has taken the file away: then the
    /// next write must not go into the file that is gone.
    fn look(&mut self) {
        let Some(connection) = &self.connection else { return };
        let version = |connection: &Connection| {
            connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
        };
        match version(connection) {
            Ok(version) if !wal::has_moved(connection) => {
                if self.seen.replace(version) != Some(version) {
                    self.changes.send_modify(|count| *count += 1);
                }
            }
            // The next write opens the file anew, and tells its caller why that fails.
            _ => self.disconnect(),
        }
    }

    /// Closes the connection, which rolls back what is open. The next group opens another.
    fn disconnect(&mut self) {
        self.connection = None;
        self.seen = None;
    }
}
