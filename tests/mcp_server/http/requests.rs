//! Requests and their answers: sessions, headers, what is taken back, and what is no message.

use axum::http::StatusCode;
use relight::journal::{Status, TaskId};
use relight::limits;
use relight::mcp::server::HttpOptions;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::Site;
use crate::web::{Web, answer};
use crate::wire::{tasks_declared, with_meta};
use crate::{greet, nap_an_hour, only_task};

async fn status_of(site: &Site, task: TaskId) -> Status {
    site.host.store.task(task).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_call_is_answered_with_json_and_its_handle_leads_to_the_result() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let response = web.modern("tools/call", greet(), tasks_declared()).send().await;
    let response = response.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let handle = answer(response).await["result"].clone();
    assert_eq!(handle["resultType"], "task", "{handle}");
    let ended = web.settle(handle["taskId"].as_str().unwrap()).await;
    assert_eq!(ended["result"]["content"][0]["text"], "Hello, Ann!");
}

#[tokio::test]
async fn an_older_client_has_a_session() {
    let site = Site::open(HttpOptions::default()).await;
    let mut web = site.web();
    let result = web.initialize().await;
    assert_eq!(result["result"]["protocolVersion"], "2025-11-25");
    let greeting = answer(web.older("tools/call", &greet()).send().await.unwrap()).await;
    assert_eq!(greeting["result"]["content"][0]["text"], "Hello, Ann!", "{greeting}");

    let closed = web.request(Method::DELETE, "/mcp").send().await.unwrap();
    assert!(closed.status().is_success(), "{}", closed.status());
    let after = web.older("tools/call", &greet()).send().await.unwrap();
    assert_eq!(after.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_call_taken_back_in_a_session_cancels_its_task_and_a_lost_stream_does_not() {
    let site = Site::open(HttpOptions::default()).await;
    let mut web = site.web();
    web.initialize().await;
    let waiting = web.older("tools/call", &nap_an_hour()).send().await.unwrap();
    let task = only_task(&*site.host.store).await;
    drop(waiting);
    let greeting = answer(web.older("tools/call", &greet()).send().await.unwrap()).await;
    assert!(greeting["result"].is_object(), "{greeting}");
    assert_eq!(status_of(&site, task).await, Status::Working);

    // The ids of this client count from 0, and `initialize` was the first.
    web.notify("notifications/cancelled", json!({"requestId": 1})).await;
    site.host.runtime.wait(task).await.unwrap();
    assert_eq!(status_of(&site, task).await, Status::Cancelled);
}

#[tokio::test]
async fn a_broken_stream_takes_a_call_back_unless_it_can_be_issued_again() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let call = |params| {
        let sent = web.modern("tools/call", params, json!({})).send();
        tokio::spawn(async move { sent.await.unwrap().text().await })
    };
    let plain = call(nap_an_hour());
    let task = only_task(&*site.host.store).await;
    plain.abort();
    site.host.runtime.wait(task).await.unwrap();
    assert_eq!(status_of(&site, task).await, Status::Cancelled);
    assert!(site.host.store.remove(task).await.unwrap());

    let mut keyed = nap_an_hour();
    keyed["_meta"] = json!({"relight/idempotencyKey": "again"});
    let plain = call(keyed.clone());
    let task = only_task(&*site.host.store).await;
    plain.abort();
    let handle = web.ask("tools/call", keyed).await;
    assert_eq!(handle["result"]["taskId"], task.to_string(), "{handle}");
    assert_eq!(handle["result"]["status"], "working", "{handle}");
}

#[tokio::test]
async fn only_hosts_and_origins_that_are_allowed_are_served() {
    let options = HttpOptions {
        hosts: vec!["tasks.example".to_owned()],
        origins: vec!["https://app.example:443".to_owned()],
        ..HttpOptions::default()
    };
    let site = Site::open(options).await;
    let web = site.web();
    let local = format!("http://127.0.0.1:{}", site.address.port());
    for (header, value, expected) in [
        ("host", "tasks.example", StatusCode::OK),
        ("host", "localhost", StatusCode::OK),
        ("host", "evil.example", StatusCode::FORBIDDEN),
        ("origin", "https://app.example", StatusCode::OK),
        ("origin", local.as_str(), StatusCode::OK),
        ("origin", "http://127.0.0.1:1", StatusCode::FORBIDDEN),
        ("origin", "https://evil.example", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
    ] {
        let request = web.modern("tools/list", json!({}), json!({})).header(header, value);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected, "{header}: {value}");
        let told = response.text().await.unwrap();
        let names_the_flag = told.contains(&format!("--allow-{header}"));
        assert_eq!(names_the_flag, expected == StatusCode::FORBIDDEN, "{told}");
    }
}

#[tokio::test]
async fn the_end_of_a_session_that_nobody_knows_is_not_taken_for_done() {
    let site = Site::open(HttpOptions::default()).await;
    let mut web = site.web();
    web.initialize().await;
    let end = async || web.request(Method::DELETE, "/mcp").send().await.unwrap().status();
    assert_eq!(end().await, StatusCode::ACCEPTED);
    assert_eq!(end().await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn one_session_too_many_is_refused_until_another_ends() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let mut first = web.clone();
    first.initialize().await;
    for _ in 1..limits::HTTP_SESSIONS {
        web.clone().initialize().await;
    }
    let refused = web.hello().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let told = refused.text().await.unwrap();
    assert!(told.contains("close one") && told.contains("2026-07-28"), "{told}");
    first.request(Method::DELETE, "/mcp").send().await.unwrap();
    web.clone().initialize().await;
}

#[tokio::test]
async fn what_is_no_message_is_told_so() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    for (body, code) in
        [("{", -32700), ("\u{0}", -32700), ("[]", -32600), ("{\"id\":7}", -32600), ("7", -32600)]
    {
        let response = web.post(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let message: Value = response.json().await.unwrap();
        assert_eq!(message["error"]["code"], code, "{body}: {message}");
    }
    let huge = vec![b' '; relight::limits::HTTP_BODY_MAX_BYTES + 1];
    let response = web.post(huge).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_request_with_params_that_are_no_object_has_its_answer() {
    let site = Site::open(HttpOptions::default()).await;
    let mut web = site.web();
    web.initialize().await;
    for (method, params) in [("ping", json!([1])), ("tasks/get", json!("x")), ("x/y", json!(7))] {
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let response = web.post(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{method}");
        let message: Value = response.json().await.unwrap();
        assert_eq!((&message["id"], &message["error"]["code"]), (&json!(7), &json!(-32600)));
        assert!(message["error"]["message"].as_str().unwrap().contains("params"), "{message}");
    }
}

/// Of protocol 2026-07-28, with these headers only.
async fn with_headers(web: &Web, method: &str, params: Value, name: Option<&str>) -> Value {
    let params = with_meta(params, tasks_declared());
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request = web
        .post(body.to_string())
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    answer(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_request_about_a_task_need_not_name_it_in_a_header_and_a_call_must() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let unnamed = with_headers(&web, "tools/call", nap_an_hour(), None).await;
    assert_eq!(unnamed["error"]["code"], -32020, "{unnamed}");
    let handle = with_headers(&web, "tools/call", nap_an_hour(), Some("nap")).await;
    let task = json!({"taskId": handle["result"]["taskId"]});
    let shown = with_headers(&web, "tasks/get", task.clone(), None).await;
    assert_eq!(shown["result"]["status"], "working", "{shown}");
    let wrong = with_headers(&web, "tasks/get", task.clone(), Some("another")).await;
    assert_eq!(wrong["error"]["code"], -32020, "{wrong}");
    let mut answers = task.clone();
    answers["inputResponses"] = json!({});
    for (method, params) in [("tasks/update", answers), ("tasks/cancel", task)] {
        let done = with_headers(&web, method, params, None).await;
        assert!(done["result"].is_object(), "{method}: {done}");
    }
    let strange = json!({"taskId": "a\nb"});
    let refused = with_headers(&web, "tasks/get", strange, None).await;
    assert_eq!(refused["error"]["code"], -32020, "{refused}");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let site = Site::open(HttpOptions::default()).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let long = "x".repeat(relight::limits::HTTP_HEADER_MAX_BYTES);
    let head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-long: {long}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}
