//! The server by its wire: lines of JSON in and out, in both lifecycles.

use std::time::{Duration, Instant};

use relight::durable::Runtime;
use relight::journal::{Signal, Status, TaskId};
use relight::mcp::server::{Error, Options, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::asking;
use crate::client::{Client, Host, tool};
use crate::wire::{tasks_declared, with_meta};

const PATIENCE: Duration = Duration::from_secs(20);

async fn host() -> (TempDir, Host) {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::open(directory.path()).await;
    (directory, host)
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

fn said(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {answer}"))
}

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
async fn discover_shows_the_extension_and_no_older_tasks() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let answer = client.modern("server/discover", json!({})).await;
    let capabilities = &answer["result"]["capabilities"];
    assert_eq!(capabilities["extensions"], json!({"io.modelcontextprotocol/tasks": {}}));
    assert_eq!(capabilities["tasks"], Value::Null);
    let versions = answer["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{versions:?}");
}

#[tokio::test]
async fn initialize_negotiates_an_older_protocol_and_hides_the_extension() {
    let (_directory, host) = host().await;
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2031-01-01", "2025-11-25"),
    ] {
        let answer = host.connect().initialize(asked, tasks_declared()).await;
        let result = &answer["result"];
        assert_eq!(result["protocolVersion"], agreed);
        assert_eq!(result["serverInfo"]["name"], "relight");
        assert!(result["capabilities"]["tools"].is_object(), "{result}");
        assert_eq!(result["capabilities"]["extensions"], Value::Null);
    }
}

#[tokio::test]
async fn tools_are_listed_with_their_schemas() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let modern = client.modern("tools/list", json!({})).await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let older = client.request("tools/list", json!({})).await;
    for (answer, followers) in [(modern, 0), (older, 4)] {
        let tools = answer["result"]["tools"].as_array().unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names[..3], ["greet", "nap", "break"]);
        assert_eq!(names.len(), 3 + followers, "{names:?}");
        assert_eq!(tools[0]["inputSchema"]["required"], json!(["name"]));
        assert_eq!(tools[0]["description"], "The fixture greet.");
    }
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
async fn a_client_without_the_extension_gets_the_result_itself() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let greet = call("greet", json!({"name": "Ann"}));
    let answer = client.request("tools/call", with_meta(greet.clone(), json!({}))).await;
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(answer["result"]["content"][0]["text"], "Hello, Ann!");

    // An older session has no extension, whatever its client declares.
    for version in ["2024-11-05", "2025-11-25"] {
        let mut client = host.connect();
        client.initialize(version, tasks_declared()).await;
        let answer = client.request("tools/call", greet.clone()).await;
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

/// The only task of the journal, once it is there.
async fn only_task(host: &Host) -> TaskId {
    loop {
        let filter = relight::journal::Filter { limit: 2, ..Default::default() };
        if let [task] = host.store.tasks(filter).await.unwrap().as_slice() {
            return task.id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_plain_call_taken_back_cancels_its_task() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let request = client.ask("tools/call", call("nap", json!({"ms": 3_600_000}))).await;
    let task = only_task(&host).await;
    let params = json!({"requestId": request, "reason": "changed my mind"});
    let cancelled =
        json!({"method": "notifications/cancelled", "params": params, "jsonrpc": "2.0"});
    client.send(&cancelled).await;
    host.runtime.wait(task).await.unwrap();
    assert_eq!(host.store.task(task).await.unwrap().unwrap().status, Status::Cancelled);
    let greeting = client.request("tools/call", call("greet", json!({"name": "Ann"}))).await;
    assert_eq!(greeting["result"]["content"][0]["text"], "Hello, Ann!", "the server stays up");
}

#[tokio::test]
async fn a_plain_call_whose_client_goes_away_goes_on() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    client.ask("tools/call", call("nap", json!({"ms": 3_600_000}))).await;
    let task = only_task(&host).await;
    client.leave().await;
    assert!(!host.store.task(task).await.unwrap().unwrap().cancel_requested);
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
    let directory = tempfile::tempdir().unwrap();
    let host = asking::open(directory.path(), Options::default()).await;
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
async fn wrong_calls_are_invalid_params_with_the_schemas_complaint() {
    let (_directory, host) = host().await;
    let mut modern = host.connect();
    let mut older = host.connect();
    older.initialize("2025-11-25", json!({})).await;
    for (params, part) in [
        (call("no_such", json!({})), "unknown tool \"no_such\"; there are: greet, nap, break"),
        (call("greet", json!({})), "\"name\" is a required property"),
        (call("greet", json!({"name": 7})), "/name: 7 is not of type \"string\""),
        (call("greet", json!({"name": "Ann", "age": 7})), "'age' was unexpected"),
        (json!({"name": "greet"}), "\"name\" is a required property"),
        (json!({"arguments": {}}), "the params of tools/call: missing field `name`"),
        (json!({"name": "greet", "arguments": [1]}), "the params of tools/call"),
    ] {
        let answers = [
            modern.modern("tools/call", params.clone()).await,
            older.request("tools/call", params.clone()).await,
        ];
        for answer in answers {
            assert_eq!(code(&answer), -32602, "{params}: {answer}");
            assert!(said(&answer).contains(part), "{params}: {answer}");
        }
    }
    let none = relight::journal::Filter { limit: 1, ..Default::default() };
    assert!(host.store.tasks(none).await.unwrap().is_empty(), "no task was made of them");
}

#[tokio::test]
async fn an_unknown_task_is_invalid_params() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let unknown = "00000000000000000000000000000001";
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({"taskId": unknown, "inputResponses": {}});
        let answer = client.modern(method, params).await;
        assert_eq!(code(&answer), -32602, "{method}: {answer}");
        assert!(said(&answer).contains(unknown), "{method}: {answer}");
        let answer = client.modern(method, json!({"taskId": "x", "inputResponses": {}})).await;
        assert_eq!(code(&answer), -32602, "{method}: {answer}");
        assert!(said(&answer).contains("is not a task id"), "{method}: {answer}");
        let answer = client.modern(method, json!({})).await;
        assert_eq!(code(&answer), -32602, "{method}: {answer}");
    }
}

#[tokio::test]
async fn what_the_extension_does_not_have_is_no_method() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    for method in ["tasks/result", "tasks/list", "no/such"] {
        let answer = client.modern(method, json!({"taskId": "x"})).await;
        assert_eq!(code(&answer), -32601, "{answer}");
    }
    // A field of the older dialect means nothing here.
    let mut params = call("greet", json!({"name": "Ann"}));
    params["task"] = json!({"ttl": 1000});
    let answer = client.request("tools/call", with_meta(params, json!({}))).await;
    assert_eq!(answer["result"]["content"][0]["text"], "Hello, Ann!", "{answer}");
}

