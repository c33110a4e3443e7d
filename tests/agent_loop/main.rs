//! The agent loop on real parts: a model server over HTTP, the till as a tool server in a process of
//! its own, SQLite. One file a concern.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod approvals;
mod asking;
mod background;
mod budgets;
mod calls;
mod cancel;
mod children;
mod compaction;
mod doubt;
mod http;
mod limits;
mod long_output;
mod mid_call;
mod models;
mod remote;
mod time;
mod tree;

#[path = "../support/examples.rs"]
mod examples;
#[path = "../support/fixtures.rs"]
mod fixtures;
#[path = "../support/model_server.rs"]
mod model_server;
#[path = "../support/shell_server.rs"]
mod shell_server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use relight::agent::models::{ModelsConfig, OpenAiConfig, PaceConfig, Registry, Timeouts};
use relight::agent::{
    AGENT_FUNCTION, AgentLoop, AnswerError, Definition, OpenQuestions, Pinned, Price, Prices,
};
use relight::durable::{ManualClock, Question, Runtime};
use relight::journal::sqlite::Sqlite;
use relight::journal::{End, History, Payload, TaskId};
use relight::mcp::client::Downstream;
use relight::mcp::till;
use serde_json::{Value, json};

use model_server::{Answer, Asked, ModelServer};

/// What the till's front matter looks like in these tests.
const TILL: &str =
    "mcpServers: {till: {command: \"${RELIGHT}\", args: [till, --ledger, \"${LEDGER}\"]}}";

/// A runtime with agents, a model server to script, and a till.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) server: ModelServer,
    pub(crate) runtime: Runtime,
    downstream: Arc<Downstream>,
    clock: Option<ManualClock>,
    /// Bounds on model calls, from the next start on.
    pub(crate) pace: Option<PaceConfig>,
}

