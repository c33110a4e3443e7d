//! An MCP client that is nothing but lines of JSON, on a server in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Builder, Context, Runtime, StartTask};
use relight::journal::sqlite::Sqlite;
use relight::journal::{Failure, Payload, Store};
use relight::mcp::server::{Options, Served, Server, TaskSupport};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// A journal with the fixtures' runtime, and a server of them.
pub(crate) struct Host {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Runtime,
    pub(crate) server: Server,
}

impl Host {
    pub(crate) async fn open(directory: &Path) -> Self {
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&directory.join("journal.db")).unwrap());
        let runtime = Self::functions(Runtime::builder(Arc::clone(&store))).start().await.unwrap();
        let server = Server::new(runtime.clone(), Self::tools(), Options::default()).unwrap();
        Self { store, runtime, server }
    }

    pub(crate) fn functions(builder: Builder) -> Builder {
        builder.function("greet", greet).function("nap", nap).function("break", break_down)
    }

    pub(crate) fn tools() -> Vec<Served> {
        vec![tool("greet", name_schema()), tool("nap", any()), tool("break", any())]
    }

    pub(crate) fn connect(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(theirs);
        let (stop, server) = (CancellationToken::new(), self.server.clone());
        let token = stop.clone();
        let serving = tokio::spawn(async move { server.serve(read, write, token).await.unwrap() });
        let (read, write) = tokio::io::split(ours);
        let lines = BufReader::new(read).lines();
        Client { lines, write, stop, serving, next_id: 1, notifications: Vec::new() }
    }
}

pub(crate) fn tool(name: &str, schema: Value) -> Served {
    let function = name.to_owned();
    Served {
        name: name.to_owned(),
        title: None,
        description: Some(format!("The fixture {name}.")),
        input_schema: Payload::of(&schema).unwrap(),
        output_schema: None,
        task_support: TaskSupport::default(),
        asks_first: false,
        start: Arc::new(move |input| StartTask::new(function.clone(), function.clone(), input)),
    }
}

fn name_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": false,
    })
}

fn any() -> Value {
    json!({"type": "object"})
}

async fn greet(_ctx: Context, input: Value) -> Result<String, Failure> {
    Ok(format!("Hello, {}!", input["name"].as_str().unwrap_or_default()))
}

/// Sleeps for `ms`, having said so.
async fn nap(ctx: Context, input: Value) -> Result<Value, Failure> {
    ctx.report("lying down");
    ctx.pure("lie down").run(|_| async { Ok(()) }).await?;
    ctx.report("asleep");
    ctx.sleep("nap", Duration::from_millis(input["ms"].as_u64().unwrap_or_default())).await?;
    Ok(json!({"slept_ms": input["ms"]}))
}

/// Fails, with a code where one is given.
async fn break_down(_ctx: Context, input: Value) -> Result<Value, Failure> {
    let failure = Failure::is_final("out of paper");
    Err(match input["code"].as_i64() {
        Some(code) => failure.with_code(i32::try_from(code).unwrap()),
        None => failure,
    })
}

/// A connection. Requests are answered in any order; what is no answer is kept.
pub(crate) struct Client {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    write: WriteHalf<DuplexStream>,
    pub(crate) stop: CancellationToken,
    serving: JoinHandle<()>,
    next_id: i64,
    pub(crate) notifications: Vec<Value>,
}

impl Client {
    /// Shakes hands as clients did up to 2025-11-25.
    pub(crate) async fn initialize(&mut self, version: &str, capabilities: Value) -> Value {
        let client = json!({"name": "test", "version": "0"});
        let params =
            json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
        let answer = self.request("initialize", params).await;
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        answer
    }

    pub(crate) async fn send_line(&mut self, line: &str) {
        self.write.write_all(line.as_bytes()).await.unwrap();
        self.write.write_all(b"\n").await.unwrap();
        self.write.flush().await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string()).await;
    }

    /// Sends a request and returns its id.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        id
    }

    /// The next message of the server.
    pub(crate) async fn receive(&mut self) -> Value {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("the server is silent");
        let line = line.unwrap().expect("the server has closed the connection");
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        message
    }

    /// The next message that answers a request, whichever.
    pub(crate) async fn receive_answer(&mut self) -> Value {
        loop {
            let message = self.receive().await;
            if message["method"].is_null() {
                return message;
            }
            self.notifications.push(message);
        }
    }

    pub(crate) async fn answer(&mut self, id: i64) -> Value {
        loop {
            let message = self.receive().await;
            if message["id"] == id && message["method"].is_null() {
                return message;
            }
            self.notifications.push(message);
        }
    }

    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.answer(id).await
    }

    /// A request of protocol 2026-07-28, with the Tasks extension declared.
    pub(crate) async fn modern(&mut self, method: &str, params: Value) -> Value {
        self.request(method, with_meta(params, tasks_declared())).await
    }

    /// Polls a task to its end.
    pub(crate) async fn settle(&mut self, task: &str) -> Value {
        loop {
            let answer = self.modern("tasks/get", json!({"taskId": task})).await;
            let result = answer["result"].clone();
            assert!(result.is_object(), "{answer}");
            if result["status"] != "working" {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Goes away, and waits until the server has noticed.
    pub(crate) async fn leave(self) {
        drop((self.lines, self.write));
        timeout(PATIENCE, self.serving).await.expect("the server goes on").unwrap();
    }

    /// Waits until the server ends the connection.
    pub(crate) async fn ended(self) {
        timeout(PATIENCE, self.serving).await.expect("the server goes on").unwrap();
    }
}

pub(crate) fn tasks_declared() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

/// Params with what protocol 2026-07-28 wants in each request.
pub(crate) fn with_meta(mut params: Value, capabilities: Value) -> Value {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    params
}
