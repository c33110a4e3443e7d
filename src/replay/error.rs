//! Why a recording could not be replayed.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::Miss;
use crate::agent::{AnswerError, definition};
use crate::journal::{self, Payload, RecordingError, TaskId};

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
    /// A run asked for something that its recording does not hold.
    #[error("not recorded: {0}")]
    NotRecorded(Box<Miss>),
    /// There is no recording, and none is to be made.
    #[error("there is no recording, and `Record::None` makes none")]
    NoRecording,
    /// There is no recording yet, and nothing to call the agent with.
    #[error(
        "there is no recording yet that says what the agent was called with: give it by `Trial::input`"
    )]
    NoInput,
    /// The agent was called with something else than was recorded.
    #[error(
        "the recording is of a call with {}, and this one is with {}: `Record::NewEpisodes` or `Record::All` record it anew",
        recorded.json(), given.json()
    )]
    OtherInput {
        /// What was recorded.
        recorded: Payload,
        /// What was given now.
        given: Payload,
    },
    /// All is to be done for real, and a part of the world is not there.
    #[error("there is no {what} to be asked: give it by `Trial::{method}`")]
    NotThere {
        /// What is missing.
        what: &'static str,
        /// What sets it.
        method: &'static str,
    },
    /// An agent may call another one that is not known.
    #[error(
        "the agent may call the agent {name:?}, which the recording does not hold: give its definition by `Trial::callees`"
    )]
    UnknownCallee {
        /// The other agent.
        name: String,
    },
    /// A person was asked, and there is none.
    #[error(
        "nobody is there to be asked: give somebody by `Trial::person`; the question: {question}"
    )]
    NobodyToAsk {
        /// What was asked.
        question: String,
    },
    /// The answer of a [`Person`](super::Person) was none.
    #[error(transparent)]
    Answer(AnswerError),
    /// A file cannot be written.
    #[error("cannot write {}: {why}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: std::io::Error,
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
