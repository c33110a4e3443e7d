//! Whose a task is: on every method, another's behaves as if it did not exist.

use relight::journal::{Status, TaskId};
use relight::mcp::server::Auth;
use serde_json::{Value, json};

use super::{carrying, draw, options};
use crate::nap_an_hour;
use crate::site::Site;
use crate::web::{Web, answer};
use crate::wire::tasks_declared;

/// Two owners, and a task of the first.
async fn two() -> (Site, Web, Web, String) {
    let ([ann, bob], tokens) = draw(["ann", "bob"]);
    let site = Site::open(options(Auth::new(tokens, None, None))).await;
    let (ann, bob) = (carrying(&site, ann.expose()), carrying(&site, bob.expose()));
    let handle = ann.ask("tools/call", nap_an_hour()).await;
    let id = handle["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{handle}")).to_owned();
    (site, ann, bob, id)
}

async fn is_untouched(site: &Site, id: &str) {
    let task: TaskId = id.parse().unwrap();
    let task = site.host.store.task(task).await.unwrap().unwrap();
    assert_eq!(task.owner.as_deref(), Some("ann"));
    assert!(!task.cancel_requested && task.status == Status::Working, "{task:?}");
}

#[tokio::test]
async fn in_the_extension() {
    let (site, ann, bob, id) = two().await;
    let unknown = "0".repeat(32);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let ask = async |task: &str| {
            let params = json!({"taskId": task, "inputResponses": {"q": {"action": "decline"}}});
            bob.ask(method, params).await["error"].clone()
        };
        let (others, none) = (ask(&id).await, ask(&unknown).await);
        assert_eq!(others["code"], -32602, "{method}: {others}");
        assert_eq!(others.to_string().replace(&id, &unknown), none.to_string(), "{method}");
    }
    is_untouched(&site, &id).await;
    let own = ann.ask("tasks/get", json!({"taskId": id})).await;
    assert_eq!(own["result"]["status"], "working", "{own}");
}

#[tokio::test]
async fn in_subscriptions() {
    let (_site, _ann, bob, id) = two().await;
    let params = json!({"notifications": {"taskIds": [id]}});
    let request = bob.modern("subscriptions/listen", params, tasks_declared());
    let told = request.send().await.unwrap().text().await.unwrap();
    assert!(told.contains("\"complete\"") && !told.contains(&id), "{told}");
}

#[tokio::test]
async fn in_the_experimental_dialect() {
    let (site, _, mut bob, id) = two().await;
    bob.initialize().await;
    let unknown = "0".repeat(32);
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let ask = async |task: &str| {
            let sent = bob.older(method, &json!({"taskId": task})).send().await.unwrap();
            answer(sent).await["error"].clone()
        };
        let (others, none) = (ask(&id).await, ask(&unknown).await);
        assert!(others["code"].is_i64(), "{method}: {others}");
        assert_eq!(others.to_string().replace(&id, &unknown), none.to_string(), "{method}");
    }
    let listed = answer(bob.older("tasks/list", &json!({})).send().await.unwrap()).await;
    assert!(!listed.to_string().contains(&id), "{listed}");
    let after = json!({"cursor": id});
    let listed = answer(bob.older("tasks/list", &after).send().await.unwrap()).await;
    assert!(listed["result"]["tasks"].as_array().is_none_or(Vec::is_empty), "{listed}");
    is_untouched(&site, &id).await;
}

#[tokio::test]
async fn in_the_tools_of_clients_without_tasks() {
    let (site, mut ann, mut bob, id) = two().await;
    ann.initialize().await;
    bob.initialize().await;
    let unknown = "0".repeat(32);
    let call = async |web: &Web, tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments});
        answer(web.older("tools/call", &params).send().await.unwrap()).await["result"].clone()
    };
    for tool in ["task_status", "task_answer", "task_cancel"] {
        let arguments = |task: &str| match tool {
            "task_status" => json!({"task_id": task, "wait_seconds": 0}),
            "task_answer" => json!({"task_id": task, "action": "decline"}),
            _ => json!({"task_id": task}),
        };
        let others = call(&bob, tool, arguments(&id)).await;
        let none = call(&bob, tool, arguments(&unknown)).await;
        assert_eq!(others["isError"], true, "{tool}: {others}");
        assert_eq!(others.to_string().replace(&id, &unknown), none.to_string(), "{tool}");
    }
    let listed = call(&bob, "task_list", json!({})).await;
    assert!(!listed.to_string().contains(&id), "{listed}");
    let listed = call(&ann, "task_list", json!({})).await;
    assert!(listed.to_string().contains(&id), "{listed}");
    is_untouched(&site, &id).await;
}

#[tokio::test]
async fn with_an_idempotency_key_and_a_session() {
    let (_site, mut ann, mut bob, id) = two().await;
    let mut params = nap_an_hour();
    params["_meta"] = json!({"relight/idempotencyKey": "k"});
    let own = ann.ask("tools/call", params.clone()).await["result"]["taskId"].clone();
    let again = ann.ask("tools/call", params.clone()).await["result"]["taskId"].clone();
    let others = bob.ask("tools/call", params).await["result"]["taskId"].clone();
    assert!(own.is_string() && others.is_string() && own != id);
    assert_eq!(own, again);
    assert_ne!(own, others);

    ann.initialize().await;
    bob.session = ann.session.clone();
    let stolen = bob.older("tools/list", &json!({})).send().await.unwrap();
    assert_eq!(stolen.status(), 404);
    ann.token = None;
    let without = ann.older("tools/list", &json!({})).send().await.unwrap();
    assert_eq!(without.status(), 401);
}
