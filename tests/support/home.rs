//! The real binary in a directory of its own: its agents, journal and ledger are there, and nothing
//! of the user's is seen.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops")]

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use relight::journal::sqlite::Sqlite;
use relight::journal::{Filter, Store, Task, TaskId};
use relight::mcp::TaskClient;
use relight::mcp::till::{self, Entry, Moment};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::wire::Wire;

/// How long a condition is waited for before the test has failed. Only a bug takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The agent of most of these tests, on a scripted model; see its file.
const ORDER: &str = include_str!("../fixtures/order/order.md");
const ORDER_SCRIPT: &str = include_str!("../fixtures/order/order.script.yaml");

pub(crate) struct Home {
    dir: TempDir,
    /// Set on every process that is started here.
    variables: Vec<(&'static str, String)>,
}

impl Home {
    /// A directory without any agents.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// A directory with the agent `order`.
    pub(crate) fn new() -> Self {
        let home = Self::empty();
        home.write("prompts/order.md", ORDER);
        home.write("order.script.yaml", ORDER_SCRIPT);
        home.with("RELIGHT_MODEL", "script:order.script.yaml")
    }

    /// Sets a variable for every process that is started here.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A reply of `order` takes so long.
    pub(crate) fn slow_model(self, latency_ms: u64) -> Self {
        let latency = format!("latency_ms: {latency_ms}");
        self.write("order.script.yaml", &ORDER_SCRIPT.replace("latency_ms: 20", &latency));
        self
    }

    /// From now on `charge_card` waits after its effect, and before its answer, until
    /// [`Home::let_go`].
    pub(crate) fn hold_charges(&self) {
        fs::write(self.hold(), "").unwrap();
    }

    pub(crate) fn let_go(&self) {
        fs::remove_file(self.hold()).unwrap();
    }

    fn hold(&self) -> PathBuf {
        till::pause_file(&self.path("ledger.jsonl"), Moment::After, "charge_card")
    }

