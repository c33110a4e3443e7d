//! MCP's official conformance suite, from npm.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::npm;

/// The suite, installed.
pub(crate) struct Suite {
    directory: PathBuf,
}

impl Suite {
    pub(crate) fn install() -> Self {
        Self { directory: npm::install("suite") }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let modules = self.directory.join("node_modules");
        let output = Command::new(modules.join(".bin/node"))
            .arg(modules.join("@modelcontextprotocol/conformance/dist/index.js"))
            .args(arguments)
            .output()
            .unwrap();
        // Its exit code says only whether all checks passed, which is looked at one by one.
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The names of all scenarios for servers that are of an extension.
    pub(crate) fn extension_scenarios(&self) -> Vec<String> {
        let listed = self.run(&["list", "--server"]);
        let names = listed.lines().filter_map(|line| line.trim().strip_prefix("- "));
        names.filter_map(|line| line.strip_suffix(" [extension]")).map(str::to_owned).collect()
    }

    /// Runs `conformance server` with these arguments, and returns the checks by scenario.
    pub(crate) fn check(&self, url: &str, arguments: &[&str]) -> BTreeMap<String, Vec<Check>> {
        let results = tempfile::tempdir().unwrap();
        let output = results.path().to_str().unwrap();
        let all = [&["server", "--url", url, "-o", output], arguments].concat();
        let said = self.run(&all);
        let mut scenarios = BTreeMap::new();
        for entry in fs::read_dir(results.path()).unwrap() {
            let path = entry.unwrap().path();
            // server-SCENARIO-2026-11-23T11-47-08-511Z
            let name = path.file_name().unwrap().to_str().unwrap();
            let name = name.strip_prefix("server-").unwrap();
            let name = name[..name.len() - "-YYYY-MM-DDThh-mm-ss-mmmZ".len()].to_owned();
            let checks: Vec<Value> =
                serde_json::from_slice(&fs::read(path.join("checks.json")).unwrap()).unwrap();
            scenarios.insert(name, checks.iter().map(Check::of).collect());
        }
        assert!(!scenarios.is_empty(), "the suite left no results: {said}");
        scenarios
    }
}

/// One check's outcome.
pub(crate) struct Check {
    pub(crate) id: String,
    /// `SUCCESS`, `FAILURE`, `WARNING`, `SKIPPED` or `INFO`.
    pub(crate) status: String,
    message: String,
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.id, self.message)
    }
}

impl Check {
    fn of(check: &Value) -> Self {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        Self { id: text("id"), status: text("status"), message: text("errorMessage") }
    }
}
