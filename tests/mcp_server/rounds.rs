//! Calls in rounds (`InputRequiredResult`), and tools that need tasks or have none.

use relight::journal::{Filter, Status};
use relight::mcp::server::{Options, Server, TaskSupport};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Host, tool};
use crate::host_that_asks;
use crate::wire::{tasks_declared, with_meta};

/// Forms, and no Tasks.
fn forms() -> Value {
    json!({"elicitation": {}})
}

fn forms_and_tasks() -> Value {
    let mut capabilities = tasks_declared();
    capabilities["elicitation"] = json!({});
    capabilities
}

async fn host() -> (TempDir, Host) {
    host_that_asks(Options::default()).await
}

/// A server of `confirm` alone, changed by `change`.
async fn host_of(change: fn(&mut relight::mcp::server::Served)) -> (TempDir, Host) {
    let (directory, mut host) = host().await;
    let mut confirm = tool("confirm", json!({"type": "object"}));
    change(&mut confirm);
    host.server = Server::new(host.runtime.clone(), vec![confirm], Options::default()).unwrap();
    (directory, host)
}

async fn call(client: &mut Client, more: Value, capabilities: Value) -> Value {
    let mut params = json!({"name": "confirm", "arguments": {}});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.request("tools/call", with_meta(params, capabilities)).await
}

/// The key of the only question.
fn key(asked: &Value) -> String {
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let requests = asked["inputRequests"].as_object().unwrap();
    let [(key, request)] = requests.iter().collect::<Vec<_>>()[..] else { panic!("{asked}") };
    assert_eq!(request["method"], "elicitation/create");
    key.clone()
}

fn yes(asked: &Value) -> Value {
    let answer = json!({"action": "accept", "content": {"sure": true}});
    json!({"inputResponses": {key(asked): answer}, "requestState": asked["requestState"]})
}

#[tokio::test]
async fn a_question_is_the_calls_result_and_its_answer_another_call() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let asked = call(&mut client, json!({}), forms()).await["result"].clone();
    assert!(asked.get("taskId").is_none(), "{asked}");
    // Another connection, and with it another process, may take the next round.
    let mut client = host.connect();
    let done = call(&mut client, yes(&asked), forms()).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    let tasks = host.store.tasks(Filter { limit: 9, ..Filter::default() }).await.unwrap();
    assert_eq!(tasks.len(), 1, "all rounds are one task");
}

#[tokio::test]
async fn an_answer_is_asked_for_again_until_it_comes() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let asked = call(&mut client, json!({}), forms()).await["result"].clone();
    let state = &asked["requestState"];
    let other = json!({"inputResponses": {"other": {"action": "decline"}}, "requestState": state});
    let again = call(&mut client, other, forms()).await["result"].clone();
    assert_eq!(key(&again), key(&asked));
    let done = call(&mut client, yes(&again), forms()).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
}

#[tokio::test]
async fn a_state_that_is_none_of_this_calls_is_refused() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let asked = call(&mut client, json!({}), forms()).await["result"].clone();
    let state = asked["requestState"].as_str().unwrap();
    let unknown = format!("{}.1", "0".repeat(32));
    for bad in [format!("{state}x"), format!("x{state}"), String::new(), unknown] {
        let answer = call(&mut client, json!({"requestState": bad}), forms()).await;
        assert_eq!(answer["error"]["code"], -32602, "{bad}: {answer}");
    }
    let params = json!({"name": "nap", "arguments": {"ms": 1}, "requestState": state});
    let answer = client.request("tools/call", with_meta(params, forms())).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
}

#[tokio::test]
async fn answers_that_are_none_leave_no_task_behind_that_nobody_knows_of() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let asked = call(&mut client, json!({}), forms()).await["result"].clone();
    let answer = call(&mut client, json!({"inputResponses": {key(&asked): 7}}), forms()).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let tasks = host.store.tasks(Filter { limit: 9, ..Filter::default() }).await.unwrap();
    let [newest, first] = &tasks[..] else { panic!("{tasks:?}") };
    host.runtime.wait(newest.id).await.unwrap();
    let newest = host.store.task(newest.id).await.unwrap().unwrap();
    assert_eq!((newest.status, first.status), (Status::Cancelled, Status::InputRequired));
}

#[tokio::test]
async fn a_tool_that_asks_first_answers_with_a_task_once_it_was_answered() {
    let (_directory, host) = host_of(|tool| tool.asks_first = true).await;
    let mut client = host.connect();
    let asked = call(&mut client, json!({}), forms_and_tasks()).await["result"].clone();
    let handle = call(&mut client, yes(&asked), forms_and_tasks()).await["result"].clone();
    assert_eq!(handle["resultType"], "task", "{handle}");
    assert!(handle.get("requestState").is_none(), "{handle}");
    let ended = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "completed", "{ended}");

    // A client that cannot be asked so gets its task at once.
    let handle = call(&mut client, json!({}), tasks_declared()).await["result"].clone();
    assert_eq!(handle["resultType"], "task", "{handle}");
}

#[tokio::test]
async fn a_tool_that_needs_tasks_says_so_in_the_words_of_the_protocol() {
    let (_directory, host) = host_of(|tool| tool.task_support = TaskSupport::Required).await;
    let mut client = host.connect();
    let refused = call(&mut client, json!({}), json!({})).await["error"].clone();
    assert_eq!(refused["code"], -32021, "{refused}");
    let required = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    assert_eq!(refused["data"]["requiredCapabilities"], required);
    let handle = call(&mut client, json!({}), tasks_declared()).await;
    assert_eq!(handle["result"]["resultType"], "task", "{handle}");

    let mut older = host.connect();
    older.initialize("2025-11-25", json!({})).await;
    let plain = json!({"name": "confirm", "arguments": {}});
    let refused = older.request("tools/call", plain.clone()).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    let listed = older.request("tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"][0]["execution"]["taskSupport"], "required", "{listed}");
}

#[tokio::test]
async fn a_tool_without_tasks_is_waited_for() {
    let (_directory, host) = host_of(|tool| tool.task_support = TaskSupport::Forbidden).await;
    let mut client = host.connect();
    let asked = call(&mut client, json!({}), forms_and_tasks()).await["result"].clone();
    let done = call(&mut client, yes(&asked), forms_and_tasks()).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");

    let mut older = host.connect();
    older.initialize("2025-11-25", json!({})).await;
    let augmented = json!({"name": "confirm", "arguments": {}, "task": {}});
    let refused = older.request("tools/call", augmented).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}