    /// A command line, with an environment in which only this directory is known.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relight"));
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    /// Puts a program here: its directory, its environment, and no terminal.
    pub(crate) fn surround(&self, command: &mut Command) {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.current_dir(self.dir.path()).kill_on_drop(true).env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        command.env("HOME", self.dir.path()).env("TMPDIR", self.dir.path());
        command.env("RELIGHT_JOURNAL", self.path("journal.db"));
        command.env("RELIGHT_LEDGER", self.path("ledger.jsonl"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(arguments, self.command(arguments).spawn().unwrap()).await
    }

    /// Starts `relight serve` with a client of the Tasks extension on it. It dies with the client.
    pub(crate) async fn serve(&self) -> TaskClient {
        let mut command = self.command(&["serve"]);
        command.stderr(self.log());
        let client = timeout(PATIENCE, TaskClient::spawn(command)).await;
        client.expect("the server does not shake hands").unwrap()
    }

    /// Starts `relight serve` with bare lines of JSON on it.
    pub(crate) fn serve_raw(&self) -> Server {
        self.serve_raw_with(&[])
    }

    /// The same, with these flags.
    pub(crate) fn serve_raw_with(&self, flags: &[&str]) -> Server {
        Server::spawn(self.command(&[&["serve"], flags].concat()), self.log())
    }

    fn log(&self) -> fs::File {
        fs::File::options().create(true).append(true).open(self.path("serve.log")).unwrap()
    }

    /// What all servers here have logged.
    pub(crate) fn logged(&self) -> String {
        fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    pub(crate) fn journal(&self) -> Sqlite {
        Sqlite::open(&self.path("journal.db")).unwrap()
    }

    /// What really happened.
    pub(crate) fn ledger(&self) -> Vec<Entry> {
        let path = self.path("ledger.jsonl");
        if path.exists() { till::entries(&path).unwrap() } else { Vec::new() }
    }

    pub(crate) fn charges(&self) -> usize {
        self.ledger().iter().filter(|entry| entry.tool == "charge_card").count()
    }
}

/// A process that came to its end by itself.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) async fn of(what: &[&str], child: Child) -> Self {
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{what:?} does not end")).unwrap();
        Self {
            code: output.status.code().unwrap_or_else(|| panic!("{what:?}: {}", output.status)),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Stdout as JSON, of a command that went well.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Ended with this code, having said all of these on stderr and nothing on stdout.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, said: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        has(&self.stderr, said);
    }
}

/// A `relight serve` with nothing between the test and its stdin and stdout.
pub(crate) struct Server {
    child: Child,
    pub(crate) wire: Wire,
}

impl Server {
    pub(crate) fn spawn(mut command: Command, log: fs::File) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (read, write) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        Self { child, wire: Wire::new(read, write) }
    }

    /// Starts a task of `order` and returns its handle.
    pub(crate) async fn order(&mut self, order: &str) -> String {
        self.call("order", json!({"order": order})).await
    }

    /// Starts a task of this agent and returns its handle.
    pub(crate) async fn call(&mut self, agent: &str, arguments: Value) -> String {
        let call = json!({"name": agent, "arguments": arguments});
        let answer = self.wire.modern("tools/call", call).await;
        answer["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// What `tasks/get` answers.
    pub(crate) async fn view(&mut self, task: &str) -> Value {
        let answer = self.wire.modern("tasks/get", json!({"taskId": task})).await;
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }

    /// Polls until the task has this status.
    pub(crate) async fn until_shown(&mut self, task: &str, status: &str) -> Value {
        let since = Instant::now();
        loop {
            let shown = self.view(task).await;
            if shown["status"] == status {
                return shown;
            }
            assert!(since.elapsed() < PATIENCE, "never {status}: {shown}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Answers a question of a task: an `ElicitResult` that accepts with this content.
    pub(crate) async fn accept(&mut self, task: &str, key: &str, content: Value) {
        let answers = json!({key: {"action": "accept", "content": content}});
        let params = json!({"taskId": task, "inputResponses": answers});
        let answer = self.wire.modern("tasks/update", params).await;
        assert!(answer["result"].is_object(), "{answer}");
    }

    /// Kills it wherever it is, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn signal(&self, how: Signal) {
        signal(&self.child, how);
    }

    /// Waits for its end. Returns its exit code and how long that took.
    pub(crate) async fn ended(mut self) -> (Option<i32>, Duration) {
        let since = Instant::now();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it does not stop").unwrap();
        (status.code(), since.elapsed())
    }

    /// Closes its stdin, as a client does that goes away, and waits for the end.
    pub(crate) async fn leave(self) -> Option<i32> {
        let Self { mut child, wire } = self;
        drop(wire);
        timeout(PATIENCE, child.wait()).await.expect("it does not stop").unwrap().code()
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// The text has all of these in it.
#[track_caller]
pub(crate) fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "nothing of {part:?} in:\n{text}");
    }
}

/// The answer is an error of this code, and says all of these.
#[track_caller]
pub(crate) fn is_error(answer: &Value, code: i64, said: &[&str]) {
    assert_eq!(answer["error"]["code"], code, "{answer}");
    has(answer["error"]["message"].as_str().unwrap(), said);
}

/// The arguments of a call of `order`.
pub(crate) fn order(order: &str) -> Map<String, Value> {
    Map::from_iter([("order".to_owned(), json!(order))])
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Waits until every task of the journal has ended, whoever runs them. Asks no server.
pub(crate) async fn until_all_ended(journal: &Sqlite) -> Vec<Task> {
    until("the end of all tasks", async || {
        tasks(journal).await.iter().all(|task| task.status.is_ended())
    })
    .await;
    tasks(journal).await
}

/// All tasks of a journal, newest first.
pub(crate) async fn tasks(journal: &Sqlite) -> Vec<Task> {
    journal.tasks(Filter { limit: 1_000, ..Filter::default() }).await.unwrap()
}

pub(crate) fn task_id(handle: &str) -> TaskId {
    handle.parse().unwrap()
}