#[tokio::test]
async fn a_request_about_tasks_must_declare_the_extension() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let params = with_meta(json!({"taskId": "x"}), json!({}));
    let answer = client.request("tasks/get", params).await;
    assert_eq!(code(&answer), -32021, "{answer}");
    assert_eq!(answer["error"]["data"], json!({"requiredCapabilities": tasks_declared()}));
}

#[tokio::test]
async fn lines_that_are_no_message_are_answered_and_survived() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    for before_and_after_the_handshake in 0..2 {
        for (line, expected) in
            [("{\"jsonrpc\":", -32700), ("hello", -32700), ("[]", -32600), ("7", -32600)]
        {
            client.send_line(line).await;
            let answer = client.receive().await;
            assert_eq!(code(&answer), expected, "{line}: {answer}");
        }
        client.send_line("{\"id\":5}").await;
        let answer = client.receive().await;
        assert_eq!((code(&answer), &answer["id"]), (-32600, &json!(5)), "{answer}");
        client.send_line("").await;
        client.send_line("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/no_such\"}").await;
        client.send_line("{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}").await;
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        if before_and_after_the_handshake == 0 {
            let answer = client.request("initialize", params).await;
            assert_eq!(code(&answer), -32602, "{answer}");
            client.initialize("2025-11-25", json!({})).await;
        }
        let answer = client.request("tools/list", json!({})).await;
        assert!(answer["result"]["tools"].is_array(), "{answer}");
    }
}

#[tokio::test]
async fn a_journal_that_fails_is_an_internal_error_and_the_server_stays_up() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    host.store.close().await;
    let greet = call("greet", json!({"name": "Ann"}));
    let answer = client.modern("tools/call", greet).await;
    assert_eq!(code(&answer), -32603);
    assert!(said(&answer).contains("journal is closed"), "{answer}");
    let answer = client.modern("tools/list", json!({})).await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
}

#[tokio::test]
async fn a_stopped_server_says_so_to_those_who_wait() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let request = client.ask("tools/call", call("nap", json!({"ms": 3_600_000}))).await;
    let task = only_task(&host).await;
    client.stop.cancel();
    let answer = client.answer(request).await;
    assert_eq!(code(&answer), -32603);
    assert!(said(&answer).contains(&task.to_string()), "{answer}");
    client.ended().await;
    assert!(!host.store.task(task).await.unwrap().unwrap().cancel_requested);
}

#[tokio::test]
async fn a_server_refuses_tools_that_cannot_be_served() {
    let (_directory, host) = host().await;
    let serve = |tools| {
        let runtime: Runtime = host.runtime.clone();
        Server::new(runtime, tools, Options::default()).err().unwrap()
    };
    let object = json!({"type": "object"});
    let twice = serve(vec![tool("a", object.clone()), tool("a", object)]);
    assert!(matches!(twice, Error::SameName { name } if name == "a"));
    for schema in [json!({"type": "no_such_type"}), json!("x")] {
        let bad = serve(vec![tool("a", schema)]);
        assert!(matches!(&bad, Error::Schema { tool, .. } if tool == "a"), "{bad}");
    }
}
