//! Handles over HTTP outlive the server: it is killed (`kill -9`) and started again on its journal.

use serde_json::{Value, json};

use crate::fixtures::Fixtures;
use crate::web::Web;

async fn start(web: &Web, tool: &str, arguments: Value) -> String {
    let answer = web.ask("tools/call", json!({"name": tool, "arguments": arguments})).await;
    let id = answer["result"]["taskId"].as_str();
    id.unwrap_or_else(|| panic!("no handle: {answer}")).to_owned()
}

#[tokio::test]
async fn a_handle_from_before_a_kill_works_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal.db");
    let server = Fixtures::start(&journal);
    let web = Web::new(server.origin.clone());
    let slow = start(&web, "slow_compute", json!({"seconds": 1, "label": "kept"})).await;
    let asks = start(&web, "confirm_delete", json!({"filename": "a.txt"})).await;
    let long = start(&web, "slow_compute", json!({"seconds": 3600, "label": "long"})).await;
    let before = web.settle(&asks).await;
    assert_eq!(before["status"], "input_required", "{before}");

    server.kill();
    let server = Fixtures::start(&journal);
    let web = Web::new(server.origin.clone());
    let asked = web.ask("tasks/get", json!({"taskId": asks})).await;
    assert_eq!(asked["result"]["inputRequests"], before["inputRequests"], "{asked}");
    let answers = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    web.ask("tasks/update", json!({"taskId": asks, "inputResponses": answers})).await;

    server.kill();
    let server = Fixtures::start(&journal);
    let web = Web::new(server.origin.clone());
    let answered = loop {
        let now = web.settle(&asks).await;
        if now["status"] != "input_required" {
            break now;
        }
    };
    assert_eq!(answered["result"]["content"][0]["text"], "a.txt is deleted", "{answered}");
    let done = web.settle(&slow).await;
    assert_eq!(done["status"], "completed", "{done}");
    web.ask("tasks/cancel", json!({"taskId": long})).await;

    server.kill();
    let server = Fixtures::start(&journal);
    let web = Web::new(server.origin.clone());
    assert_eq!(web.settle(&long).await["status"], "cancelled");
}
