//! A journal for one run that nobody needs afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::durable::Entropy;
use crate::journal::sqlite::Sqlite;

/// A directory that is removed with this. Only its owner can read it: it holds what no redaction has
/// seen.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, Error> {
        let unwritable =
            |path: &Path, why: std::io::Error| Error::Unwritable { path: path.to_owned(), why };
        let temp = std::env::temp_dir();
        let name = Entropy::system().task_id();
        let name = name.map_err(|error| unwritable(&temp, std::io::Error::other(error)))?;
        let path = temp.join(format!("relight-replay-{name}"));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| unwritable(&path, error))?;
        Ok(Self(path))
    }

    /// The journal.
    pub(super) fn open(&self) -> Result<Arc<Sqlite>, Error> {
        Ok(Arc::new(Sqlite::open(&self.0.join("journal.db"))?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies among other temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
