//! The server over Streamable HTTP, by its wire: who is let in, whose a task is, and how it stops.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use relight::journal::{Filter, Status, TaskId};
use relight::mcp::server::{HttpError, HttpOptions, HttpServer, Identify, Owner, Refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Host;
use crate::site::Site;
use crate::web::{Web, answer};
use crate::wire::{tasks_declared, with_meta};

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

fn nap_an_hour() -> Value {
    call("nap", json!({"ms": 3_600_000}))
}

fn greet() -> Value {
    call("greet", json!({"name": "Ann"}))
}

/// The only task of the journal, once it is there.
async fn only_task(site: &Site) -> TaskId {
    loop {
        let filter = Filter { limit: 2, ..Filter::default() };
        if let [task] = site.host.store.tasks(filter).await.unwrap().as_slice() {
            return task.id;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

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
    let task = only_task(&site).await;
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
    let task = only_task(&site).await;
    plain.abort();
    site.host.runtime.wait(task).await.unwrap();
    assert_eq!(status_of(&site, task).await, Status::Cancelled);
    assert!(site.host.store.remove(task).await.unwrap());

    let mut keyed = nap_an_hour();
    keyed["_meta"] = json!({"relight/idempotencyKey": "again"});
    let plain = call(keyed.clone());
    let task = only_task(&site).await;
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
    }
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

#[tokio::test]
async fn others_are_not_served_without_being_asked_who_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::open(directory.path()).await;
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let bound = HttpServer::bind(&host.server, everywhere, HttpOptions::default()).await;
    let Err(error @ HttpError::Unauthenticated { .. }) = bound else { panic!("it listens") };
    assert!(error.to_string().contains("--allow-unauthenticated"), "{error}");
    for options in [
        HttpOptions { allow_unauthenticated: true, ..HttpOptions::default() },
        HttpOptions { identify: Some(Arc::new(ByHeader)), ..HttpOptions::default() },
    ] {
        assert!(HttpServer::bind(&host.server, everywhere, options).await.is_ok());
    }
}

#[tokio::test]
async fn it_is_ready_while_the_journal_is_and_up_whatever_happens() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let get = async |path: &str| web.request(Method::GET, path).send().await.unwrap().status();
    assert_eq!(get("/readyz").await, StatusCode::OK);
    assert_eq!(get("/healthz").await, StatusCode::OK);

    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    site.host.store.close().await;
    let response = web.request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let response = web.request(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// Reads half of a request and waits, so that the server has something to wait for.
async fn half_a_request(site: &Site) -> TcpStream {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_stop_refuses_what_is_new_and_leaves_tasks_to_go_on() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let waiting = web.modern("tools/call", nap_an_hour(), json!({})).send();
    let waiting = tokio::spawn(async move { answer(waiting.await.unwrap()).await });
    let task = only_task(&site).await;
    let half = half_a_request(&site).await;
    // Another request on the same connections has been answered, so the half one has been read.
    assert_eq!(web.request(Method::GET, "/readyz").send().await.unwrap().status(), 200);
    site.stop.cancel();
    let told = waiting.await.unwrap();
    assert!(told["error"]["message"].as_str().unwrap().contains(&task.to_string()), "{told}");

    let other = site.web();
    let refused = other.modern("tools/list", json!({}), json!({})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready = other.request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let bound = relight::limits::HTTP_DRAIN_MS + relight::limits::HTTP_CLOSE_MS;
    let bound = Duration::from_millis(bound + 2_000);
    tokio::time::timeout(bound, site.serving).await.expect("it goes on").unwrap();
    drop(half);

    let kept = site.host.store.task(task).await.unwrap().unwrap();
    assert!(!kept.cancel_requested && kept.status == Status::Working, "{kept:?}");
}

/// Takes a header's word for it.
struct ByHeader;

#[async_trait]
impl Identify for ByHeader {
    async fn owner(&self, head: &Parts) -> Result<Owner, Refusal> {
        match head.headers.get("x-owner").and_then(|name| name.to_str().ok()) {
            Some(name) => Ok(Owner(Some(name.to_owned()))),
            None => Err((StatusCode::UNAUTHORIZED, "who are you?").into_response()),
        }
    }
}

async fn owned() -> (Site, Web, Web) {
    let options = HttpOptions { identify: Some(Arc::new(ByHeader)), ..HttpOptions::default() };
    let site = Site::open(options).await;
    let (mut ann, mut bob) = (site.web(), site.web());
    ann.owner = Some("ann");
    bob.owner = Some("bob");
    (site, ann, bob)
}

#[tokio::test]
async fn a_request_of_nobody_is_refused() {
    let (site, _, _) = owned().await;
    let response = site.web().modern("tools/list", json!({}), json!({})).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn to_others_a_task_does_not_exist() {
    let (site, ann, bob) = owned().await;
    let handle = ann.ask("tools/call", nap_an_hour()).await["result"].clone();
    let id = handle["taskId"].as_str().unwrap();
    let unknown = "0".repeat(32);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let ask = async |task: &str| {
            let params = json!({"taskId": task, "inputResponses": {}});
            bob.ask(method, params).await["error"].clone()
        };
        let (others, none) = (ask(id).await, ask(&unknown).await);
        assert_eq!(others["code"], -32602, "{method}: {others}");
        assert_eq!(others.to_string().replace(id, &unknown), none.to_string(), "{method}");
    }
    let task = only_task(&site).await;
    assert!(!site.host.store.task(task).await.unwrap().unwrap().cancel_requested);
    let own = ann.ask("tasks/get", json!({"taskId": id})).await;
    assert_eq!(own["result"]["status"], "working", "{own}");
}

#[tokio::test]
async fn an_idempotency_key_is_its_owners() {
    let (_site, ann, bob) = owned().await;
    let mut params = greet();
    params["_meta"] = json!({"relight/idempotencyKey": "k"});
    let first = ann.ask("tools/call", params.clone()).await["result"]["taskId"].clone();
    let again = ann.ask("tools/call", params.clone()).await["result"]["taskId"].clone();
    let others = bob.ask("tools/call", params).await["result"]["taskId"].clone();
    assert!(first.is_string());
    assert_eq!(first, again);
    assert_ne!(first, others);
}

#[tokio::test]
async fn a_session_is_its_owners() {
    let (_site, mut ann, mut bob) = owned().await;
    ann.initialize().await;
    bob.session = ann.session.clone();
    let others = bob.older("tools/list", &json!({})).send().await.unwrap();
    assert_eq!(others.status(), StatusCode::NOT_FOUND);
    let closed = bob.request(Method::DELETE, "/mcp").send().await.unwrap();
    assert_eq!(closed.status(), StatusCode::NOT_FOUND);
    let own = answer(ann.older("tools/list", &json!({})).send().await.unwrap()).await;
    assert!(own["result"]["tools"].is_array(), "{own}");
}
