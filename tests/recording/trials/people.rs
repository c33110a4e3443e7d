//! What people answered: it counts for the very question that it was given to.

use std::sync::Arc;

use relight::durable::{Answer, Question};
use relight::replay::{Record, Replay, recorded};

use super::{Scene, agent, kinds, missed, parsed, replays_strictly, yes};
use crate::shell_server::shell_server;

const SCRIPT: &str = "replies:
  - calls: [{tool: ask_user, arguments: {message: Where to?}}]
  - calls: [{tool: charge_card, arguments: {order: A-1, amount_cents: 500}}]
  - text: 'Sold to {{results.ask_user}}.'
";

/// A tool server that asks in the middle of a call, and tells whether it was answered.
const SEATS: &str = r#"
    *'"method":"tools/list"'*) result='{"tools":[{"name":"book","inputSchema":{"type":"object"}}]}';;
    *'"method":"tools/call"'*)
      call=$id
      printf '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"Where to?","requestedSchema":{"type":"object","properties":{"answer":{"type":"string"}}}}}\n'
      continue;;
    *'"id":"q1"'*)
      id=$call
      case $line in *'"accept"'*) text=booked;; *) text=left;; esac
      result="{\"content\":[{\"type\":\"text\",\"text\":\"$text\"}]}";;"#;

#[tokio::test]
async fn what_a_tool_asks_in_the_middle_of_a_call_is_put_to_people() {
    let scene = Scene::new("replies: [{calls: [{tool: book}]}, {text: '{{results.book}}'}]");
    let script = scene.path("seats.sh");
    std::fs::write(&script, shell_server(":", SEATS)).unwrap();
    let seats = format!(
        "---
name: seller
description: Books seats.
model: script:replies.yaml
mcpServers: {{seats: {{command: sh, args: [\"{}\"]}}}}
---
Be brief.",
        script.display()
    );
    let trial = recorded(scene.path("run.jsonl"), Record::All).unwrap();
    let run = scene.world(trial).definition(parsed(&seats)).await.unwrap();
    assert_eq!(run.answer().unwrap().json(), "\"booked\"");

    scene.no_model();
    let replay = Replay::open(scene.path("run.jsonl")).unwrap();
    let trial = replay.decisions(Arc::clone(&scene.tools) as _);
    trial.person(yes).as_recorded().await.unwrap().assert_same();
    scene.close().await;
}

fn asking() -> String {
    agent("tools: [till/*, ask_user]\napprove: [till/charge_card]")
}

#[tokio::test]
async fn a_recorded_answer_is_given_again_and_nobody_is_asked() {
    let scene = Scene::new(SCRIPT);
    let replay = scene.record(&asking()).await;
    let trial = replay.tools(Arc::clone(&scene.models) as _);
    let run = trial.definition(parsed(&asking())).await.unwrap();
    run.assert_same();
    assert_eq!(run.same_calls(), 3, "a question, an approval and a call: {run}");
    assert_eq!(run.answer().unwrap().json(), "\"Sold to ann@example.org.\"");
    replays_strictly(&scene, &run).await;

    scene.no_model();
    let run = replay.decisions(Arc::clone(&scene.tools) as _).as_recorded().await.unwrap();
    assert_eq!(kinds(&run), ["result"], "{run}");
    assert_eq!(scene.ledger().len(), 2, "approved as it was, the call is made again");
    scene.close().await;
}

#[tokio::test]
async fn a_recording_that_needs_a_person_says_so_and_never_hangs() {
    let scene = Scene::new(SCRIPT);
    let trial = recorded(scene.path("run.jsonl"), Record::Once).unwrap();
    let trial = trial
        .models(Arc::clone(&scene.models) as _)
        .toolbox(Arc::clone(&scene.tools) as _)
        .input(serde_json::json!({"task": "sell"}));
    let error = trial.definition(parsed(&asking())).await.err().unwrap().to_string();
    assert!(error.contains("`Trial::person`; the question: Where to?"), "{error}");
    scene.close().await;
}

#[tokio::test]
async fn a_yes_does_not_count_for_another_call_and_never_hangs() {
    let scene = Scene::new(SCRIPT);
    let replay = scene.record(&asking()).await;
    scene.script(&SCRIPT.replace("500", "90000"));
    let trial = replay.tools(Arc::clone(&scene.models) as _);
    let miss = missed(trial.definition(parsed(&asking())).await);
    assert_eq!(miss.key, "turn-2/tool-1/approve");
    assert!(miss.asked.contains("90000") && miss.nearest[0].contains("500"), "{miss}");
    // There is a world to call, and nobody in it to be asked.
    let trial = trial.record(Record::NewEpisodes).toolbox(Arc::clone(&scene.tools) as _);
    let miss = missed(trial.definition(parsed(&asking())).await);
    assert!(miss.why.ends_with("and nobody is there to be asked"), "{miss}");
    assert_eq!(scene.ledger().len(), 1);

    let trial = trial.person(|question: &Question| {
        assert!(question.message.contains("90000"), "{}", question.message);
        Answer::Decline
    });
    let run = trial.definition(parsed(&asking())).await.unwrap();
    assert_eq!(scene.ledger().len(), 1, "a person refused the call");
    assert!(kinds(&run).contains(&"gone"), "{run}");
    replays_strictly(&scene, &run).await;
    scene.close().await;
}
