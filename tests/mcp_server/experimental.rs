//! The Tasks of protocol 2025-11-25 by their wire.

use std::time::Duration;

use relight::mcp::server::Options;
use serde_json::{Value, json};

use crate::client::{Client, Host};
use crate::{UNKNOWN, code, host_that_asks};

const RELATED: &str = "io.modelcontextprotocol/related-task";

/// A session of the dialect.
async fn connect(host: &Host) -> Client {
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({"elicitation": {}, "tasks": {}})).await;
    client
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments, "task": {"ttl": 60_000}})
}

async fn start(client: &mut Client, tool: &str, arguments: Value) -> Value {
    let answer = client.request("tools/call", call(tool, arguments)).await;
    let result = &answer["result"];
    assert_eq!(result["resultType"], Value::Null, "{answer}");
    assert_eq!(result["taskId"], Value::Null, "{answer}");
    let task = result["task"].clone();
    assert!(task["taskId"].is_string(), "{answer}");
    task
}

async fn get(client: &mut Client, task: &Value) -> Value {
    let answer = client.request("tasks/get", json!({"taskId": task["taskId"]})).await;
    assert!(answer["result"]["status"].is_string(), "{answer}");
    answer["result"].clone()
}

/// Polls until the task has this status.
async fn until(client: &mut Client, task: &Value, status: &str) -> Value {
    loop {
        let now = get(client, task).await;
        if now["status"] == status {
            return now;
        }
        assert!(["working", "input_required"].contains(&now["status"].as_str().unwrap()), "{now}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn result(client: &mut Client, task: &Value) -> Value {
    client.request("tasks/result", json!({"taskId": task["taskId"]})).await
}

/// The next request of the server; notifications are kept.
async fn asked(client: &mut Client) -> Value {
    if let Some(at) = client.notifications.iter().position(|n| n["method"] == "elicitation/create")
    {
        return client.notifications.remove(at);
    }
    loop {
        let message = client.receive().await;
        if message["method"] == "elicitation/create" {
            return message;
        }
        client.notifications.push(message);
    }
}

/// The id of the request that the server takes back.
async fn taken_back(client: &mut Client) -> Value {
    loop {
        let mut all = client.notifications.iter();
        if let Some(told) = all.find(|told| told["method"] == "notifications/cancelled") {
            return told["params"]["requestId"].clone();
        }
        let told = client.receive().await;
        client.notifications.push(told);
    }
}

async fn accept(client: &mut Client, request: &Value) {
    let answer = json!({"action": "accept", "content": {"sure": true}});
    client.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": answer})).await;
}

#[tokio::test]
async fn only_its_protocol_has_it() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    for (version, has) in [("2025-06-18", false), ("2025-11-25", true)] {
        let mut client = host.connect();
        let answer = client.initialize(version, json!({})).await;
        let tasks = &answer["result"]["capabilities"]["tasks"];
        let expected = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        assert_eq!(*tasks, if has { expected } else { Value::Null });
        let tools = client.request("tools/list", json!({})).await;
        let execution = &tools["result"]["tools"][0]["execution"];
        let expected = json!({"taskSupport": "optional"});
        assert_eq!(*execution, if has { expected } else { Value::Null });
        let answer = client.request("tools/call", call("greet", json!({"name": "Ann"}))).await;
        assert_eq!(answer["result"]["task"].is_object(), has, "{answer}");
        let answer = client.request("relight/2025-11-25/tasks/list", json!({})).await;
        assert_eq!(code(&answer), -32601, "private: {answer}");
        let answer = client.request("tasks/list", json!({})).await;
        assert_eq!(answer["result"]["tasks"].is_array(), has, "{answer}");
        if !has {
            assert_eq!(code(&answer), -32601);
        }
        // A request of the newer protocol is what it says, whatever the session is.
        let answer = client.modern("tools/call", call("greet", json!({"name": "Ann"}))).await;
        assert_eq!(answer["result"]["resultType"], "task", "{answer}");
    }
}

#[tokio::test]
async fn a_task_is_created_polled_and_its_result_fetched() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "nap", json!({"ms": 30})).await;
    assert_eq!(task["status"], "working");
    assert_eq!(task["ttl"], 60_000);
    for field in ["createdAt", "lastUpdatedAt", "statusMessage"] {
        assert!(task[field].is_string(), "{task}");
    }
    let answer = result(&mut client, &task).await;
    let found = &answer["result"];
    assert_eq!(found["structuredContent"], json!({"slept_ms": 30}), "{answer}");
    assert_eq!(found["_meta"][RELATED]["taskId"], task["taskId"]);
    assert_eq!(found["resultType"], Value::Null);
    let ended = get(&mut client, &task).await;
    assert_eq!((&ended["status"], &ended["_meta"]), (&json!("completed"), &Value::Null));
    assert_eq!(result(&mut client, &task).await["result"], *found, "as often as one likes");
}

