//! The toolbox over Streamable HTTP: a small server on 127.0.0.1 that answers as it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use relight::agent::{
    Called, Invocation, RemoteTask, ServerConfig, Servers, TaskDialect, TaskNews, ToolOutput,
    Toolbox,
};
use relight::durable::Look;
use relight::journal::{Failure, FailureKind, Payload};
use relight::limits::SERVER_CONNECT_MS;
use relight::mcp::client::Downstream;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What the server has read: headers and body of each request.
type Read = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

struct Site {
    servers: Servers,
    read: Read,
}

impl Site {
    /// A server that shakes hands, and whose other answers are made by `answer` of the method.
    async fn new(answer: fn(&str, &Value) -> Response) -> Self {
        let read = Read::default();
        let seen = Arc::clone(&read);
        let handler = async move |headers: HeaderMap, body: axum::Json<Value>| {
            let method = body["method"].as_str().unwrap_or_default().to_owned();
            seen.lock().unwrap().push((headers, body.0.clone()));
            if body.get("id").is_none() {
                return StatusCode::ACCEPTED.into_response();
            }
            answer(&method, &body)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let app = Router::new().route("/mcp", post(handler));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { servers: servers(&url), read }
    }

    async fn call(&self, tools: &Downstream) -> Result<ToolOutput, Failure> {
        call(&self.servers, tools).await
    }
}

fn servers(url: &str) -> Servers {
    let headers =
        BTreeMap::from([("Authorization".to_owned(), "Bearer ${TOKEN:-none}".to_owned())]);
    Servers::from([("web".to_owned(), ServerConfig::Http { url: url.to_owned(), headers })])
}

async fn call(servers: &Servers, tools: &Downstream) -> Result<ToolOutput, Failure> {
    let arguments = Payload::of(&json!({"n": 1})).unwrap();
    let (server, tool) = ("web", "add");
    let call = Invocation {
        servers,
        server,
        tool,
        arguments: &arguments,
        idempotency_key: "t/s",
        as_task: false,
        answers: None,
    };
    tools.call(call).await?.output()
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn result(request: &Value, result: &Value) -> Response {
    axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response()
}

fn shake_hands(request: &Value) -> Response {
    let server = json!({"name": "web", "version": "1"});
    let capabilities = json!({"tools": {}});
    result(
        request,
        &json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": server}),
    )
}

/// Shakes hands, and answers a call with `answer`.
macro_rules! site {
    (|$request:ident| $answer:expr) => {
        Site::new(|method, $request| match method {
            "initialize" => shake_hands($request),
            _ => $answer,
        })
        .await
    };
}

/// Has a task that has ended with this status, and no result of it.
macro_rules! ended_task {
    ($status:literal) => {
        Site::new(|method, request| match method {
            "initialize" => shake_hands(request),
            "tasks/get" => result(request, &json!({"taskId": "t1", "status": $status})),
            _ => {
                let error = json!({"code": -32603, "message": "swept up"});
                axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
                    .into_response()
            }
        })
        .await
    };
}

#[tokio::test]
async fn a_call_carries_its_headers_and_its_key() {
    let site = site!(|request| {
        result(request, &json!({"content": [{"type": "text", "text": "two"}]}))
    });
    let tools = Downstream::new(|name: &str| (name == "TOKEN").then(|| "s3cret".to_owned()));
    assert_eq!(site.call(&tools).await.unwrap().text, "two");
    let read = site.read.lock().unwrap();
    assert!(read.iter().all(|(headers, _)| headers["authorization"] == "Bearer s3cret"));
    let (_, called) = read.iter().find(|(_, body)| body["method"] == "tools/call").unwrap();
    assert_eq!(called["params"]["_meta"]["relight/idempotencyKey"], "t/s");
    assert_eq!(called["params"]["arguments"], json!({"n": 1}));
}

#[tokio::test]
async fn a_server_without_initialize_is_asked_in_the_newer_way() {
    let site = Site::new(|method, request| match method {
        "initialize" => {
            let error = json!({"code": -32601, "message": "no such method"});
            axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
                .into_response()
        }
        "server/discover" => result(
            request,
            &json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "ttlMs": 0,
                "cacheScope": "private",
            }),
        ),
        _ => result(
            request,
            &json!({"resultType": "complete", "content": [{"type": "text", "text": "two"}]}),
        ),
    })
    .await;
    assert_eq!(site.call(&Downstream::new(no_env)).await.unwrap().text, "two");
}

