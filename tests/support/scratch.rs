//! A journal in a directory of its own, in memory where the system has such a place: these tests
//! are about what is written, and commit often.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use relight::journal::sqlite::Sqlite;
use tempfile::TempDir;

/// The directory; it is removed with this.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self(dir.unwrap())
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir().join("journal.db")
    }

    /// A handle on the journal of its own, as another process would have.
    pub(crate) fn open(&self) -> Arc<Sqlite> {
        Arc::new(Sqlite::open(&self.journal()).unwrap())
    }
}

/// Fails the test when this does not happen in half a minute.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), work).await {
        Ok(done) => done,
        Err(_) => panic!("never happened: {what}"),
    }
}
