//! What can be wrong with the configuration, and what to do about it.

use std::path::PathBuf;

use super::Source;
use crate::agent::definition;

/// Why the configuration cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files that do not say what they should: every mistake of every file, one a line.
    #[error(transparent)]
    Invalid(#[from] definition::Error),
    /// A file or directory that cannot be read.
    #[error("cannot read {}: {why} (the path comes from {from})", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        why: String,
        /// What names the path.
        from: Source,
    },
    /// A file or URL that does not hold what it should.
    #[error("cannot use {what}: {why}")]
    Unusable {
        /// The file or URL.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is not one agent file.
    #[error(
        "no agents: {} {why}; write an agent as NAME.md there, or name another directory with \
         --agents (this one comes from {from})",
        directory.display()
    )]
    NoAgents {
        /// Where they were looked for.
        directory: PathBuf,
        /// `does not exist` or `has no *.md files`.
        why: &'static str,
        /// What names the directory.
        from: Source,
    },
    /// No agent of that name.
    #[error("no agent {name:?} in {}; {hint}", directory.display())]
    UnknownAgent {
        /// The name that was asked for.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
        /// The nearest name, and all there are.
        hint: String,
    },
    /// A default place is needed and the user has no home directory.
    #[error("there is no home directory to keep {what} in; name a place with {flag} or {variable}")]
    NoHome {
        /// What was to be kept.
        what: &'static str,
        /// The flag that names its place.
        flag: &'static str,
        /// The variable that does.
        variable: &'static str,
    },
    /// A variable with a value that cannot be right.
    #[error("{variable} is {value:?}: {why}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value, never a secret.
        value: String,
        /// What it must be.
        why: &'static str,
    },
}
