//! Opening the file: is it ours, is it of a format that we read, and what must be added to it.
//!
//! Nothing is written before it is known to be a journal that this version may write: another
//! program's file and a newer journal are left as they are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Options;
use super::fault::{Fault, sql_error};
use crate::journal::{Error, Result};
use crate::limits;

/// Stands in the file's header: `RLIT`. Tells a journal from any other SQLite file.
const APPLICATION_ID: i64 = 0x524C_4954;

/// What brings a file from each format to the next, in order. `user_version` counts those done.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
];

/// The format that this version writes, and the newest that it reads.
const FORMAT: i64 = MIGRATIONS.len().cast_signed() as i64;

/// Statements that a connection keeps prepared: more than there are in this directory.
const STATEMENTS: usize = 64;

/// How often a new file is tried again when other processes are creating it too. SQLite does not
/// wait by itself while a file is switched to WAL.
const CREATE_TRIES: u32 = 100;

/// The wait between two such tries.
const CREATE_WAIT: Duration = Duration::from_millis(20);

/// What a journal is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It and its directories are made where they are missing.
    Create,
    /// It was open before: a missing file is an error, never a fresh start.
    Reopen,
}

/// Opens a connection that writes, creating or migrating the file where needed.
///
/// # Errors
/// [`Error::Open`], [`Error::Corrupt`], [`Error::NewerFormat`].
pub(super) fn open_writer(path: &Path, options: &Options, mode: Mode) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if mode == Mode::Create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|error| Error::Open {
                path: path.to_owned(),
                why: format!(
                    "its directory {} cannot be made: {error}; choose another place, or make the \
                     directory yourself",
                    dir.display()
                ),
            })?;
        }
        if path.is_dir() {
            let why = "it is a directory; name a file in it".to_owned();
            return Err(Error::Open { path: path.to_owned(), why });
        }
    }
    let mut tries = 1;
    loop {
        match try_open(path, flags, options) {
            Err(Attempt::Sql(error)) if is_busy(&error) && tries < CREATE_TRIES => {
                std::thread::sleep(CREATE_WAIT);
                tries += 1;
            }
            Err(Attempt::Sql(error)) => return Err(open_error(&error, path)),
            Err(Attempt::Refused(error)) => return Err(error),
            Ok(connection) => return Ok(connection),
        }
    }
}

/// Opens a connection that only reads, to a journal that [`open_writer`] has seen.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    connection.pragma_update(None, "cache_size", -512)?;
    Ok(connection)
}

/// Opens a connection that writes through a page cache of a few pages only: see
/// [`warm_up`](super::wal::warm_up).
pub(super) fn open_warmer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    connection.pragma_update(None, "cache_size", 16)?;
    Ok(connection)
}

enum Attempt {
    Refused(Error),
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Attempt {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

fn try_open(path: &Path, flags: OpenFlags, options: &Options) -> Result<Connection, Attempt> {
    let mut connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    // SQLite opens what it may not write for reading; the first task would find out.
    if connection.is_readonly(c"main")? {
        return Err(Attempt::Refused(Error::Open {
            path: path.to_owned(),
            why: "it is read-only: make it and its directory writable, or choose another path"
                .to_owned(),
        }));
    }
    // Closing a file that is then refused must not move its log into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version = version(&connection, path)?;
    if version == 0 {
        // So that removed tasks give their room back to the disk.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", limits::WAL_MAX_BYTES)?;
    if let Some(max_bytes) = options.max_bytes {
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = max_bytes / page_bytes.cast_unsigned();
        connection.pragma_update(None, "max_page_count", pages.max(1).cast_signed())?;
    }
    migrate(&mut connection, path)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(limits::JOURNAL_BUSY_MS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without it, a statement that a partial index might serve is parsed anew for every value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The file's format; 0 for a file with nothing in it.
fn version(connection: &Connection, path: &Path) -> Result<i64, Attempt> {
    // One statement sees one state of the file, which another process may be making now.
    let (objects, application, found): (i64, i64, i64) = connection.query_row(
        "SELECT (SELECT count(*) FROM sqlite_schema), application_id, user_version
         FROM pragma_application_id, pragma_user_version",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    match (application, found) {
        (APPLICATION_ID, 1..) if found <= FORMAT => Ok(found),
        (APPLICATION_ID, 1..) => Err(Attempt::Refused(newer(path, found))),
        (0, 0) if objects == 0 => Ok(0),
        _ => Err(Attempt::Refused(Error::Corrupt {
            path: path.to_owned(),
            why: "it is another program's SQLite file; choose another path for the journal"
                .to_owned(),
        })),
    }
}

/// Whether a newer relight has changed the file since it was opened. To be asked in a transaction that
/// writes: nobody changes it before the end of that.
///
/// # Errors
/// [`Error::NewerFormat`].
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let found: i64 =
        connection.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
    if found > FORMAT {
        return Err(newer(path, found).into());
    }
    Ok(())
}

fn newer(path: &Path, found: i64) -> Error {
    Error::NewerFormat { path: path.to_owned(), found, supported: FORMAT }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Attempt> {
    if version(connection, path)? == FORMAT {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Read again under the lock: another process may have migrated the file in between.
    let done = usize::try_from(version(&transaction, path)?).unwrap_or(MIGRATIONS.len());
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    // So that the file itself, and not only its log, says from now on what it is.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn open_error(error: &rusqlite::Error, path: &Path) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::Corrupt {
            path: path.to_owned(),
            why: "it is no SQLite file; choose another path for the journal".to_owned(),
        },
        _ => match sql_error(error, "open", path) {
            Error::Unavailable { why, .. } => Error::Open { path: path.to_owned(), why },
            other => other,
        },
    }
}
