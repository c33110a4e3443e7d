//! `relight serve` in a process of its own, with a client of the Tasks extension on its pipes. The
//! client waits for each answer, so that a time measured is the server's.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::Error;

pub(crate) struct Served {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    requests: u64,
}

impl Served {
    /// Starts a server on this journal and these agents, and lists its tools.
    pub(crate) fn start(
        journal: &Path,
        agents: &Path,
        variables: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_relight"))
            .arg("serve")
            .arg("--journal")
            .arg(journal)
            .arg("--agents")
            .arg(agents)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or("the server's pipes are not there")?;
        let lines = BufReader::new(stdout).lines();
        let mut served = Self { child, stdin, lines, requests: 0 };
        served.request("tools/list", json!({}))?;
        Ok(served)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request of protocol 2026-07-28 and returns its result.
    pub(crate) fn request(&mut self, method: &str, mut params: Value) -> Result<Value, Error> {
        self.requests += 1;
        let id = self.requests;
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":
                {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        });
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        writeln!(self.stdin, "{request}")?;
        loop {
            let line = self.lines.next().ok_or("the server has gone away")??;
            let mut answer: Value = serde_json::from_str(&line)?;
            if answer["id"] != id {
                continue;
            }
            return match answer["result"].take() {
                Value::Null => Err(format!("{method} was answered with {answer}").into()),
                result => Ok(result),
            };
        }
    }

    /// Calls an agent and returns its task's id.
    pub(crate) fn call(&mut self, agent: &str) -> Result<String, Error> {
        let params = json!({"name": agent, "arguments": {"task": "go"}});
        let result = self.request("tools/call", params)?;
        let id = result["taskId"].as_str().ok_or_else(|| format!("no task: {result}"))?;
        Ok(id.to_owned())
    }

    /// What a task is at: `working`, `cancelled` and so on.
    pub(crate) fn status(&mut self, task: &str) -> Result<String, Error> {
        let result = self.request("tasks/get", json!({"taskId": task}))?;
        Ok(result["status"].as_str().unwrap_or_default().to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
