//! The files that say who is let in over HTTP, looked at again and again while the server runs: a
//! token is given out, or taken back, without a restart.
//!
//! A file is taken once two looks in a row have found the same in it, so that nobody is in the middle
//! of writing it. One that does not hold what it should leaves in force what there was.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Error, file};
use crate::mcp::server::Auth;

/// What is made of a file's text.
pub(super) type Take = fn(&Auth, &WatchedFile, &str) -> Result<(), Error>;

/// The files behind an [`Auth`].
pub struct AuthFiles {
    auth: Arc<Auth>,
    files: Vec<WatchedFile>,
}

/// One of them.
pub(super) struct WatchedFile {
    pub(super) path: PathBuf,
    take: Take,
    /// What was taken, or could not be, last.
    settled: Text,
    /// What the last look has found.
    last: Text,
}

/// A file's text, or why there is none.
type Text = Result<String, String>;

/// What has become of a file that has changed.
#[derive(Debug)]
pub enum Changed {
    /// What it says now is in force.
    Taken(PathBuf),
    /// What it said before is in force.
    Kept(PathBuf, String),
}

impl WatchedFile {
    /// A file whose text has been taken.
    pub(super) fn new(path: PathBuf, text: String, take: Take) -> Self {
        Self { path, take, settled: Ok(text.clone()), last: Ok(text) }
    }

    fn look(&mut self, auth: &Auth) -> Option<Changed> {
        let found = file::read(&self.path);
        let at_rest = found == self.last;
        self.last.clone_from(&found);
        if !at_rest || found == self.settled {
            return None;
        }
        let taken = match &found {
            Ok(text) => (self.take)(auth, self, text).map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        self.settled = found;
        let path = self.path.clone();
        Some(match taken {
            Ok(()) => Changed::Taken(path),
            Err(why) => Changed::Kept(path, why),
        })
    }
}

impl AuthFiles {
    pub(super) fn new(auth: Arc<Auth>, files: Vec<WatchedFile>) -> Self {
        Self { auth, files }
    }

    /// Looks at all of them; to be called every [`AUTH_FILES_MS`](crate::limits::AUTH_FILES_MS).
    /// Reads files, which may block for a moment. Returns what has changed.
    pub fn look(&mut self) -> Vec<Changed> {
        self.files.iter_mut().filter_map(|file| file.look(&self.auth)).collect()
    }
}