#[tokio::test]
async fn a_tools_own_failure_is_a_failed_task_too() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "break", json!({})).await;
    let failed = until(&mut client, &task, "failed").await;
    assert_eq!(failed["statusMessage"], "failed: out of paper");
    let answer = result(&mut client, &task).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");

    let task = start(&mut client, "break", json!({"code": -32050})).await;
    until(&mut client, &task, "failed").await;
    let answer = result(&mut client, &task).await;
    assert_eq!(answer["error"], json!({"code": -32050, "message": "out of paper"}));
}

#[tokio::test]
async fn a_cancelled_task_is_cancelled_in_the_reply() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "nap", json!({"ms": 3_600_000})).await;
    let params = json!({"taskId": task["taskId"]});
    let answer = client.request("tasks/cancel", params.clone()).await;
    assert_eq!(answer["result"]["status"], "cancelled", "{answer}");
    assert_eq!(answer["result"]["taskId"], task["taskId"]);
    assert_eq!(get(&mut client, &task).await["status"], "cancelled");
    assert_eq!(code(&client.request("tasks/cancel", params).await), -32602);
    assert_eq!(result(&mut client, &task).await["result"]["isError"], true);

    let task = start(&mut client, "greet", json!({"name": "Ann"})).await;
    until(&mut client, &task, "completed").await;
    let answer = client.request("tasks/cancel", json!({"taskId": task["taskId"]})).await;
    assert_eq!(code(&answer), -32602);
    assert!(answer["error"]["message"].as_str().unwrap().contains("it is completed"), "{answer}");
}

#[tokio::test]
async fn a_waiting_result_does_not_hold_up_the_cancel() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "nap", json!({"ms": 3_600_000})).await;
    let waiting = client.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    let cancel = client.ask("tasks/cancel", json!({"taskId": task["taskId"]})).await;
    let answers = [client.receive_answer().await, client.receive_answer().await];
    let of = |id: i64| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(of(cancel)["result"]["status"], "cancelled", "{answers:?}");
    assert_eq!(of(waiting)["result"]["isError"], true, "{answers:?}");
}

#[tokio::test]
async fn changes_of_status_are_told() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let mut params = call("nap", json!({"ms": 20}));
    params["_meta"] = json!({"progressToken": "p"});
    let answer = client.request("tools/call", params).await;
    let task = &answer["result"]["task"];
    loop {
        let told = client.receive().await;
        if told["method"] == "notifications/progress" {
            assert_eq!(told["params"]["progressToken"], "p");
            continue;
        }
        assert_eq!(told["method"], "notifications/tasks/status", "{told}");
        assert_eq!(told["params"]["taskId"], task["taskId"]);
        assert_eq!(told["params"]["_meta"], Value::Null);
        if told["params"]["status"] == "completed" {
            break;
        }
    }
}

#[tokio::test]
async fn a_question_is_asked_while_the_result_is_waited_for() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "confirm", json!({})).await;
    until(&mut client, &task, "input_required").await;
    let waiting = client.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    let request = asked(&mut client).await;
    assert_eq!(request["params"]["message"], "Are you sure?");
    assert_eq!(request["params"]["requestedSchema"]["required"], json!(["sure"]));
    assert_eq!(request["params"]["_meta"][RELATED]["taskId"], task["taskId"]);
    accept(&mut client, &request).await;
    let answer = client.answer(waiting).await;
    assert_eq!(answer["result"]["content"][0]["text"], "sure: true", "{answer}");
    assert_eq!(get(&mut client, &task).await["status"], "completed");
}

#[tokio::test]
async fn a_client_that_only_polls_is_asked_from_the_second_poll_on_and_once() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "confirm", json!({})).await;
    until(&mut client, &task, "input_required").await;
    assert!(client.notifications.iter().all(|told| told["method"] != "elicitation/create"));
    get(&mut client, &task).await;
    let request = asked(&mut client).await;
    get(&mut client, &task).await;
    get(&mut client, &task).await;
    assert!(client.notifications.iter().all(|told| told["method"] != "elicitation/create"));
    accept(&mut client, &request).await;
    until(&mut client, &task, "completed").await;
}

#[tokio::test]
async fn a_result_takes_over_a_question_that_was_pushed() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "confirm", json!({})).await;
    until(&mut client, &task, "input_required").await;
    get(&mut client, &task).await;
    let pushed = asked(&mut client).await;
    let waiting = client.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    let again = asked(&mut client).await;
    assert_ne!(pushed["id"], again["id"]);
    accept(&mut client, &again).await;
    let answer = client.answer(waiting).await;
    assert_eq!(answer["result"]["content"][0]["text"], "sure: true", "{answer}");
}