/// A server of the older Tasks whose answers are plain JSON, so that its declarations are not seen.
#[tokio::test]
async fn a_tool_that_must_be_a_task_is_called_as_one_where_its_server_says_so() {
    let site = Site::new(|method, request| match method {
        "initialize" => shake_hands(request),
        "tools/call" if request["params"]["task"].is_object() => {
            let task =
                json!({"taskId": "t1", "status": "working", "ttl": null, "pollInterval": 20});
            result(request, &json!({"task": task}))
        }
        "tasks/get" => result(request, &json!({"taskId": "t1", "status": "completed"})),
        "tasks/result" => result(request, &json!({"content": [{"type": "text", "text": "two"}]})),
        _ => {
            let error = json!({"code": -32601, "message": "not so"});
            axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
                .into_response()
        }
    })
    .await;
    let tools = Downstream::new(no_env);
    let arguments = Payload::of(&json!({"n": 1})).unwrap();
    let call = Invocation {
        servers: &site.servers,
        server: "web",
        tool: "add",
        arguments: &arguments,
        idempotency_key: "t/s",
        as_task: false,
        answers: None,
    };
    let Called::Task { task } = tools.call(call).await.unwrap() else { panic!("no task") };
    assert_eq!((task.id.as_str(), task.dialect), ("t1", TaskDialect::Experimental));
    assert_eq!(task.poll_interval_ms, Some(20));
    let output = ToolOutput { text: "two".to_owned(), ..ToolOutput::default() };
    let looked = tools.look(&site.servers, &task, &[]).await.unwrap();
    assert_eq!(looked, Look::Done(TaskNews::Output(output)));
}

#[tokio::test]
async fn a_task_that_the_server_does_not_know_is_lost() {
    let site = site!(|request| {
        let error = json!({"code": -32602, "message": "no such task"});
        axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).into_response()
    });
    let task = |dialect| RemoteTask {
        server: "web".to_owned(),
        id: "t1".to_owned(),
        dialect,
        poll_interval_ms: None,
        ttl_ms: None,
        session: None,
    };
    let tools = Downstream::new(no_env);
    for dialect in [TaskDialect::Extension, TaskDialect::Experimental] {
        let looked = tools.look(&site.servers, &task(dialect), &[]).await.unwrap();
        assert_eq!(looked, Look::Done(TaskNews::Lost("no such task".to_owned())));
    }
}

async fn check(site: Site, kind: FailureKind, said: &str) -> Failure {
    let failure = site.call(&Downstream::new(no_env)).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains("\"web\""), "{failure}");
    assert!(failure.message.contains(said), "{failure}");
    failure
}

#[tokio::test]
async fn credentials_that_are_refused_are_final() {
    let site = Site::new(|_, _| {
        (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer realm=\"web\"")]).into_response()
    })
    .await;
    check(site, FailureKind::Final, "set \"Authorization\"").await;
    let site = Site::new(|_, _| (StatusCode::UNAUTHORIZED, "who are you?").into_response()).await;
    check(site, FailureKind::Final, "HTTP 401 Unauthorized: who are you?").await;
}

#[tokio::test]
async fn a_busy_server_is_tried_again_when_it_says_so() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let site = if status == StatusCode::TOO_MANY_REQUESTS {
            site!(|_r| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "2")]).into_response())
        } else {
            site!(|_r| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "2")]).into_response())
        };
        let failure = check(site, FailureKind::Transient, status.as_str()).await;
        assert_eq!(failure.retry_after_ms, Some(2000));
    }
}

