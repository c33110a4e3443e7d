//! A model server over real HTTP on 127.0.0.1: it answers each request with the next of a list of
//! behaviours, and keeps what it was asked.
//!
//! A mock of OpenAI's server, chat completions and Responses, because the real one cannot be reached
//! from a test. It understands nothing of what it is asked, on purpose: a test says what comes back.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops")]

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

/// How long a condition is waited for before the test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    piece_bytes: usize,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The body is whole.
    Whole,
    /// The connection breaks after the body.
    Cut,
    /// Nothing comes after the body, and the connection stays.
    Hang,
    /// Not even a head comes.
    Silent,
}

impl Answer {
    /// A body with this status.
    pub(crate) fn status(status: u16, body: &str) -> Self {
        let (headers, body) = (Vec::new(), body.as_bytes().to_owned());
        Self { status, headers, body, piece_bytes: usize::MAX, end: End::Whole }
    }

    /// A JSON body with this status.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::status(status, &body.to_string()).header("content-type", "application/json")
    }

    /// A response object of the Responses API.
    pub(crate) fn response(id: &str, status: &str, output: &[Value]) -> Self {
        Self::json(200, &response(id, status, output))
    }

    /// Chunks as server-sent events, and `[DONE]`.
    pub(crate) fn stream(chunks: &[Value]) -> Self {
        let mut answer = Self::open_stream(chunks);
        answer.body.extend_from_slice(b"data: [DONE]\n\n");
        answer
    }

    /// Chunks as server-sent events, without `[DONE]`.
    pub(crate) fn open_stream(chunks: &[Value]) -> Self {
        let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        Self::status(200, &events).header("content-type", "text/event-stream")
    }

    /// A reply of this text, word by word.
    pub(crate) fn says(text: &str) -> Self {
        let mut chunks: Vec<Value> =
            text.split_inclusive(' ').map(|word| delta(json!({"content": word}))).collect();
        chunks.push(finish("stop"));
        Self::stream(&chunks)
    }

    /// A reply of tool calls (id, name, arguments), each in one fragment.
    pub(crate) fn calls(calls: &[(&str, &str, &str)]) -> Self {
        let mut chunks: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(index, (id, name, arguments))| {
                delta(json!({"tool_calls": [{
                    "index": index, "id": id, "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }]}))
            })
            .collect();
        chunks.push(finish("tool_calls"));
        Self::stream(&chunks)
    }

    /// No answer at all: the connection stays open.
    pub(crate) fn silence() -> Self {
        Self { end: End::Silent, ..Self::status(200, "") }
    }

    /// With this header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The connection breaks at the end of the body.
    pub(crate) fn cut(self) -> Self {
        Self { end: End::Cut, ..self }
    }

    /// Nothing comes after the body, and the connection stays open.
    pub(crate) fn hang(self) -> Self {
        Self { end: End::Hang, ..self }
    }

    /// The body is sent in pieces of this size.
    pub(crate) fn in_pieces_of(self, piece_bytes: usize) -> Self {
        Self { piece_bytes, ..self }
    }
}

/// A response object as OpenAI writes it.
pub(crate) fn response(id: &str, status: &str, output: &[Value]) -> Value {
    json!({
        "id": id, "object": "response", "created_at": 1, "status": status, "background": true,
        "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "model": "served", "output": output, "parallel_tool_calls": true,
        "previous_response_id": null, "store": true, "temperature": 1.0, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "metadata": {},
        "usage": (status == "completed").then(|| json!({
            "input_tokens": 12, "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 15,
        })),
    })
}

/// A message of a response.
pub(crate) fn said(text: &str) -> Value {
    json!({
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}

/// A tool call of a response.
pub(crate) fn called(id: &str, name: &str, arguments: &str) -> Value {
    json!({
        "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
        "arguments": arguments, "status": "completed",
    })
}

/// A chunk that adds to the message.
pub(crate) fn delta(delta: Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "served",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}],
    })
}

/// A chunk that ends the message.
pub(crate) fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// A chunk that says what it cost.
pub(crate) fn usage(input_tokens: u64, output_tokens: u64) -> Value {
    json!({
        "choices": [],
        "usage": {"prompt_tokens": input_tokens, "completion_tokens": output_tokens},
    })
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
}

#[derive(Debug)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    /// What is answered once these are used up.
    standing: Mutex<Option<Answer>>,
    asked: watch::Sender<Vec<Asked>>,
    /// How many clients went away before they had the whole answer.
    left: watch::Sender<usize>,
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct ModelServer {
    base_url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Starts a server that gives these answers, one a request, in order.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            standing: Mutex::default(),
            asked: watch::Sender::default(),
            left: watch::Sender::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base_url, shared, task }
    }

    /// What to set `OPENAI_BASE_URL` to.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// One more answer, after those before.
    pub(crate) fn then(&self, answer: Answer) {
        self.shared.answers.lock().unwrap().push_back(answer);
    }

    /// What is answered, as often as it is asked, when no other answers are left.
    pub(crate) fn always(&self, answer: Answer) {
        *self.shared.standing.lock().unwrap() = Some(answer);
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn until_asked(&self, requests: usize) {
        let mut asked = self.shared.asked.subscribe();
        let reached = asked.wait_for(|asked| asked.len() >= requests);
        let _reached = timeout(PATIENCE, reached).await.expect("requests should have come");
    }

    /// How many clients went away before they had the whole answer.
    pub(crate) fn left(&self) -> usize {
        *self.shared.left.borrow()
    }

    /// Waits until so many clients went away before they had the whole answer.
    pub(crate) async fn until_left(&self, clients: usize) {
        let mut left = self.shared.left.subscribe();
        let reached = left.wait_for(|left| *left >= clients);
        let _reached = timeout(PATIENCE, reached).await.expect("a client should have left");
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counts a client as gone unless the answer came to its end.
struct Watch {
    shared: Arc<Shared>,
    ended: bool,
}

impl Watch {
    fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.left.send_modify(|left| *left += 1);
        }
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let next = shared.answers.lock().unwrap().pop_front();
    let next = next.or_else(|| shared.standing.lock().unwrap().clone());
    let answer = next.unwrap_or_else(|| Answer::status(418, "the test has no more answers"));
    let mut watch = Watch { shared: Arc::clone(&shared), ended: false };
    let asked = Asked { method: method.to_string(), path: uri.to_string(), headers, body };
    shared.asked.send_modify(|all| all.push(asked));
    if answer.end == End::Silent {
        pending::<()>().await;
    }

    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let piece_bytes = answer.piece_bytes.min(answer.body.len()).max(1);
    let pieces: Vec<_> =
        answer.body.chunks(piece_bytes).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let end = stream::once(async move {
        match answer.end {
            End::Cut => {
                // A pause, however short, makes the server send what went before.
                yield_now().await;
                Err(io::Error::other("cut by the test"))
            }
            End::Hang | End::Silent => pending().await,
            End::Whole => {
                watch.end();
                Ok(Bytes::new())
            }
        }
    });
    response.body(Body::from_stream(stream::iter(pieces).chain(end))).unwrap()
}
