//! What a client does wrong, and a journal that fails: each gets its error, and the server stays up.

use serde_json::json;

use crate::wire::{tasks_declared, with_meta};
use crate::{UNKNOWN, call, code, greet, host, said};

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
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({"taskId": UNKNOWN, "inputResponses": {}});
        let answer = client.modern(method, params).await;
        assert_eq!(code(&answer), -32602, "{method}: {answer}");
        assert!(said(&answer).contains(UNKNOWN), "{method}: {answer}");
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
    let mut params = greet();
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
    let answer = client.modern("tools/call", greet()).await;
    assert_eq!(code(&answer), -32603);
    assert!(said(&answer).contains("journal is closed"), "{answer}");
    let answer = client.modern("tools/list", json!({})).await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
}
