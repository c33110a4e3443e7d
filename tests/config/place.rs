//! A directory with files and variables, and what the configuration makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use relight::config::{self, Environment, Flags, Settings, load_agents};
use tempfile::TempDir;

/// A working directory with files and variables; `config/` and `data/` in it are the user's own.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) flags: Flags,
}

impl Place {
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { directory, variables: BTreeMap::new(), flags: Flags::default() }
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn settings(&self) -> Result<Settings, config::Error> {
        let environment = Environment::fixed(self.directory.path(), self.variables.clone());
        Settings::resolve(&self.flags, &environment)
    }

    pub(crate) fn agents(&self) -> Result<Vec<String>, config::Error> {
        let agents = load_agents(&self.settings()?)?;
        Ok(agents.iter().map(|agent| agent.name().to_owned()).collect())
    }

    /// The call fails, and exactly this is said; `DIR` stands for the directory.
    #[track_caller]
    pub(crate) fn check<T: std::fmt::Debug>(
        &self,
        result: Result<T, config::Error>,
        expected: &str,
    ) {
        let said = result.unwrap_err().to_string();
        let directory = self.directory.path().to_string_lossy();
        assert_eq!(said.replace(&*directory, "DIR"), expected);
    }
}
