//! Recorded runs made again with a part of the world real: the tools (`decisions`), the models
//! (`tools`), or what is not recorded yet (`recorded`).

mod children;
mod decisions;
mod http;
mod once;
mod people;
mod remote;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;

use relight::agent::Definition;
use relight::agent::models::{ModelsConfig, Registry};
use relight::durable::{Answer, Question};
use relight::mcp::client::Downstream;
use relight::mcp::till;
use relight::replay::{Comparison, Difference, Error, Miss, Record, Replay, Trial, recorded};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a scripted model, and the till as a tool server.
pub(crate) struct Scene {
    dir: TempDir,
    models: Arc<Registry>,
    tools: Arc<Downstream>,
}

/// An agent of the till. `{more}` are further lines of its front matter.
fn agent(more: &str) -> String {
    format!(
        "---
name: seller
description: Sells things.
model: script:replies.yaml
mcpServers: {{till: {{command: \"${{RELIGHT}}\", args: [till, --ledger, \"${{LEDGER}}\"]}}}}
in_doubt: tell
{more}
---
Be brief."
    )
}

impl Scene {
    pub(crate) fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("ledger.jsonl").display().to_string();
        let tools = Arc::new(Downstream::new(move |name: &str| match name {
            "RELIGHT" => Some(env!("CARGO_BIN_EXE_relight").to_owned()),
            "LEDGER" => Some(ledger.clone()),
            _ => None,
        }));
        let config = ModelsConfig { script_dir: dir.path().to_owned(), ..ModelsConfig::default() };
        let scene = Self { models: Arc::new(Registry::new(config)), tools, dir };
        scene.script(script);
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// From now on the model says this.
    fn script(&self, replies: &str) {
        std::fs::write(self.path("replies.yaml"), replies).unwrap();
    }

    /// From now on no model can be asked.
    fn no_model(&self) {
        std::fs::remove_file(self.path("replies.yaml")).unwrap();
    }

    /// The whole world for a trial.
    fn world(&self, trial: Trial) -> Trial {
        trial
            .models(Arc::clone(&self.models) as _)
            .toolbox(Arc::clone(&self.tools) as _)
            .person(|question: &Question| yes(question))
            .input(json!({"task": "sell"}))
    }

    /// Runs the agent for real and records it.
    async fn record(&self, agent: &str) -> Replay {
        self.record_with(agent, Vec::new()).await
    }

    async fn record_with(&self, agent: &str, callees: Vec<Definition>) -> Replay {
        let trial = recorded(self.path("run.jsonl"), Record::All).unwrap();
        let run = self.world(trial).callees(callees).definition(parsed(agent)).await.unwrap();
        assert!(run.answer().is_some(), "{:?}", run.end());
        Replay::open(self.path("run.jsonl")).unwrap()
    }

    /// The tools that took effect, in that order.
    fn ledger(&self) -> Vec<String> {
        let path = self.path("ledger.jsonl");
        let entries = if path.exists() { till::entries(&path).unwrap() } else { Vec::new() };
        entries.into_iter().map(|entry| entry.tool).collect()
    }

    async fn close(self) {
        self.tools.close().await;
    }
}

/// Says yes to whatever a form decides, and an address to whatever it asks.
fn yes(question: &Question) -> Answer {
    let content = if question.schema.json().contains("decision") {
        json!({"decision": "approve"})
    } else {
        json!({"answer": "ann@example.org"})
    };
    let Value::Object(content) = content else { panic!() };
    Answer::Accept { content }
}

pub(crate) fn parsed(agent: &str) -> Definition {
    Definition::parse("seller.md", agent).unwrap()
}

/// What ended the run early.
#[track_caller]
fn missed(run: Result<Comparison, Error>) -> Miss {
    match run {
        Err(Error::NotRecorded(miss)) => *miss,
        other => panic!("{other:?}"),
    }
}

fn kinds(run: &Comparison) -> Vec<&'static str> {
    run.differences().iter().map(Difference::kind).collect()
}

/// A run that was saved is a recording like any other.
async fn replays_strictly(scene: &Scene, run: &Comparison) {
    let path = scene.path("new.jsonl");
    run.save(&path).await.unwrap();
    Replay::open(&path).unwrap().as_recorded().await.unwrap().assert_same();
}
