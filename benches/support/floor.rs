//! The floor of whatever commits: what SQLite itself takes to commit one row.
//!
//! The same bundled SQLite with the journal's pragmas on the same disk, one prepared `INSERT` a
//! transaction, no index, called on this thread. It checkpoints after as many pages as the journal
//! does, and its log is warm as the journal's is: it has been through a checkpoint, so that commits
//! overwrite blocks of it and do not lengthen the file.

use std::path::Path;
use std::time::{Duration, Instant};

use relight::limits;
use rusqlite::Connection;

/// About what one event of a small step has.
const ROW: [u8; 120] = [b'x'; 120];

pub(crate) struct Floor(Connection);

impl Floor {
    /// Opens a new file beside a journal, laid out as the journal is, and warms its log.
    pub(crate) fn beside(journal: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(journal.with_file_name("floor.db"))?;
        let journal = Connection::open(journal)?;
        for layout in ["page_size", "auto_vacuum"] {
            let value: i64 = journal.pragma_query_value(None, layout, |row| row.get(0))?;
            connection.pragma_update(None, layout, value)?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", limits::CHECKPOINT_PAGES)?;
        connection
            .execute_batch("CREATE TABLE log (number INTEGER PRIMARY KEY, body BLOB) STRICT")?;
        let floor = Self(connection);
        floor.commits(u32::try_from(limits::CHECKPOINT_PAGES).unwrap_or(u32::MAX))?;
        Ok(floor)
    }

    /// Commits so many rows, one after another.
    pub(crate) fn commits(&self, count: u32) -> rusqlite::Result<Duration> {
        let mut insert = self.0.prepare_cached("INSERT INTO log (body) VALUES (?1)")?;
        let begun = Instant::now();
        for _ in 0..count {
            insert.execute([ROW])?;
        }
        Ok(begun.elapsed())
    }
}
