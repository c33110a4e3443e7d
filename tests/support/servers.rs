//! Tool servers for tests: the till of the demo, a shell script that speaks just enough MCP to
//! misbehave, and what it takes to wait for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use relight::agent::{Invocation, ServerConfig, Servers, ToolOutput, Toolbox};
use relight::journal::{Failure, Payload};
use relight::mcp::client::Downstream;
use relight::mcp::till::{self, Moment};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::examples::example;

/// Waits until a condition holds; panics after ten seconds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A directory with a ledger and a file of pids in it, and a configuration named `till`.
pub(crate) struct Place {
    dir: TempDir,
    pub(crate) servers: Servers,
}

impl Place {
    /// A till that writes its pid down before it starts.
    pub(crate) fn till() -> Self {
        let script = r#"echo $$ >> "$1/pids"; shift; exec "$@""#;
        let program = example("till");
        Self::shell(script, |dir| {
            vec![text(&program), "--ledger".to_owned(), text(&dir.join("ledger"))]
        })
    }

    /// From now on charges wait at this moment.
    pub(crate) fn hold_charges(&self, moment: Moment) {
        fs::write(till::pause_file(&self.path("ledger"), moment, "charge_card"), "").unwrap();
    }

    /// A server that is a shell script with the directory as `$1`.
    pub(crate) fn script(script: &str) -> Self {
        Self::shell(&format!("echo $$ >> \"$1/pids\"; {script}"), |_| Vec::new())
    }

    fn shell(script: &str, more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut args = vec!["-c".to_owned(), script.to_owned(), "sh".to_owned(), text(dir.path())];
        args.extend(more(dir.path()));
        let command = "sh".to_owned();
        let config = ServerConfig::Stdio { command, args, env: BTreeMap::new(), cwd: None };
        Self { dir, servers: Servers::from([("till".to_owned(), config)]) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The pids of all servers started so far, oldest first.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        let pids = self.read("pids");
        pids.lines().map(|line| Pid::from_raw(line.trim().parse().unwrap()).unwrap()).collect()
    }

    /// The ledger's effects by tool, in order.
    pub(crate) fn effects(&self) -> Vec<String> {
        let entries = till::entries(&self.path("ledger")).unwrap_or_default();
        entries.into_iter().map(|entry| entry.tool).collect()
    }

    pub(crate) async fn call(
        &self,
        tools: &Downstream,
        tool: &str,
        arguments: Value,
        key: &str,
    ) -> Result<ToolOutput, Failure> {
        let arguments = Payload::of(&arguments).unwrap();
        let (servers, server) = (&self.servers, "till");
        let call = Invocation {
            servers,
            server,
            tool,
            arguments: &arguments,
            idempotency_key: key,
            as_task: false,
            answers: None,
        };
        tools.call(call).await?.output()
    }
}

pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}

pub(crate) fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid).is_err()
}

pub(crate) fn no_env(_: &str) -> Option<String> {
    None
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
