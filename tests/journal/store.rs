//! The contract of [`Store`](relight::journal::Store) as a suite.
//!
//! The suite knows only the trait. To put another store under it, implement [`Journal`] and add a
//! module below like `sqlite`.

use std::sync::Arc;

use relight::journal::Store;
use relight::journal::sqlite::Sqlite;

/// A journal that can be opened many times, each as another process would.
pub(crate) trait Journal: Sync {
    /// Another view of the same tasks.
    fn open(&self) -> Arc<dyn Store>;
}

struct OneFile {
    dir: tempfile::TempDir,
}

impl OneFile {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
}

impl Journal for OneFile {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(Sqlite::open(&self.dir.path().join("journal.db")).unwrap())
    }
}

mod sqlite {
    crate::conformance::all_of_it!(super::OneFile::new());
}
