//! Why a recording could not be replayed.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::agent::definition;
use crate::journal::{self, RecordingError, TaskId};

/// Why a recording could not be replayed. A replay that differs from its recording is no error: see
/// [`Run::drifts`](super::Run::drifts).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: std::io::Error,
    },
    /// A file is no recording, or a damaged one.
    #[error("{} is not a readable recording: {why}", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: RecordingError,
    },
    /// An agent's file is wrong.
    #[error(transparent)]
    Definition(#[from] definition::Error),
    /// The recording is of something else than an agent.
    #[error("the recording is not of an agent: {0}")]
    NotAnAgent(String),
    /// A task of a function that is not there.
    #[error(
        "task {task} was run by the function {function:?}: give it to the replay with `Replay::function`"
    )]
    UnknownFunction {
        /// The task.
        task: TaskId,
        /// Its function.
        function: String,
    },
    /// The recorded history contradicts itself.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Error {
    pub(super) fn not_an_agent(why: &impl Display) -> Self {
        Self::NotAnAgent(why.to_string())
    }
}

pub(super) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|why| Error::Unreadable { path: path.to_owned(), why })
}
