//! The ledger: a file with a line for each effect, synced before anybody is told of it.
//!
//! Nothing is ever changed or taken out, so that it has the last word on what happened.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One effect, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The tool that took effect.
    pub tool: String,
    /// The idempotency key of the call, where it had one.
    pub key: Option<String>,
    /// What it was called with.
    pub args: Value,
    /// When, as ISO 8601.
    pub at: String,
}

/// Reads a ledger file.
///
/// # Errors
/// When the file cannot be read, or holds a line that is no [`Entry`].
pub fn entries(ledger: &Path) -> io::Result<Vec<Entry>> {
    read(&mut File::open(ledger)?)
}

fn read(file: &mut File) -> io::Result<Vec<Entry>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}

pub(super) struct Ledger(pub(super) PathBuf);

impl Ledger {
    pub(super) fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).read(true).open(&self.0)
    }

    /// Appends an entry and syncs it, unless `again` knows one that is there already. Returns its
    /// place in the ledger, from 1. Tills of several processes may share one file.
    pub(super) fn record(
        &self,
        entry: &Entry,
        again: impl Fn(&Entry) -> bool,
    ) -> io::Result<usize> {
        let mut file = self.open()?;
        file.lock()?;
        let entries = read(&mut file)?;
        if let Some(place) = entries.iter().position(again) {
            return Ok(place + 1);
        }
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()?;
        Ok(entries.len() + 1)
    }
}
