//! The connection that writes, and what is done with it: a group of commands in one transaction.
//!
//! A command that is refused has written nothing, and the others of its group go on. When SQLite
//! fails, the whole group is refused, the connection is dropped, which rolls back, and a new one is
//! opened for the next group: a handle that has failed is never written through again. A commit whose
//! sync failed may yet show after a crash, though its caller was told of a failure: this is why events
//! and new tasks may be sent twice.

use std::cell::Cell;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::watch;

use super::fault::{Fault, sql_error};
use super::schema::{Mode, open_writer, refuse_newer};
use super::{Options, newest, wal};
use crate::journal::{Error, Result};
use crate::limits;

/// The transaction that a command runs in.
pub(super) struct Tx<'a> {
    db: &'a Connection,
    changed: Cell<bool>,
    /// Whether a task that is created may be left in [`newest`].
    pub(super) may_leave_newest: bool,
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

/// A command, whatever its result.
pub(super) trait Command: Send {
    /// Runs the command. An error means that the group must not be committed.
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()>;
    /// Answers the caller: with the command's outcome, or with why the group failed.
    fn answer(self: Box<Self>, failed: Option<&Error>);
}

/// How many groups may be committed before the log's length is looked at. Looking costs microseconds.
const LOG_CHECK_GROUPS: u32 = 16;

/// How much the newest commit counts for how long one takes: a few of them make a disk a slow one.
const NEWEST_PART: u32 = 8;

pub(super) struct Committer {
    path: Arc<PathBuf>,
    options: Options,
    changes: watch::Sender<u64>,
    /// `None` after a failure, until the next group.
    connection: Option<Connection>,
    closed: bool,
    /// SQLite's number for the newest commit of another connection that watchers were told of;
    /// it is this connection's own, and counts anew for another one.
    seen: Option<i64>,
    /// Groups committed since the log was last looked at.
    groups: u32,
    /// How long the last commits took, the newest above all.
    pace: Duration,
}

impl Committer {
    /// Opens the journal.
    pub(super) fn open(
        path: Arc<PathBuf>,
        options: Options,
        changes: watch::Sender<u64>,
    ) -> Result<Self> {
        let connection = Some(open_writer(&path, &options, Mode::Create)?);
        let pace = Duration::ZERO;
        Ok(Self { path, options, changes, connection, closed: false, seen: None, groups: 0, pace })
    }

    /// Commits a group and answers its callers. Waits for other processes.
    pub(super) fn commit(&mut self, mut group: Vec<Box<dyn Command>>) {
        let result = self.begin().and_then(|connection| self.finish(connection, &mut group));
        self.answer(group, &result);
    }

    /// Commits one command and answers its caller, where that waits for nothing and has taken next to
    /// no time so far. Otherwise gives it back, and nothing was done.
    pub(super) fn commit_at_once(
        &mut self,
        command: Box<dyn Command>,
    ) -> Result<(), Box<dyn Command>> {
        if self.pace > Duration::from_micros(limits::COMMIT_ASIDE_US) {
            return Err(command);
        }
        let Some(connection) = self.begin_at_once() else { return Err(command) };
        let mut group = vec![command];
        let result = self.finish(connection, &mut group);
        self.answer(group, &result);
        Ok(())
    }

    /// Whether the log's length is to be looked at.
    pub(super) fn is_log_due(&self) -> bool {
        self.groups >= LOG_CHECK_GROUPS
    }

    /// Looks at the log's length, and copies it into the journal where it is long.
    pub(super) fn look_at_log(&mut self) {
        self.groups = 0;
        if let Some(connection) = &self.connection
            && wal::checkpoint_if_due(connection).is_err()
        {
            self.disconnect();
        }
    }

    /// Looks whether another process has committed anything, or has taken the file away: then the
    /// next write must not go into the file that is gone.
    pub(super) fn look(&mut self) {
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

    /// Prepares for many commits.
    pub(super) fn warm_up(&self) {
        wal::warm_up(&self.path);
    }

    /// Closes the connection for good.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.disconnect();
    }

    /// Closes the connection, which rolls back what is open. The next group opens another.
    fn disconnect(&mut self) {
        self.connection = None;
        self.seen = None;
    }

    fn answer(&mut self, group: Vec<Box<dyn Command>>, result: &Result<bool>) {
        let news = matches!(result, Ok(true));
        // Whoever is answered may rely on it that the change is counted. Watchers are woken after
        // that, or an answer would wait until they have looked around.
        if news {
            self.changes.send_if_modified(|count| {
                *count += 1;
                false
            });
        }
        for command in group {
            command.answer(result.as_ref().err());
        }
        if news {
            self.changes.send_modify(|_| {});
        }
        self.groups += 1;
    }

    /// A connection with an open transaction. It is not ours until it is put back: whatever comes
    /// between, a panic of a command too, drops it and rolls back.
    fn begin(&mut self) -> Result<Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        match begin(&connection) {
            Ok(()) => Ok(connection),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// As [`Committer::begin`]; `None` where another process has the journal, or something is wrong,
    /// which the next [`Committer::begin`] then finds.
    fn begin_at_once(&mut self) -> Option<Connection> {
        let connection = self.connection.as_ref()?;
        let patience = |ms| connection.busy_timeout(Duration::from_millis(ms));
        let begun = patience(0).and_then(|()| begin(connection));
        let restored = patience(limits::JOURNAL_BUSY_MS);
        begun.and(restored).ok().and_then(|()| self.connection.take())
    }

    /// Runs the commands in the open transaction and commits it. Whether there is news for watchers.
    fn finish(&mut self, connection: Connection, group: &mut [Box<dyn Command>]) -> Result<bool> {
        let run = || -> Result<_, Fault> {
            refuse_newer(&connection, &self.path)?;
            let settled = newest::settle(&connection)?;
            // Where the file is bounded, a task must not be taken in for which there is no room then.
            let is_bounded = self.options.max_bytes.is_some();
            let may_leave_newest = !settled && group.len() == 1 && !is_bounded;
            let tx = Tx { db: &connection, changed: Cell::new(false), may_leave_newest };
            for command in group {
                command.run(&tx)?;
            }
            let begun = Instant::now();
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok((tx.changed.get(), begun.elapsed()))
        };
        match run() {
            Ok((news, took)) => {
                self.pace = (self.pace * (NEWEST_PART - 1) + took) / NEWEST_PART;
                self.connection = Some(connection);
                Ok(news)
            }
            Err(Fault::Sql(error)) => Err(self.failed(&error)),
            Err(fault) => {
                self.disconnect();
                Err(fault.into_error("write", &self.path))
            }
        }
    }

    fn failed(&mut self, error: &rusqlite::Error) -> Error {
        self.disconnect();
        sql_error(error, "write", &self.path)
    }

    fn reopen(&self) -> Result<Connection> {
        if self.closed {
            return Err(Error::Closed);
        }
        let connection = open_writer(&self.path, &self.options, Mode::Reopen);
        let connection = connection.map_err(|error| match error {
            Error::Open { why, .. } => Error::Unavailable { operation: "write", why },
            other => other,
        })?;
        wal::make_room(&connection);
        Ok(connection)
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(|_| ())
}
