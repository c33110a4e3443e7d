//! What surrounds the process: variables and directories.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy;

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Environment variables and the directories where things are looked for. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    lookup: Arc<Lookup>,
    /// Stands before relative names; empty for the process, whose working directory it is.
    directory: PathBuf,
    config_dir: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

impl Environment {
    /// That of this process. The directories are those of the XDG specification on Unix and the
    /// known folders on Windows.
    pub fn of_process() -> Self {
        let strategy = etcetera::choose_base_strategy().ok();
        Self {
            lookup: Arc::new(process_variable),
            directory: PathBuf::new(),
            config_dir: strategy.as_ref().map(|dirs| dirs.config_dir().join("relight")),
            data_dir: strategy.as_ref().map(|dirs| dirs.data_dir().join("relight")),
        }
    }

    /// A fixed one below a directory, for tests: the working directory is `directory` itself,
    /// configuration is in its `config`, data in its `data`.
    pub fn fixed(directory: &Path, variables: BTreeMap<String, String>) -> Self {
        Self {
            lookup: Arc::new(move |name| variables.get(name).cloned()),
            directory: directory.to_owned(),
            config_dir: Some(directory.join("config")),
            data_dir: Some(directory.join("data")),
        }
    }

    /// The value of a variable. One that is set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// A path in the working directory.
    pub(super) fn local(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A path in the user's configuration of relight; `None` where there is no home directory.
    pub(super) fn config(&self, name: &str) -> Option<PathBuf> {
        self.config_dir.as_ref().map(|dir| dir.join(name))
    }

    /// A path in the user's data of relight; `None` where there is no home directory.
    pub(super) fn data(&self, name: &str) -> Option<PathBuf> {
        self.data_dir.as_ref().map(|dir| dir.join(name))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn process_variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

impl fmt::Debug for Environment {
    /// Shows the directories only: variables hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("directory", &self.directory)
            .field("config_dir", &self.config_dir)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}
