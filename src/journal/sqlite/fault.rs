//! What can go wrong inside a read or a write, and what the caller is told of it.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;

use crate::journal::Error;

/// Why a command or a query did not do its work.
#[derive(Debug)]
pub(super) enum Fault {
    /// The command may not do this. It has written nothing, and the others of its group go on.
    Refused(Error),
    /// What is stored makes no sense.
    Damaged(String),
    /// SQLite failed. What the open transaction holds must not be committed.
    Sql(rusqlite::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<FromSqlError> for Fault {
    fn from(error: FromSqlError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Fault {
    /// The error that a caller of the store sees; `operation` is `write` or `read`.
    pub(super) fn into_error(self, operation: &'static str, path: &Path) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Damaged(why) => Error::Corrupt { path: path.to_owned(), why },
            Self::Sql(error) => sql_error(&error, operation, path),
        }
    }
}

/// What an SQLite error means to somebody who wants the journal to work again.
pub(super) fn sql_error(error: &rusqlite::Error, operation: &'static str, path: &Path) -> Error {
    let shown = path.display();
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            let why = format!(
                "it is damaged ({error}): put a copy of it in its place, or move it away to begin \
                 a new one"
            );
            return Error::Corrupt { path: path.to_owned(), why };
        }
        Some(ErrorCode::DiskFull) => {
            format!("no room is left for {shown}: free space on its disk, or remove old tasks")
        }
        Some(ErrorCode::ReadOnly) => {
            format!("{shown} or its directory is read-only: make both writable")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => format!(
            "another process keeps {shown} locked: find the one that hangs and stop it ({error})"
        ),
        Some(ErrorCode::CannotOpen) => format!(
            "{shown} cannot be opened: see that it and its directory exist and that you may write \
             to both ({error})"
        ),
        Some(ErrorCode::SystemIoFailure) => {
            format!(
                "the disk under {shown} failed: {error}; see that it is there, healthy and not full"
            )
        }
        _ => format!("SQLite failed on {shown}: {error}"),
    };
    Error::Unavailable { operation, why }
}