#[tokio::test]
async fn a_question_outlives_its_connection() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "confirm", json!({})).await;
    client.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    asked(&mut client).await;
    client.leave().await;

    let mut client = connect(&host).await;
    assert_eq!(get(&mut client, &task).await["status"], "input_required");
    let waiting = client.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    let request = asked(&mut client).await;
    accept(&mut client, &request).await;
    let answer = client.answer(waiting).await;
    assert_eq!(answer["result"]["content"][0]["text"], "sure: true", "{answer}");
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_so() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let task = start(&mut client, "confirm", json!({})).await;
    let asking = until(&mut client, &task, "input_required").await;
    let message = asking["statusMessage"].as_str().unwrap();
    assert!(message.starts_with("asks: Are you sure?"), "{message}");
    assert!(message.contains("has not declared elicitation"), "{message}");
    get(&mut client, &task).await;

    let waiting = client.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    let mut other = connect(&host).await;
    other.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    let request = asked(&mut other).await;
    accept(&mut other, &request).await;
    let answer = client.answer(waiting).await;
    assert_eq!(answer["result"]["content"][0]["text"], "sure: true", "{answer}");
    let asked = client.notifications.iter().any(|told| told["method"] == "elicitation/create");
    assert!(!asked);
}

#[tokio::test]
async fn a_key_finds_the_task_of_a_call_whose_answer_was_lost() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut params = call("nap", json!({"ms": 3_600_000}));
    params["_meta"] = json!({"relight/idempotencyKey": "k"});
    let first = connect(&host).await.request("tools/call", params.clone()).await;
    let again = connect(&host).await.request("tools/call", params).await;
    assert!(first["result"]["task"]["taskId"].is_string(), "{first}");
    assert_eq!(first["result"]["task"]["taskId"], again["result"]["task"]["taskId"]);
}

#[tokio::test]
async fn a_question_of_a_cancelled_task_is_taken_back() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let task = start(&mut client, "confirm", json!({})).await;
    let waiting = client.ask("tasks/result", json!({"taskId": task["taskId"]})).await;
    let request = asked(&mut client).await;
    let cancel = client.request("tasks/cancel", json!({"taskId": task["taskId"]})).await;
    assert_eq!(cancel["result"]["status"], "cancelled", "{cancel}");
    if client.notifications.iter().all(|told| told["id"] != waiting) {
        client.answer(waiting).await;
    }
    assert_eq!(taken_back(&mut client).await, request["id"]);
}

#[tokio::test]
async fn a_question_that_somebody_else_has_settled_is_taken_back_from_a_client_that_does_not_look()
{
    let (_directory, host) = host_that_asks(Options::default()).await;
    let (mut client, mut other) = (connect(&host).await, connect(&host).await);
    let settled = start(&mut client, "confirm", json!({})).await;
    until(&mut client, &settled, "input_required").await;
    get(&mut client, &settled).await;
    let first = asked(&mut client).await;
    let answer = other.request("tasks/cancel", json!({"taskId": settled["taskId"]})).await;
    assert_eq!(answer["result"]["status"], "cancelled", "{answer}");

    let task = start(&mut client, "confirm", json!({})).await;
    until(&mut client, &task, "input_required").await;
    get(&mut client, &task).await;
    let second = asked(&mut client).await;
    assert_ne!(first["id"], second["id"]);
    assert_eq!(taken_back(&mut client).await, first["id"]);
}

#[tokio::test]
async fn tasks_are_listed_page_by_page() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let mut made = Vec::new();
    for _ in 0..relight::limits::TASK_PAGE + 3 {
        let task = start(&mut client, "greet", json!({"name": "Ann"})).await;
        made.push(task["taskId"].clone());
    }
    let first = client.request("tasks/list", json!({})).await["result"].clone();
    let params = json!({"cursor": first["nextCursor"]});
    let second = client.request("tasks/list", params).await["result"].clone();
    assert_eq!(second["nextCursor"], Value::Null, "{second}");
    let ids = |page: &Value| -> Vec<Value> {
        page["tasks"].as_array().unwrap().iter().map(|task| task["taskId"].clone()).collect()
    };
    let mut listed = ids(&first);
    assert_eq!(listed.len(), relight::limits::TASK_PAGE);
    listed.extend(ids(&second));
    made.reverse();
    assert_eq!(listed, made, "newest first");
    for cursor in ["x", UNKNOWN] {
        let answer = client.request("tasks/list", json!({"cursor": cursor})).await;
        assert_eq!(code(&answer), -32602, "{answer}");
    }
}

#[tokio::test]
async fn wrong_params_are_invalid_params() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = connect(&host).await;
    let unknown = json!({"taskId": UNKNOWN});
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        for params in [json!({}), json!({"taskId": 7}), json!({"taskId": "x"}), unknown.clone()] {
            let answer = client.request(method, params.clone()).await;
            assert_eq!(code(&answer), -32602, "{method} {params}: {answer}");
        }
    }
    for params in [
        json!({"task": {}}),
        call("no_such", json!({})),
        call("greet", json!({})),
        json!({"name": "greet", "arguments": {"name": "Ann"}, "task": {"ttl": "long"}}),
    ] {
        let answer = client.request("tools/call", params.clone()).await;
        assert_eq!(code(&answer), -32602, "{params}: {answer}");
    }
}
