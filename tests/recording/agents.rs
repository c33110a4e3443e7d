//! A recorded agent replayed on its file as it is now.

use std::path::{Path, PathBuf};

use relight::journal::{Recording, StepKind};
use relight::replay::Replay;
use serde_json::json;

use crate::recorded;

const AGENT: &str = "---
name: seller
description: Sells one thing.
model: script:replies.yaml
tools: till/*
mcpServers: {till: {command: \"${RELIGHT}\", args: [till, --ledger, \"${LEDGER}\"]}}
temperature: 0
in_doubt: tell
---
Be brief.";

const SCRIPT: &str = "replies:
  - text: I charge the card.
    calls:
      - {tool: charge_card, arguments: {order: A-1, amount_cents: 500}}
  - text: Done.
";

async fn recording(dir: &Path) -> Recording {
    recorded(dir, AGENT, SCRIPT, &json!({"task": "sell"})).await
}

/// The agent's file with this changed in it.
fn changed(dir: &Path, from: &str, to: &str) -> PathBuf {
    assert!(AGENT.contains(from));
    let path = dir.join("seller.md");
    std::fs::write(&path, AGENT.replace(from, to)).unwrap();
    path
}

#[tokio::test]
async fn an_unchanged_agent_is_the_same_and_reaches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.jsonl");
    std::fs::write(&path, recording(dir.path()).await.write()).unwrap();
    let ledger = std::fs::read_to_string(dir.path().join("ledger.jsonl")).unwrap();
    std::fs::remove_file(dir.path().join("replies.yaml")).unwrap();

    let run = Replay::open(&path).unwrap();
    let run = run.agent(changed(dir.path(), "Be brief", "Be brief")).await.unwrap();
    run.assert_same();
    assert_eq!(run.answer().unwrap().json(), "\"Done.\"");
    let calls = run.calls_to("charge_card");
    assert_eq!((calls.len(), calls[0].key.as_str()), (1, "turn-1/tool-1"));
    assert_eq!(calls[0].arguments, json!({"order": "A-1", "amount_cents": 500}));
    assert!(calls[0].outcome.as_ref().unwrap().as_ref().unwrap().text.starts_with("charged 500"));
    assert_eq!(run.calls_to("till/charge_card"), calls);
    let after = std::fs::read_to_string(dir.path().join("ledger.jsonl")).unwrap();
    assert_eq!(after, ledger, "a replay charges nobody");
}

#[tokio::test]
async fn a_difference_names_its_turn_its_step_and_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let replay = Replay::of(recording(dir.path()).await);
    let model = "the model changed from script:replies.yaml to gpt-5";
    for (from, to, reason, added) in [
        ("Be brief", "Be long", "the system prompt changed", "Be long"),
        ("temperature: 0", "temperature: 1", "the model's settings changed", "1.0"),
        ("script:replies.yaml", "gpt-5", model, "gpt-5"),
        ("till/*", "till/charge_card", "the list of allowed tools changed", "till/charge_card"),
    ] {
        let run = replay.agent(changed(dir.path(), from, to)).await.unwrap();
        let [drift] = run.drifts() else { panic!("{from}: {:?}", run.drifts()) };
        assert_eq!((drift.turn, drift.key.as_deref()), (Some(1), Some("turn-1/model")), "{from}");
        assert!(drift.reasons.contains(&reason.to_owned()), "{:?}", drift.reasons);
        assert!(
            drift.diff.lines().any(|line| line.starts_with('+') && line.contains(added)),
            "{drift}"
        );
    }
    let run = replay.agent(changed(dir.path(), "till, --ledger", "till, --other")).await.unwrap();
    let [drift] = run.drifts() else { panic!("{:?}", run.drifts()) };
    assert_eq!(drift.key.as_deref(), Some("tools"));
    assert!(drift.diff.contains("--other"), "{drift}");
}

#[tokio::test]
#[should_panic(expected = "likely because the system prompt changed")]
async fn a_test_on_a_changed_agent_fails_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let replay = Replay::of(recording(dir.path()).await);
    replay.agent(changed(dir.path(), "Be brief", "Be long")).await.unwrap().assert_same();
}

#[tokio::test]
async fn a_run_that_never_ended_is_the_same_up_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let whole = recording(dir.path()).await;
    let text = whole.write();
    let lines: Vec<&str> = text.lines().collect();
    for events in 1..whole.root().records.len() {
        let head = format!("{{\"task\":\"{}\",\"events\":{events}}}", whole.root().id);
        let cut = [&[lines[0], head.as_str()], &lines[2..2 + events]].concat().join("\n");
        let run = Replay::of(Recording::read(&cut).unwrap()).as_recorded().await.unwrap();
        run.assert_same();
    }
    let model = |step: &relight::journal::Step| step.kind == StepKind::Model;
    let history = whole.root().history().unwrap();
    assert_eq!(history.steps().filter(|(_, step)| model(step)).count(), 2);
}

#[tokio::test]
async fn what_cannot_be_replayed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let error = Replay::open(dir.path().join("none.jsonl")).err().unwrap().to_string();
    assert!(error.contains("none.jsonl"), "{error}");
    let path = dir.path().join("bad.jsonl");
    std::fs::write(&path, "hello").unwrap();
    let error = Replay::open(&path).err().unwrap().to_string();
    assert!(error.contains("bad.jsonl is not a readable recording: line 1"), "{error}");
}
