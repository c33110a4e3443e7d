//! `relight replay` in its modes, as a person and a script see it.

use std::sync::Arc;

use relight::durable::{Context, Runtime, StartTask};
use relight::journal::{Hash, Payload, Recording};
use serde_json::{Value, json};

use crate::home::Home;

/// A directory with the recording `run.jsonl` of the agent `order`.
async fn recorded() -> Home {
    let home = Home::new();
    home.run(&["run", "order", "order=A1"]).await;
    let task = home.run(&["tasks", "list", "--json"]).await.json()[0]["id"].clone();
    let ran = home.run(&["export", task.as_str().unwrap(), "-o", "run.jsonl"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    home
}

/// Gives the agent's model other words.
fn reword(home: &Home, from: &str, to: &str) {
    let script = std::fs::read_to_string(home.path("order.script.yaml")).unwrap();
    assert!(script.contains(from));
    home.write("order.script.yaml", &script.replace(from, to));
}

const TOOLS: [&str; 4] = ["replay", "run.jsonl", "--mode", "tools"];

#[tokio::test]
async fn a_new_model_meets_the_recorded_tools() {
    let home = recorded().await;
    let effects = home.ledger().len();
    let same = home.run(&TOOLS).await;
    assert_eq!(same.code, 0, "{same:?}");
    assert!(same.stdout.starts_with("run.jsonl  same\n  "), "{same:?}");
    assert!(same.stdout.contains("recorded: 4 model calls, 2300 tokens in"), "{same:?}");

    reword(&home, "{{input.order}}: {{results.charge_card}}", "All of {{input.order}} is sold.");
    let other = home.run(&[&TOOLS[..], &["--json", "--save", "new.jsonl"]].concat()).await;
    assert_eq!(other.code, 1, "{other:?}");
    let said: Value = serde_json::from_str(&other.stdout).unwrap();
    assert_eq!((&said["same"], &said["answer"]), (&json!(false), &json!("All of A1 is sold.")));
    assert_eq!(said["differences"].as_array().unwrap().len(), 1, "{said}");
    assert_eq!(said["differences"][0]["kind"], "end");
    let new = std::fs::read_to_string(home.path("new.jsonl")).unwrap();
    assert!(Recording::read(&new).is_ok());
    assert_eq!(home.run(&["replay", "new.jsonl"]).await.code, 0, "it replays strictly");

    reword(
        &home,
        "amount_cents: 300 }\n      - tool: find",
        "amount_cents: 301 }\n      - tool: find",
    );
    let missed = home.run(&TOOLS).await;
    assert_eq!(missed.code, 1, "{missed:?}");
    for part in
        ["run.jsonl  different", "calls till/charge_card", "301", "recorded: till/charge_card"]
    {
        assert!(missed.stdout.contains(part), "{part:?} in {missed:?}");
    }
    let missed = home.run(&[&TOOLS[..], &["--json"]].concat()).await;
    let said: Value = serde_json::from_str(&missed.stdout).unwrap();
    assert_eq!((missed.code, &said["notRecorded"]["step"]), (1, &json!("turn-3/tool-2")));
    assert_eq!(home.ledger().len(), effects, "nothing took effect");

    let ran = home.run(&[&TOOLS[..], &["--record", "new_episodes"]].concat()).await;
    assert!(ran.stdout.contains("till/charge_card was called with other arguments"), "{ran:?}");
    assert_eq!(home.ledger().len(), effects + 1, "what was not recorded was called");
}

#[tokio::test]
async fn recorded_decisions_call_real_tools() {
    let home = recorded().await;
    let charges = home.charges();
    std::fs::remove_file(home.path("order.script.yaml")).unwrap();
    let ran = home.run(&["replay", "run.jsonl", "--mode", "decisions"]).await;
    // The till numbers its charges on.
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("had another result"), "{ran:?}");
    assert_eq!(home.charges(), 2 * charges, "every card is charged again");
    let help = home.run(&["replay", "--help"]).await.stdout;
    assert!(help.contains("The TOOLS ARE REAL"), "{help}");
}

#[tokio::test]
async fn a_recording_is_made_once() {
    let home = Home::new();
    let once = [
        "replay",
        "runs/one.jsonl",
        "--mode",
        "tools",
        "--record",
        "once",
        "--agent",
        "prompts/order.md",
    ];
    home.run(&once).await.refused(2, &["--json-input"]);
    let first = [&once[..], &["--json-input", r#"{"order": "A1"}"#]].concat();
    std::fs::create_dir(home.path("runs")).unwrap();
    let ran = home.run(&first).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let (charges, written) = (home.charges(), std::fs::read(home.path("runs/one.jsonl")).unwrap());
    assert!(charges > 0);
    let ran = home.run(&first).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(home.charges(), charges, "nothing was called again");
    assert_eq!(std::fs::read(home.path("runs/one.jsonl")).unwrap(), written);
}

#[tokio::test]
async fn flags_that_contradict_each_other_are_refused() {
    let home = recorded().await;
    home.run(&["replay", "run.jsonl", "--record", "all"]).await.refused(2, &["--mode decisions"]);
    home.run(&["replay", "run.jsonl", "--save", "x.jsonl"]).await.refused(2, &["strict"]);
    let two = ["replay", "run.jsonl", "run.jsonl", "--mode", "tools", "--save", "x.jsonl"];
    home.run(&two).await.refused(2, &["one recording"]);
    let all = home.run(&["replay", "--all", "--mode", "decisions"]).await;
    all.refused(2, &["every effect of every recorded task"]);
    home.run(&["replay", "none.jsonl", "--mode", "tools"]).await.refused(1, &["none.jsonl"]);
}

#[tokio::test]
async fn an_export_says_where_a_hash_may_not_fit_what_is_left() {
    let home = Home::empty();
    let store = Arc::new(home.journal());
    let sell = |ctx: Context, secret: String| async move {
        let hash = Hash::of(secret.as_bytes());
        ctx.once("charge").input_hash(hash, None).run(|_| std::future::ready(Ok(true))).await
    };
    let runtime = Runtime::builder(store).function("sell", sell).start().await.unwrap();
    let mut exported = Vec::new();
    for input in ["sk-live-0123456789abcdefghij", "nothing secret"] {
        let start = StartTask::new("sell", "sell", Payload::of(input).unwrap());
        let task = runtime.start(start).await.unwrap();
        runtime.wait(task).await.unwrap();
        exported.push(home.run(&["export", &task.to_string()]).await);
    }
    runtime.shutdown().await;
    let [secret, plain] = &exported[..] else { panic!() };
    assert!(!secret.stdout.contains("sk-live"), "{secret:?}");
    assert!(secret.stderr.contains("Step \"charge\" of task"), "{secret:?}");
    assert!(secret.stderr.contains("`Replay::redacted`"), "{secret:?}");
    assert_eq!((plain.code, plain.stderr.as_str()), (0, ""), "{plain:?}");
}