#[tokio::test]
async fn a_server_that_fails_in_the_call_leaves_it_in_doubt() {
    let site = site!(|_r| StatusCode::INTERNAL_SERVER_ERROR.into_response());
    check(site, FailureKind::InDoubt, "HTTP 500").await;
    let site = site!(|_r| {
        let cut = stream::iter([Ok("{\"jsonrpc\":"), Err(io::Error::other("cut"))]);
        ([("content-type", "application/json")], Body::from_stream(cut)).into_response()
    });
    check(site, FailureKind::InDoubt, "nobody knows whether the call took effect").await;
}

#[tokio::test]
async fn a_request_that_is_refused_is_final() {
    let site = site!(|_r| (StatusCode::BAD_REQUEST, "no such path").into_response());
    check(site, FailureKind::Final, "HTTP 400 Bad Request: no such path").await;
    let site = site!(|request| {
        let error = json!({"code": -32602, "message": "n is too small"});
        axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).into_response()
    });
    check(site, FailureKind::Final, "n is too small").await;
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let failure = call(&servers(&url), &Downstream::new(no_env)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    assert!(failure.message.contains("is it running?"), "{failure}");
}

#[tokio::test]
async fn a_secret_in_an_address_is_in_no_failure() {
    let tools = Downstream::new(|_: &str| Some("hunter2".to_owned()));
    let check = async |url: &str, said: &str| {
        let failure = call(&servers(&format!("{url}?key=${{TOKEN}}")), &tools).await.unwrap_err();
        assert!(failure.message.contains(said), "{failure}");
        assert!(!failure.message.contains("hunter2"), "{failure}");
    };
    let site = Site::new(|_, _| {
        (StatusCode::PERMANENT_REDIRECT, [("location", "/mcp?key=hunter2")]).into_response()
    })
    .await;
    let ServerConfig::Http { url, .. } = &site.servers["web"] else { panic!("no HTTP") };
    check(url, "redirects").await;

    // It hangs up on everybody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    check(&url, "\"web\"").await;
}

/// A listener that takes no connection any more, and does not say so.
async fn silent() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let (address, mut waiting) = (listener.local_addr().unwrap(), Vec::new());
    let patience = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    (listener, waiting)
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_waited_for_once() {
    let (listener, _waiting) = silent().await;
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let begun = Instant::now();
    let failure = call(&servers(&url), &Downstream::new(no_env)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    assert!(failure.message.contains("no connection"), "{failure}");
    let bound = Duration::from_millis(SERVER_CONNECT_MS);
    assert!((bound..bound * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_result_of_a_task_that_ran_and_is_not_to_be_had_is_lost() {
    for (site, expected) in [
        (ended_task!("completed"), TaskNews::Lost("swept up".to_owned())),
        (ended_task!("failed"), TaskNews::Failed("swept up".to_owned())),
    ] {
        let task = RemoteTask {
            server: "web".to_owned(),
            id: "t1".to_owned(),
            dialect: TaskDialect::Experimental,
            poll_interval_ms: None,
            ttl_ms: None,
            session: None,
        };
        let looked = Downstream::new(no_env).look(&site.servers, &task, &[]).await.unwrap();
        assert_eq!(looked, Look::Done(expected));
    }
}

#[tokio::test]
async fn an_address_or_a_header_that_is_none_is_final() {
    let tools = Downstream::new(|_: &str| Some("line\nbreak".to_owned()));
    let failure = call(&servers("http://127.0.0.1:9/mcp"), &tools).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Final, "{failure}");
    assert!(failure.message.contains("value of header \"Authorization\""), "{failure}");
    assert!(!failure.message.contains("line"), "a value is never shown: {failure}");

    let failure = call(&servers("no address"), &Downstream::new(no_env)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Final, "{failure}");
}
