//! Which runners are alive, at once and not only when their leases run out.
//!
//! Each runner of this process holds an exclusive lock of the operating system on a small file
//! beside the journal. The system lets go of it when the process dies, however it dies, so whoever
//! can take the lock knows that the runner is gone. SQLite's WAL binds a journal to one machine, so
//! everyone who can open it sees these locks. A runner without a file (it was deleted by hand, or
//! the file system has no locks) is judged by its lease's time alone.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::journal::RunnerId;

/// The locks that this process holds, and a look at those of others.
pub(super) struct Liveness {
    journal: PathBuf,
    held: Mutex<HashMap<RunnerId, File>>,
}

impl Liveness {
    pub(super) fn new(journal: &Path) -> Self {
        Self { journal: journal.to_owned(), held: Mutex::default() }
    }

    /// Shows to others that this runner lives, until this process ends or lets go.
    pub(super) fn hold(&self, runner: RunnerId) -> io::Result<()> {
        let mut held = self.held();
        // Somebody who took us for dead has unlinked the old file: its lock shows nothing to anyone.
        held.remove(&runner);
        let path = self.file(runner);
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                held.insert(runner, file);
                Ok(())
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                fs::remove_file(&path)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the runner is certainly gone. `false` may also mean that nobody can say.
    pub(super) fn is_dead(&self, runner: RunnerId) -> bool {
        File::options()
            .write(true)
            .open(self.file(runner))
            .is_ok_and(|file| file.try_lock().is_ok())
    }

    /// Forgets a runner that is gone or stops.
    pub(super) fn forget(&self, runner: RunnerId) {
        self.held().remove(&runner);
        // A file that stays is empty, and its runner's id never comes back.
        let _ = fs::remove_file(self.file(runner));
    }

    /// Lets go of every lock: whoever looks now takes over.
    pub(super) fn let_go(&self) {
        self.held().clear();
    }

    fn file(&self, runner: RunnerId) -> PathBuf {
        let mut name = OsString::from(&self.journal);
        name.push(format!("-runner-{runner}"));
        name.into()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RunnerId, File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
