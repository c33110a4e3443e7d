//! Whose a task and a session are: to others they do not exist.

use axum::http::StatusCode;
use relight::limits;
use reqwest::Method;
use serde_json::json;

use super::owned;
use crate::web::answer;
use crate::{greet, nap_an_hour, only_task};

#[tokio::test]
async fn a_request_of_nobody_is_refused() {
    let (site, _, _) = owned().await;
    let response = site.web().modern("tools/list", json!({}), json!({})).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn to_others_a_task_does_not_exist() {
    let (site, ann, bob) = owned().await;
    let handle = ann.ask("tools/call", nap_an_hour()).await["result"].clone();
    let id = handle["taskId"].as_str().unwrap();
    let unknown = "0".repeat(32);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let ask = async |task: &str| {
            let params = json!({"taskId": task, "inputResponses": {}});
            bob.ask(method, params).await["error"].clone()
        };
        let (others, none) = (ask(id).await, ask(&unknown).await);
        assert_eq!(others["code"], -32602, "{method}: {others}");
        assert_eq!(others.to_string().replace(id, &unknown), none.to_string(), "{method}");
    }
    let task = only_task(&*site.host.store).await;
    assert!(!site.host.store.task(task).await.unwrap().unwrap().cancel_requested);
    let own = ann.ask("tasks/get", json!({"taskId": id})).await;
    assert_eq!(own["result"]["status"], "working", "{own}");
}

#[tokio::test]
async fn an_idempotency_key_is_its_owners() {
    let (_site, ann, bob) = owned().await;
    let mut params = greet();
    params["_meta"] = json!({"relight/idempotencyKey": "k"});
    let first = ann.ask("tools/call", params.clone()).await["result"]["taskId"].clone();
    let again = ann.ask("tools/call", params.clone()).await["result"]["taskId"].clone();
    let others = bob.ask("tools/call", params).await["result"]["taskId"].clone();
    assert!(first.is_string());
    assert_eq!(first, again);
    assert_ne!(first, others);
}

#[tokio::test]
async fn a_session_is_its_owners() {
    let (_site, mut ann, mut bob) = owned().await;
    ann.initialize().await;
    bob.session = ann.session.clone();
    let others = bob.older("tools/list", &json!({})).send().await.unwrap();
    assert_eq!(others.status(), StatusCode::NOT_FOUND);
    let closed = bob.request(Method::DELETE, "/mcp").send().await.unwrap();
    assert_eq!(closed.status(), StatusCode::NOT_FOUND);
    let own = answer(ann.older("tools/list", &json!({})).send().await.unwrap()).await;
    assert!(own["result"]["tools"].is_array(), "{own}");
}

#[tokio::test]
async fn no_owner_can_take_all_sessions() {
    let (_site, ann, bob) = owned().await;
    for _ in 0..limits::OWNER_SESSIONS {
        ann.clone().initialize().await;
    }
    let refused = ann.hello().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.text().await.unwrap().contains("you have"));
    assert_eq!(bob.hello().await.status(), StatusCode::OK);
}
