//! Calls that wait for their result: those of clients without any Tasks.

use relight::journal::Status;
use serde_json::{Value, json};

use crate::wire::{tasks_declared, with_meta};
use crate::{call, code, greet, host, nap_an_hour, only_task, said};

#[tokio::test]
async fn a_client_without_the_extension_gets_the_result_itself() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let answer = client.request("tools/call", with_meta(greet(), json!({}))).await;
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(answer["result"]["content"][0]["text"], "Hello, Ann!");

    // An older session has no extension, whatever its client declares.
    for version in ["2024-11-05", "2025-11-25"] {
        let mut client = host.connect();
        client.initialize(version, tasks_declared()).await;
        let answer = client.request("tools/call", greet()).await;
        assert_eq!(answer["result"]["content"][0]["text"], "Hello, Ann!", "{answer}");
        assert_eq!(answer["result"]["resultType"], Value::Null);
        assert_eq!(answer["result"]["taskId"], Value::Null);
        let broken = client.request("tools/call", call("break", json!({}))).await;
        assert_eq!(broken["result"]["isError"], true);
        let failed = client.request("tools/call", call("break", json!({"code": -32050}))).await;
        assert_eq!(failed["error"], json!({"code": -32050, "message": "out of paper"}));
    }
}

#[tokio::test]
async fn a_plain_call_tells_its_progress_where_it_is_asked_to() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let mut params = call("nap", json!({"ms": 300}));
    params["_meta"] = json!({"progressToken": "p"});
    let answer = client.request("tools/call", params).await;
    assert_eq!(answer["result"]["structuredContent"], json!({"slept_ms": 300}));
    let told = &client.notifications;
    assert!(told.iter().all(|n| n["method"] == "notifications/progress"), "{told:?}");
    assert!(told.iter().all(|n| n["params"]["progressToken"] == "p"), "{told:?}");
    assert_eq!(told.last().unwrap()["params"]["message"], "asleep");
    let numbers: Vec<_> = told.iter().map(|n| n["params"]["progress"].as_f64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");

    client.notifications.clear();
    client.request("tools/call", call("nap", json!({"ms": 50}))).await;
    assert_eq!(client.notifications, [Value::Null; 0], "nobody asked for progress");
}

#[tokio::test]
async fn a_plain_call_taken_back_cancels_its_task() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let request = client.ask("tools/call", nap_an_hour()).await;
    let task = only_task(&*host.store).await;
    let params = json!({"requestId": request, "reason": "changed my mind"});
    let cancelled =
        json!({"method": "notifications/cancelled", "params": params, "jsonrpc": "2.0"});
    client.send(&cancelled).await;
    host.runtime.wait(task).await.unwrap();
    assert_eq!(host.store.task(task).await.unwrap().unwrap().status, Status::Cancelled);
    let greeting = client.request("tools/call", greet()).await;
    assert_eq!(greeting["result"]["content"][0]["text"], "Hello, Ann!", "the server stays up");
}

#[tokio::test]
async fn a_plain_call_whose_client_goes_away_goes_on() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    client.ask("tools/call", nap_an_hour()).await;
    let task = only_task(&*host.store).await;
    client.leave().await;
    assert!(!host.store.task(task).await.unwrap().unwrap().cancel_requested);
}

#[tokio::test]
async fn a_stopped_server_says_so_to_those_who_wait() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let request = client.ask("tools/call", nap_an_hour()).await;
    let task = only_task(&*host.store).await;
    client.stop.cancel();
    let answer = client.answer(request).await;
    assert_eq!(code(&answer), -32603);
    assert!(said(&answer).contains(&task.to_string()), "{answer}");
    client.ended().await;
    assert!(!host.store.task(task).await.unwrap().unwrap().cancel_requested);
}
