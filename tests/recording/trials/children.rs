//! Agents that are called by agents: their replies and their tools come from the recording too.

use std::sync::Arc;

use relight::agent::Definition;

use super::{Scene, agent, kinds, missed, parsed, replays_strictly};

const SCRIPT: &str = "replies:
  - calls:
      - {tool: clerk, arguments: {task: A-1}}
      - {tool: clerk, arguments: {task: A-2}}
  - text: 'Sold: {{last}}'
";

const CLERK: &str = "replies:
  - calls: [{tool: charge_card, arguments: {order: '{{input}}', amount_cents: 500}}]
  - text: '{{last}}'
";

const CALLER: &str = "---
name: boss
description: Has things sold.
model: script:replies.yaml
tools: []
agents: [clerk]
---
Be brief.";

fn clerk() -> Definition {
    let text = agent("tools: till/*");
    parsed(&text.replace("name: seller", "name: clerk").replace("replies.yaml", "clerk.yaml"))
}

fn scene() -> Scene {
    let scene = Scene::new(SCRIPT);
    std::fs::write(scene.path("clerk.yaml"), CLERK).unwrap();
    scene
}

#[tokio::test]
async fn children_decide_as_they_did_and_call_real_tools() {
    let scene = scene();
    let replay = scene.record_with(CALLER, vec![clerk()]).await;
    assert_eq!(replay.recording().tasks().len(), 3);
    scene.no_model();
    std::fs::remove_file(scene.path("clerk.yaml")).unwrap();
    let run = replay.decisions(Arc::clone(&scene.tools) as _).as_recorded().await.unwrap();
    assert_eq!(scene.ledger().len(), 4, "each clerk charged again");
    assert_eq!(run.calls_to("charge_card").len(), 2);
    assert!(kinds(&run).iter().all(|kind| *kind == "result"), "{run}");
    replays_strictly(&scene, &run).await;
    scene.close().await;
}

#[tokio::test]
async fn a_child_is_answered_wherever_its_caller_calls_it() {
    let scene = scene();
    let replay = scene.record_with(CALLER, vec![clerk()]).await;
    scene.script(
        "replies:
  - calls: [{tool: clerk, arguments: {task: A-2}}]
  - calls: [{tool: clerk, arguments: {task: A-1}}]
  - text: Sold.
",
    );
    let trial = replay.tools(Arc::clone(&scene.models) as _);
    let run = trial.definition(parsed(CALLER)).await.unwrap();
    assert_eq!(scene.ledger().len(), 2, "no tool was called again");
    assert_eq!((kinds(&run), run.same_calls()), (vec!["order", "end"], 4), "{run}");
    replays_strictly(&scene, &run).await;
    scene.close().await;
}

#[tokio::test]
async fn what_a_child_misses_ends_the_whole_run() {
    let scene = scene();
    let replay = scene.record_with(CALLER, vec![clerk()]).await;
    std::fs::write(scene.path("clerk.yaml"), CLERK.replace("500", "600")).unwrap();
    let trial = replay.tools(Arc::clone(&scene.models) as _);
    let miss = missed(trial.definition(parsed(CALLER)).await);
    assert_eq!((miss.agent.as_str(), miss.key.as_str()), ("clerk", "turn-1/tool-1"));
    assert_eq!(scene.ledger().len(), 2);

    let other = CALLER.replace("[clerk]", "[clerk, boss]");
    let error = trial.definition(parsed(&other)).await.err().unwrap().to_string();
    assert!(error.contains("the agent \"boss\""), "{error}");
    scene.close().await;
}
