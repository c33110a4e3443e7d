//! The Tasks of protocol 2025-11-25 over HTTP: in whose sessions they are, and whose tasks.

use std::time::{Duration, Instant};

use relight::mcp::server::HttpOptions;
use reqwest::Method;
use serde_json::{Value, json};

use super::owned;
use crate::UNKNOWN;
use crate::site::Site;
use crate::web::{Web, answer};

const PATIENCE: Duration = Duration::from_secs(20);

async fn ask(web: &Web, method: &str, params: Value) -> Value {
    answer(web.older(method, &params).send().await.unwrap()).await
}

async fn start(web: &Web) -> Value {
    let params = json!({"name": "nap", "arguments": {"ms": 3_600_000}, "task": {}});
    let created = ask(web, "tools/call", params).await;
    assert!(created["result"]["task"]["taskId"].is_string(), "{created}");
    created["result"]["task"]["taskId"].clone()
}

#[tokio::test]
async fn it_is_spoken_in_sessions_of_its_protocol() {
    let site = Site::open(HttpOptions::default()).await;
    let mut web = site.web();
    let shown = web.initialize().await;
    assert!(shown["result"]["capabilities"]["tasks"]["list"].is_object(), "{shown}");
    assert_eq!(shown["result"]["capabilities"]["extensions"], Value::Null);
    let tools = ask(&web, "tools/list", json!({})).await;
    assert_eq!(tools["result"]["tools"][0]["execution"], json!({"taskSupport": "optional"}));
    let task = json!({"taskId": start(&web).await});
    assert_eq!(ask(&web, "tasks/get", task.clone()).await["result"]["status"], "working");

    let mut again = site.web();
    again.initialize().await;
    let cancelled = ask(&again, "tasks/cancel", task).await;
    assert_eq!(cancelled["result"]["status"], "cancelled", "{cancelled}");
    let private = ask(&again, "relight/2025-11-25/tasks/list", json!({})).await;
    assert_eq!(private["error"]["code"], -32601, "{private}");
}

#[tokio::test]
async fn to_others_a_task_does_not_exist() {
    let (_site, mut ann, mut bob) = owned().await;
    ann.initialize().await;
    bob.initialize().await;
    let task = start(&ann).await;
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let theirs = ask(&bob, method, json!({"taskId": task})).await;
        let nobodys = ask(&bob, method, json!({"taskId": UNKNOWN})).await;
        let mut expected = nobodys["error"].clone();
        let message = expected["message"].as_str().unwrap();
        expected["message"] = message.replace(UNKNOWN, task.as_str().unwrap()).into();
        assert_eq!(theirs["error"], expected, "{method}");
        assert_eq!(expected["code"], -32602);
    }
    let cursor = ask(&bob, "tasks/list", json!({"cursor": task})).await;
    assert_eq!(cursor["error"]["code"], -32602, "{cursor}");
    assert_eq!(ask(&bob, "tasks/list", json!({})).await["result"], json!({"tasks": []}));
    let listed = ask(&ann, "tasks/list", json!({})).await;
    assert_eq!(listed["result"]["tasks"][0]["taskId"], task, "{listed}");
    for (tool, arguments) in [
        ("task_status", json!({"task_id": task, "wait_seconds": 0})),
        ("task_answer", json!({"task_id": task, "action": "decline"})),
        ("task_cancel", json!({"task_id": task})),
    ] {
        let params = json!({"name": tool, "arguments": arguments});
        let told = ask(&bob, "tools/call", params).await;
        assert_eq!(told["result"]["isError"], true, "{tool}: {told}");
        let text = told["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("no task"), "{tool}: {text}");
    }
    assert_eq!(
        ask(&ann, "tasks/get", json!({"taskId": task})).await["result"]["status"],
        "working"
    );
}

#[tokio::test]
async fn nobody_waits_for_a_result_in_a_session_that_is_closed() {
    let site = Site::open(HttpOptions::default()).await;
    let (before, mut web) = (site.web(), site.web());
    let running = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // With a connection open, whose parts are tasks too.
    before.request(Method::GET, "/healthz").send().await.unwrap();
    let at_rest = running();
    web.initialize().await;
    let task = start(&web).await;
    let mut stream = web.older("tasks/result", &json!({"taskId": task})).send().await.unwrap();
    // The stream is open before there is anything in it.
    assert_eq!(stream.status(), 200);
    let waiting = running();
    let closed = web.request(Method::DELETE, "/mcp").send().await.unwrap();
    assert!(closed.status().is_success(), "{}", closed.status());
    while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
    drop((stream, web));
    let since = Instant::now();
    while running() > at_rest {
        let left = running();
        assert!(since.elapsed() < PATIENCE, "{at_rest}, {waiting}, {left} tasks are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let id = task.as_str().unwrap().parse().unwrap();
    let kept = site.host.store.task(id).await.unwrap().unwrap();
    assert!(!kept.status.is_ended(), "the task goes on: {kept:?}");
}
