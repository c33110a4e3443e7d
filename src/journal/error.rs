//! What can go wrong with a journal, and what to do about it.

use std::path::PathBuf;

use tokio::task::JoinError;

use super::{IllegalEvent, TaskId};

/// A result of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What came of work that was done in a task of its own: a panic of it goes on here, and one that was
/// dropped means that the process is about to stop.
pub(crate) fn joined<T>(joined: Result<Result<T>, JoinError>) -> Result<T> {
    match joined {
        Ok(done) => done,
        Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
        Err(_) => Err(Error::Closed),
    }
}

/// Why the journal did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lease is not held any more: another runner has the task, or it has ended.
    #[error("task {task}: the lease of epoch {epoch} is lost: another process runs the task now")]
    LeaseLost {
        /// The task.
        task: TaskId,
        /// The epoch that was refused.
        epoch: u64,
    },
    /// An append that does not continue the history.
    #[error("task {task}: events from {seq} do not continue a history of {next} events")]
    Gap {
        /// The task.
        task: TaskId,
        /// Where the append wanted to go.
        seq: u64,
        /// Where the history ends.
        next: u64,
    },
    /// No such task, or not any more.
    #[error(
        "no task {task}: the id is wrong, or it has ended and was removed after its time to live"
    )]
    UnknownTask {
        /// The task.
        task: TaskId,
    },
    /// An idempotency key that already stands for another call.
    #[error("the idempotency key {key:?} was used for another call; use a new key for a new call")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// An owner who has as many tasks under way as are allowed.
    #[error("{max} tasks are under way, the most that are allowed; wait for one, or cancel one")]
    TooManyTasks {
        /// How many that are.
        max: usize,
    },
    /// A payload over the bound.
    #[error("{what} has {bytes} bytes, and at most {max_bytes} are taken")]
    TooLarge {
        /// What was to be stored.
        what: String,
        /// Its size.
        bytes: usize,
        /// The bound: [`crate::limits::PAYLOAD_MAX_BYTES`].
        max_bytes: usize,
    },
    /// A file of a format that this version does not read.
    #[error(
        "{} has journal format {found}, and this relight reads up to {supported}: \
         use the relight that wrote it, or a newer one; the file was left as it is",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        supported: i64,
    },
    /// A file that is no journal, or is damaged.
    #[error("{} is not a readable journal: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file cannot be opened at all.
    #[error("cannot open the journal {}: {why}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause, and what to do.
        why: String,
    },
    /// The journal cannot be written or read now (a full disk, a read-only file). Nothing of the
    /// refused write is stored; it may be tried again.
    #[error("the journal cannot {operation}: {why}")]
    Unavailable {
        /// `write` or `read`.
        operation: &'static str,
        /// The cause, and what to do.
        why: String,
    },
    /// Events that contradict each other.
    #[error("task {task}: the history is damaged: {source}")]
    Illegal {
        /// The task.
        task: TaskId,
        /// The first contradiction.
        source: IllegalEvent,
    },
    /// A recording was asked to change.
    #[error("a recording cannot be changed")]
    ReadOnly,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

impl Error {
    /// Whether it says something of the moment or of the process, and nothing of the task.
    pub fn is_passing(&self) -> bool {
        let of_the_process =
            matches!(self, Self::Closed | Self::LeaseLost { .. } | Self::NewerFormat { .. });
        of_the_process || self.is_retryable()
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