impl Bench {
    /// Whose model server gives these answers, one a request.
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with_clock(answers, None).await
    }

    /// And whose time is told by this clock.
    pub(crate) async fn with_clock(
        answers: impl IntoIterator<Item = Answer>,
        clock: Option<ManualClock>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ModelServer::start(answers).await;
        let path = dir.path().to_owned();
        let (runtime, downstream) = Self::start(path, &server, clock.clone(), None).await;
        Self { dir, server, runtime, downstream, clock, pace: None }
    }

    async fn start(
        dir: PathBuf,
        server: &ModelServer,
        clock: Option<ManualClock>,
        pace: Option<PaceConfig>,
    ) -> (Runtime, Arc<Downstream>) {
        let ledger = dir.join("ledger.jsonl").display().to_string();
        let downstream = Arc::new(Downstream::new(move |name: &str| match name {
            "RELIGHT" => Some(env!("CARGO_BIN_EXE_relight").to_owned()),
            "LEDGER" => Some(ledger.clone()),
            _ => None,
        }));
        let timeouts = Timeouts { stall_ms: 300, ..Timeouts::default() };
        let base_url = Some(server.base_url().to_owned());
        let openai = OpenAiConfig { base_url, timeouts, ..OpenAiConfig::default() };
        let models = Registry::new(ModelsConfig { openai, script_dir: dir.clone(), pace });
        let token = |name: &str| (name == "TOKEN").then(|| "hunter2".to_owned());
        let agents =
            AgentLoop::new(Arc::new(models), Arc::clone(&downstream) as _).with_variables(token);
        let store = Arc::new(Sqlite::open(&dir.join("journal.db")).unwrap());
        let mut builder = Runtime::builder(store).register(AGENT_FUNCTION, Arc::new(agents));
        if let Some(clock) = clock {
            builder = builder.clock(clock);
        }
        (builder.start().await.unwrap(), downstream)
    }

    /// Stops the runtime and starts another one on the same journal.
    pub(crate) async fn restart(&mut self) {
        self.runtime.shutdown().await;
        self.runtime.store().close().await;
        self.downstream.close().await;
        let path = self.dir.path().to_owned();
        let (clock, pace) = (self.clock.clone(), self.pace);
        (self.runtime, self.downstream) = Self::start(path, &self.server, clock, pace).await;
    }

    /// Starts an agent whose front matter has these further lines.
    pub(crate) async fn call(&self, front_matter: &str, task: &str) -> TaskId {
        self.call_pinned(&Self::pinned(front_matter), task).await
    }

    /// Starts a run that is pinned to this.
    pub(crate) async fn call_pinned(&self, pinned: &Pinned, task: &str) -> TaskId {
        let arguments = Payload::of(&json!({"task": task})).unwrap();
        self.runtime.start(pinned.start(arguments)).await.unwrap()
    }

    /// What such an agent is pinned to.
    pub(crate) fn pinned(front_matter: &str) -> Pinned {
        let text = format!(
            "---\nname: a\ndescription: d\nretry: {{attempts: 3, first: 10ms, max: 20ms}}\n{front_matter}\n---\nBe brief."
        );
        let agent = Definition::parse("a.md", &text).unwrap().or_models(&["tiny".to_owned()]);
        let price = Price { input: 1_000_000, output: 2_000_000, cached: 0 };
        let prices = Prices::from_iter([("tiny".to_owned(), price)]);
        Pinned::new(agent, Vec::new(), &prices)
    }

    pub(crate) async fn end(&self, task: TaskId) -> End {
        tokio::time::timeout(Duration::from_secs(30), self.runtime.wait(task))
            .await
            .unwrap()
            .unwrap()
    }

    /// Runs an agent to its end and tells how it ended in one line.
    pub(crate) async fn run(&self, front_matter: &str) -> String {
        let task = self.call(front_matter, "hello").await;
        self.told(task).await
    }

    /// How a task ended, in one line.
    pub(crate) async fn told(&self, task: TaskId) -> String {
        match self.end(task).await {
            End::Completed(output) => format!("completed {}", output.json()),
            End::Failed(failure) => format!("failed: {failure}"),
            other => format!("{other:?}"),
        }
    }

    /// Waits until the task asks, and tells what.
    pub(crate) async fn asked(&self, task: TaskId) -> Vec<(String, Question)> {
        let store = self.runtime.store().as_ref();
        let mut changes = store.changes();
        let asked = async {
            loop {
                changes.mark_unchanged();
                let open = OpenQuestions::of(store, task).await.unwrap();
                if open.iter().next().is_some() {
                    return open
                        .iter()
                        .map(|(key, asked)| (key.to_owned(), asked.clone()))
                        .collect();
                }
                assert_eq!(store.end(task).await.unwrap(), None, "it ended without asking");
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap()
    }

    /// Fills in a form.
    pub(crate) async fn say(&self, task: TaskId, key: &str, content: Value) {
        self.reply(task, key, json!({"action": "accept", "content": content})).await;
    }

    /// Gives an answer that must be taken.
    pub(crate) async fn reply(&self, task: TaskId, key: &str, answer: Value) {
        assert_eq!(self.try_reply(task, key, answer).await.unwrap(), 1);
    }

    /// Gives an answer; says how many were taken.
    pub(crate) async fn try_reply(
        &self,
        task: TaskId,
        key: &str,
        answer: Value,
    ) -> Result<usize, AnswerError> {
        let store = self.runtime.store().as_ref();
        let open = OpenQuestions::of(store, task).await.unwrap();
        open.answer(store, self.runtime.clock().now_ms(), [(key.to_owned(), answer)]).await
    }

    pub(crate) async fn history(&self, task: TaskId) -> History {
        History::of(self.runtime.store().history(task, 0).await.unwrap()).unwrap()
    }

    /// What the till did, a tool a line.
    pub(crate) fn ledger(&self) -> Vec<String> {
        let path = self.dir.path().join("ledger.jsonl");
        if !path.exists() {
            return Vec::new();
        }
        till::entries(&path).unwrap().into_iter().map(|entry| entry.tool).collect()
    }

    /// From now on the till waits after a charge took effect, and before it answers.
    pub(crate) fn hold_charges(&self) {
        let ledger = self.dir.path().join("ledger.jsonl");
        let file = till::pause_file(&ledger, till::Moment::After, "charge_card");
        std::fs::write(file, "").unwrap();
    }

    /// The messages of one request, as `role: text`.
    pub(crate) fn messages(&self, request: usize) -> Vec<String> {
        messages(&self.server.asked()[request])
    }
}

fn messages(asked: &Asked) -> Vec<String> {
    let line = |message: &Value| {
        let role = message["role"].as_str().unwrap_or_default();
        format!("{role}: {}", message["content"].as_str().unwrap_or_default())
    };
    asked.body["messages"].as_array().unwrap().iter().map(line).collect()
}
