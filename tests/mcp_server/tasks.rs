//! The Tasks of protocol 2026-07-28: handles, what they lead to, and how a task is steered by them.

use std::time::{Duration, Instant};

use relight::journal::{Event, Failure, FailureKind, Signal, TaskId};
use relight::mcp::server::Options;
use serde_json::{Value, json};

use crate::client::{Client, Host};
use crate::journal::{AGENT, T0, leased, new_task, record, runner, task_completed, task_id};
use crate::{call, code, host, host_that_asks, said};

const PATIENCE: Duration = Duration::from_secs(20);

fn id(result: &Value) -> TaskId {
    result["taskId"].as_str().unwrap().parse().unwrap()
}

/// Starts a task and returns its handle.
async fn start(client: &mut Client, tool: &str, arguments: Value) -> Value {
    let answer = client.modern("tools/call", call(tool, arguments)).await;
    assert_eq!(answer["result"]["resultType"], "task", "{answer}");
    answer["result"].clone()
}

#[tokio::test]
async fn a_call_is_answered_with_a_handle_that_leads_to_the_result() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let handle = start(&mut client, "greet", json!({"name": "Ann"})).await;
    assert!(host.store.task(id(&handle)).await.unwrap().is_some(), "the task is committed");
    assert!(handle["createdAt"].as_str().unwrap().ends_with('Z'), "{handle}");
    assert!(handle["ttlMs"].as_u64().unwrap() > 0);
    assert!(handle["pollIntervalMs"].as_u64().unwrap() > 0);
    assert!(handle["statusMessage"].is_string());

    let ended = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["resultType"], "complete");
    assert_eq!(ended["status"], "completed");
    assert_eq!(ended["result"]["content"], json!([{"type": "text", "text": "Hello, Ann!"}]));
    assert_eq!(ended["result"]["isError"], false);
    assert!(ended["statusMessage"].is_string());
}

#[tokio::test]
async fn an_object_is_structured_content() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let handle = start(&mut client, "nap", json!({"ms": 1})).await;
    let ended = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["result"]["structuredContent"], json!({"slept_ms": 1}));
    assert_eq!(ended["result"]["content"][0]["text"], r#"{"slept_ms":1}"#);
}

#[tokio::test]
async fn a_working_task_says_what_it_is_at() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let handle = start(&mut client, "nap", json!({"ms": 3_600_000})).await;
    loop {
        let answer = client.modern("tasks/get", json!({"taskId": handle["taskId"]})).await;
        assert_eq!(answer["result"]["status"], "working");
        if answer["result"]["statusMessage"] == "asleep" {
            break;
        }
    }
}

#[tokio::test]
async fn a_failure_without_a_code_is_a_result_and_one_with_a_code_an_error() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let handle = start(&mut client, "break", json!({})).await;
    let ended = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "completed");
    assert_eq!(ended["result"]["isError"], true);
    assert_eq!(ended["result"]["content"][0]["text"], "out of paper");
    assert_eq!(ended["statusMessage"], "failed: out of paper");

    let handle = start(&mut client, "break", json!({"code": -32050})).await;
    let ended = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "failed");
    assert_eq!(ended["error"], json!({"code": -32050, "message": "out of paper"}));
    assert_eq!(ended["statusMessage"], "out of paper");
}

#[tokio::test]
async fn cancelling_is_acknowledged_again_and_again() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let handle = start(&mut client, "nap", json!({"ms": 3_600_000})).await;
    let task = json!({"taskId": handle["taskId"]});
    let first = client.modern("tasks/cancel", task.clone()).await;
    assert_eq!(first["result"], json!({"resultType": "complete"}), "{first}");
    let ended = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "cancelled");
    assert!(ended["statusMessage"].is_string(), "{ended}");
    let again = client.modern("tasks/cancel", task).await;
    assert_eq!(again["result"], first["result"]);
}

