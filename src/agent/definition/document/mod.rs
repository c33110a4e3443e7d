//! Strict reading of the YAML (and so JSON) that people write: agent files, `relight.yaml`,
//! `mcp.json`.
//!
//! A typed deserializer stops at the first mistake and speaks of Rust types. Here a text becomes a
//! tree of [`Node`]s that know their lines, [`Fields`] reads a map by its known keys, and every
//! mistake is collected in [`Problems`]. This module reads text only, never a file.

mod fields;
mod node;

use std::fmt;

pub(crate) use fields::Fields;
pub(crate) use node::{Node, Value};

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it is to be shown.
    pub path: String,
    /// The line it is on, from 1; `None` where something is missing altogether.
    pub line: Option<u64>,
    /// What was found and what to write.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// Everything that is wrong with one or more files; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Vec<Problem>);

impl Error {
    /// An error of these problems; `None` where there are none.
    pub(crate) fn of(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// An error of one problem.
    pub(crate) fn one(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![Problem { path: path.into(), line: None, message: message.into() }])
    }

    /// The problems, in the order of the files and their lines.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }

    /// Gives the problems away.
    pub fn into_problems(self) -> Vec<Problem> {
        self.0
    }
}

impl fmt::Display for Error {
    /// One problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Collects the mistakes of one file while it is read.
#[derive(Debug)]
pub(crate) struct Problems {
    path: String,
    found: Vec<Problem>,
}

impl Problems {
    pub(crate) fn of_file(path: &str) -> Self {
        Self { path: path.to_owned(), found: Vec::new() }
    }

    /// A mistake on a line.
    pub(crate) fn at(&mut self, line: u64, message: impl Into<String>) {
        self.push(Some(line), message.into());
    }

    /// Something that is missing, and so is on no line.
    pub(crate) fn missing(&mut self, message: impl Into<String>) {
        self.push(None, message.into());
    }

    /// A value of the wrong kind: `what` says which kind it must be.
    pub(crate) fn wrong(&mut self, name: &str, what: &str, node: &Node) {
        self.at(node.line, format!("\"{name}\" must be {what}, not {}", node.describe()));
    }

    /// How many mistakes there are so far.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// The value, unless there was any mistake.
    pub(crate) fn or<T>(mut self, value: Option<T>) -> Result<T, Error> {
        self.found.sort_by_key(|problem| problem.line.unwrap_or(0));
        match (value, Error::of(self.found)) {
            (_, Some(error)) => Err(error),
            (Some(value), None) => Ok(value),
            (None, None) => Err(Error::one(self.path, "the file cannot be read")),
        }
    }

    fn push(&mut self, line: Option<u64>, message: String) {
        self.found.push(Problem { path: self.path.clone(), line, message });
    }
}
