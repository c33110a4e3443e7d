//! `subscriptions/listen` for tasks, over stdio and HTTP.

use relight::mcp::server::HttpOptions;
use serde_json::{Value, json};

use crate::site::Site;
use crate::web::answer;
use crate::wire::tasks_declared;
use crate::{UNKNOWN, call, code, host, nap_an_hour};

fn nap(ms: u64) -> Value {
    call("nap", json!({"ms": ms}))
}

fn listen(task: &Value) -> Value {
    json!({"notifications": {"taskIds": [task, UNKNOWN, "x", task]}})
}

/// Checks what was told of a task that takes a nap: first the acknowledgement, then each state, the
/// last one with the result.
fn check(told: &[Value], result: &Value, task: &Value) {
    let acknowledged = &told[0];
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], json!({"taskIds": [task]}));
    let id = &acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!(*id, result["id"], "{result}");
    let ended = &result["result"];
    assert_eq!(ended["_meta"]["io.modelcontextprotocol/subscriptionId"], *id, "{result}");
    assert_eq!(ended["resultType"], "complete", "{result}");
    assert!(told.len() > 2, "{told:?}");
    for notice in &told[1..] {
        assert_eq!(notice["method"], "notifications/tasks");
        assert_eq!(notice["params"]["taskId"], *task);
        assert_eq!(notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], *id);
    }
    let last = &told.last().unwrap()["params"];
    assert_eq!(last["status"], "completed", "{last}");
    assert_eq!(last["result"]["structuredContent"], json!({"slept_ms": 400}), "{last}");
}

#[tokio::test]
async fn over_stdio_a_client_is_told_until_its_tasks_have_ended() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let task = client.modern("tools/call", nap(400)).await["result"]["taskId"].clone();
    let result = client.modern("subscriptions/listen", listen(&task)).await;
    check(&client.notifications, &result, &task);
}

#[tokio::test]
async fn over_http_a_client_is_told_until_its_tasks_have_ended() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let task = web.ask("tools/call", nap(400)).await["result"]["taskId"].clone();
    let request = web.modern("subscriptions/listen", listen(&task), tasks_declared());
    let text = request.send().await.unwrap().text().await.unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let mut told: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let result = told.pop().unwrap();
    check(&told, &result, &task);
}

#[tokio::test]
async fn a_client_without_tasks_is_told_what_it_lacks() {
    let site = Site::open(HttpOptions::default()).await;
    let params = json!({"notifications": {"taskIds": [UNKNOWN]}});
    let request = site.web().modern("subscriptions/listen", params, json!({}));
    let answer = answer(request.send().await.unwrap()).await;
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
    let required = &answer["error"]["data"]["requiredCapabilities"]["extensions"];
    assert_eq!(*required, json!({"io.modelcontextprotocol/tasks": {}}));
}

#[tokio::test]
async fn a_stop_ends_the_stream_and_not_the_task() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let task = web.ask("tools/call", nap_an_hour()).await["result"]["taskId"].clone();
    let request = web.modern("subscriptions/listen", listen(&task), tasks_declared());
    let mut response = request.send().await.unwrap();
    let mut text = String::new();
    while !text.contains("asleep") {
        text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
    site.stop.cancel();
    let rest = response.text().await.unwrap();
    assert!(rest.contains("\"resultType\":\"complete\""), "{rest}");
    site.serving.await.unwrap();
    let id = task.as_str().unwrap().parse().unwrap();
    assert!(!site.host.store.task(id).await.unwrap().unwrap().cancel_requested);
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_not_the_end_of_its_tasks() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    host.store.close().await;
    let answer = client.modern("subscriptions/listen", listen(&json!(UNKNOWN))).await;
    assert_eq!(code(&answer), -32603, "{answer}");
}