#[tokio::test]
async fn a_question_is_shown_and_its_answer_reaches_the_task() {
    let (_directory, host) = host_that_asks(Options::default()).await;
    let mut client = host.connect();
    let handle = start(&mut client, "confirm", json!({})).await;
    let asking = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(asking["status"], "input_required", "{asking}");
    let request = &asking["inputRequests"]["confirm"];
    assert_eq!(request["method"], "elicitation/create");
    assert_eq!(request["params"]["message"], "Are you sure?");

    let update = |answers: Value| json!({"taskId": handle["taskId"], "inputResponses": answers});
    for wrong in [json!({"action": "perhaps"}), json!({"action": "accept", "content": {}})] {
        let answer = client.modern("tasks/update", update(json!({"confirm": wrong}))).await;
        assert_eq!(code(&answer), -32602, "{answer}");
    }
    let answers = json!({
        "confirm": {"action": "accept", "content": {"sure": true}},
        "nobody asked": {"action": "decline"},
    });
    let answer = client.modern("tasks/update", update(answers)).await;
    assert_eq!(answer["result"], json!({"resultType": "complete"}), "{answer}");
    let (signals, _) = host.store.signals(id(&handle)).await.unwrap();
    assert!(matches!(&signals[..], [Signal::Answer { key, .. }] if key == "confirm"));
    let ended = client.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["result"]["content"][0]["text"], "sure: true", "{ended}");
}

#[tokio::test]
async fn a_key_finds_the_task_of_a_call_whose_answer_was_lost() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let keyed = |name: &str, key: Value| {
        let mut params = call("greet", json!({"name": name}));
        params["_meta"] = json!({"relight/idempotencyKey": key});
        params
    };
    let first = client.modern("tools/call", keyed("Ann", json!("k"))).await;
    let again = client.modern("tools/call", keyed("Ann", json!("k"))).await;
    assert_eq!(first["result"]["taskId"], again["result"]["taskId"]);
    let other = client.modern("tools/call", keyed("Bob", json!("k"))).await;
    assert_eq!(code(&other), -32602);
    assert!(said(&other).contains("use a new key"), "{other}");
    let bad = client.modern("tools/call", keyed("Ann", json!(7))).await;
    assert_eq!(code(&bad), -32602);
}

#[tokio::test]
async fn a_handle_is_good_in_another_process() {
    let (directory, first) = host().await;
    let mut client = first.connect();
    let handle = start(&mut client, "nap", json!({"ms": 100})).await;
    client.leave().await;
    first.runtime.shutdown().await;
    first.store.close().await;

    let second = Host::open(directory.path()).await;
    let ended = second.connect().settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "completed", "{ended}");
}

#[tokio::test]
async fn a_look_again_shows_what_another_process_has_done_since() {
    let (directory, here) = host().await;
    let there = Host::open(directory.path()).await;
    let (mut one, mut other) = (here.connect(), there.connect());
    let handle = start(&mut one, "nap", json!({"ms": 3_600_000})).await;
    let task = json!({"taskId": handle["taskId"]});
    let shown = one.modern("tasks/get", task.clone()).await;
    assert_eq!(shown["result"]["status"], "working", "{shown}");
    other.modern("tasks/cancel", task.clone()).await;
    let id = handle["taskId"].as_str().unwrap();
    assert_eq!(one.settle(id).await["status"], "cancelled");

    // It looks the same from the second look on, until it is removed.
    let ended = one.modern("tasks/get", task.clone()).await["result"].clone();
    assert_eq!(one.modern("tasks/get", task.clone()).await["result"], ended);
    assert!(there.store.remove(id.parse().unwrap()).await.unwrap());
    let since = Instant::now();
    while one.modern("tasks/get", task.clone()).await["error"]["code"] != -32602 {
        assert!(since.elapsed() < PATIENCE, "a task that is removed is still shown");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_stopped_task_that_was_set_going_again_is_shown_as_it_ended_then() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let task = task_id(1).to_string();
    let lease = leased(&*host.store, new_task(1), runner(1)).await;
    let failure = Failure::new(FailureKind::Mismatch, "the code changed");
    let stopped = vec![record(1, Event::TaskStopped { failure })];
    host.store.append(&lease, stopped, None).await.unwrap();
    assert_eq!(client.settle(&task).await["status"], "failed");

    let resumed = vec![record(2, Event::TaskResumed {})];
    assert!(host.store.resume(task_id(1), resumed).await.unwrap());
    let claimed = host.store.claim(runner(2), &[AGENT.to_owned()], T0, 1).await.unwrap();
    host.store.append(&claimed[0], vec![task_completed(3)], None).await.unwrap();
    assert_eq!(client.settle(&task).await["status"], "completed");
}
