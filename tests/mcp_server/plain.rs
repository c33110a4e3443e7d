//! Clients without any Tasks: calls that wait, and the tools to follow what outlasts the wait.

use relight::journal::Status;
use relight::mcp::server::{Error, Options, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Host, tool};
use crate::journal::{child, new_task, task_id};
use crate::wire::{tasks_declared, with_meta};
use crate::{host_that_asks, only_task};

/// Long enough for any fixture but the one that sleeps for an hour.
const WAIT: u64 = 20_000;

/// A server whose plain calls wait so long.
async fn host(plain_wait_ms: u64) -> (TempDir, Host) {
    host_that_asks(Options { plain_wait_ms, ..Options::default() }).await
}

async fn connect(host: &Host, capabilities: Value) -> Client {
    let mut client = host.connect();
    client.initialize("2025-06-18", capabilities).await;
    client
}

/// Calls a tool and returns its result.
async fn call(client: &mut Client, tool: &str, arguments: Value) -> Value {
    let answer = client.request("tools/call", json!({"name": tool, "arguments": arguments})).await;
    assert!(answer["result"]["content"].is_array(), "{answer}");
    answer["result"].clone()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_call_that_outlasts_the_wait_says_how_to_follow_its_task() {
    let (_directory, host) = host(0).await;
    let mut client = connect(&host, json!({})).await;
    let result = call(&mut client, "nap", json!({"ms": 3_600_000})).await;
    let id = only_task(&*host.store).await.to_string();
    assert_eq!(result["isError"], false);
    assert!(text(&result).contains(&format!("task {id}")), "{result}");
    assert!(text(&result).contains("Call task_status with"), "{result}");

    let status = call(&mut client, "task_status", json!({"task_id": id, "wait_seconds": 0})).await;
    assert!(text(&status).contains("nap is still at work"), "{status}");
    let list = call(&mut client, "task_list", json!({})).await;
    assert!(text(&list).contains(&format!("{id}  working  nap")), "{list}");
    let cancelled = call(&mut client, "task_cancel", json!({"task_id": id})).await;
    assert!(text(&cancelled).contains("is told to stop"), "{cancelled}");
    host.runtime.wait(id.parse().unwrap()).await.unwrap();
    let ended = call(&mut client, "task_status", json!({"task_id": id})).await;
    assert_eq!(ended["isError"], true, "{ended}");
    let again = call(&mut client, "task_cancel", json!({"task_id": id})).await;
    assert!(text(&again).contains("has ended already"), "{again}");
}

#[tokio::test]
async fn the_status_of_an_ended_task_is_its_result() {
    let (_directory, host) = host(WAIT).await;
    let mut client = connect(&host, json!({})).await;
    let result = call(&mut client, "nap", json!({"ms": 1})).await;
    let id = only_task(&*host.store).await.to_string();
    assert_eq!(call(&mut client, "task_status", json!({"task_id": id})).await, result);
}

#[tokio::test]
async fn a_client_with_forms_is_asked_within_the_call() {
    let (_directory, host) = host(WAIT).await;
    let mut client = connect(&host, json!({"elicitation": {}})).await;
    let params = json!({"name": "confirm", "arguments": {}});
    for (answer, expected) in [
        (json!({"action": "accept", "content": {"sure": false}}), "sure: false"),
        (json!({"action": "decline"}), "declined"),
    ] {
        let calling = client.ask("tools/call", params.clone()).await;
        let request = client.receive().await;
        assert_eq!(request["method"], "elicitation/create");
        assert_eq!(request["params"]["message"], "Are you sure?");
        let related = &request["params"]["_meta"]["io.modelcontextprotocol/related-task"];
        assert_eq!(*related, Value::Null, "the client knows of no task");
        client.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": answer})).await;
        let result = client.answer(calling).await["result"].clone();
        assert_eq!(text(&result), expected);
    }
}

#[tokio::test]
async fn a_client_without_forms_is_told_the_question() {
    let (_directory, host) = host(WAIT).await;
    let mut client = connect(&host, json!({})).await;
    let result = call(&mut client, "confirm", json!({})).await;
    let id = only_task(&*host.store).await.to_string();
    for part in ["Are you sure?", "\"required\":[\"sure\"]", "task_answer", &id] {
        assert!(text(&result).contains(part), "{part}: {result}");
    }
    assert_eq!(call(&mut client, "task_status", json!({"task_id": id})).await, result);

    let unfit = json!({"task_id": id, "action": "accept", "content": {"sure": "yes"}});
    let refused = call(&mut client, "task_answer", unfit).await;
    assert_eq!(refused["isError"], true);
    assert!(text(&refused).contains("/sure: \"yes\" is not of type \"boolean\""), "{refused}");
    let other = json!({"task_id": id, "question": "no_such", "action": "decline"});
    let refused = call(&mut client, "task_answer", other).await;
    assert!(text(&refused).contains("asks: confirm"), "{refused}");

    let answer = json!({"task_id": id, "action": "accept", "content": {"sure": true}});
    let answered = call(&mut client, "task_answer", answer.clone()).await;
    assert!(text(&answered).starts_with("Answered."), "{answered}");
    let ended = call(&mut client, "task_status", json!({"task_id": id})).await;
    assert_eq!(text(&ended), "sure: true");
    let late = call(&mut client, "task_answer", answer).await;
    assert!(text(&late).contains("asks nothing now"), "{late}");
}

#[tokio::test]
async fn a_client_that_cannot_show_a_form_after_all_is_told_the_question() {
    let (_directory, host) = host(WAIT).await;
    let mut client = connect(&host, json!({"elicitation": {}})).await;
    let calling = client.ask("tools/call", json!({"name": "confirm", "arguments": {}})).await;
    let request = client.receive().await;
    let error = json!({"code": -32603, "message": "no screen"});
    client.send(&json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).await;
    let result = client.answer(calling).await["result"].clone();
    assert!(text(&result).contains("Are you sure?"), "{result}");
    let id = only_task(&*host.store).await.to_string();
    let task = host.store.task(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(task.status, Status::InputRequired);
}

#[tokio::test]
async fn the_tools_are_for_clients_without_tasks_only() {
    let (_directory, host) = host(WAIT).await;
    let names = |answer: &Value| -> Vec<String> {
        let tools = answer["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).skip(4).collect()
    };
    let followers = ["task_status", "task_answer", "task_cancel", "task_list"];
    let list = |capabilities| with_meta(json!({}), capabilities);
    let status = |capabilities| {
        let arguments = json!({"task_id": "x"});
        with_meta(json!({"name": "task_status", "arguments": arguments}), capabilities)
    };

    let mut client = host.connect();
    assert_eq!(names(&client.request("tools/list", list(json!({}))).await), followers);
    let answer = client.request("tools/call", status(json!({}))).await;
    assert!(text(&answer["result"]).contains("is not a task id"), "{answer}");
    let with_tasks = client.request("tools/list", list(tasks_declared())).await;
    assert_eq!(names(&with_tasks), [""; 0]);
    let answer = client.request("tools/call", status(tasks_declared())).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");

    for (declared, expected) in [(json!({}), &followers[..]), (json!({"tasks": {}}), &[])] {
        let mut client = host.connect();
        client.initialize("2025-11-25", declared).await;
        let answer = client.request("tools/list", json!({})).await;
        assert_eq!(names(&answer), expected);
        for tool in &answer["result"]["tools"].as_array().unwrap()[4..] {
            assert_eq!(tool["execution"], json!({"taskSupport": "forbidden"}));
        }
    }
}

#[tokio::test]
async fn no_tool_may_take_a_followers_name() {
    let (_directory, host) = host(WAIT).await;
    let tools = vec![tool("task_status", json!({"type": "object"}))];
    let server = Server::new(host.runtime.clone(), tools, Options::default());
    assert!(matches!(server, Err(Error::Reserved { name }) if name == "task_status"));
}

#[tokio::test]
async fn a_task_is_listed_however_many_children_are_newer() {
    let (_directory, host) = host(WAIT).await;
    let mut client = connect(&host, json!({})).await;
    host.store.create(new_task(1)).await.unwrap();
    for n in 2..=1 + relight::limits::TASK_PAGE as u128 {
        host.store.create(child(n, 1)).await.unwrap();
    }
    let listed = call(&mut client, "task_list", json!({})).await;
    assert!(text(&listed).starts_with(&task_id(1).to_string()), "{listed}");
}
