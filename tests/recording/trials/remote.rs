//! Calls that a tool server makes tasks of, here another `relight serve`: their whole course is in the
//! recording.

use std::sync::Arc;

use super::{Scene, kinds, parsed, replays_strictly};

const SCRIPT: &str = "replies:
  - calls: [{tool: helper, arguments: {task: one}}]
  - text: '{{last}}'
";

const HELPER: &str = "---
name: helper
description: Helps.
model: script:MODEL
tools: []
---
Help.";

fn caller(scene: &Scene) -> String {
    let dir = |name: &str| scene.path(name).display().to_string();
    let (agents, journal) = (dir("agents"), dir("helper.db"));
    format!(
        "---
name: boss
description: Has things done.
model: script:replies.yaml
mcpServers:
  aide: {{command: \"${{RELIGHT}}\", args: [serve, --agents, {agents:?}, --journal, {journal:?}]}}
tools: [aide/helper]
---
Be brief."
    )
}

#[tokio::test]
async fn a_task_of_a_tool_server_is_answered_without_the_server() {
    let scene = Scene::new(SCRIPT);
    let model = scene.path("helper.yaml");
    std::fs::create_dir(scene.path("agents")).unwrap();
    std::fs::write(&model, "replies: [{text: Helped., latency_ms: 50}]").unwrap();
    let helper = HELPER.replace("MODEL", &model.display().to_string());
    std::fs::write(scene.path("agents/helper.md"), helper).unwrap();
    let text = caller(&scene);
    let replay = scene.record(&text).await;
    let steps = replay.as_recorded().await.unwrap().steps();
    assert!(steps.contains(&"turn-1/tool-1/task".to_owned()), "{steps:?}");

    std::fs::remove_dir_all(scene.path("agents")).unwrap();
    scene.script(&format!("{}\n", SCRIPT.replace("text: '{{last}}'", "text: 'It said {{last}}'")));
    let run = replay.tools(Arc::clone(&scene.models) as _).definition(parsed(&text)).await.unwrap();
    assert_eq!((kinds(&run), run.same_calls()), (vec!["end"], 1), "{run}");
    assert_eq!(run.answer().unwrap().json(), "\"It said Helped.\"");
    replays_strictly(&scene, &run).await;
    scene.close().await;
}
