//! A server in this process, and clients on it that are nothing but lines of JSON.

#![allow(dead_code, reason = "each suite uses its part")]

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Builder, Context, Runtime, StartTask};
use relight::journal::sqlite::Sqlite;
use relight::journal::{Failure, Payload, Store};
use relight::mcp::server::{Options, Served, Server, TaskSupport};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::wire::Wire;

const PATIENCE: Duration = Duration::from_secs(20);

/// A journal with the fixtures' runtime, and a server of them.
pub(crate) struct Host {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Runtime,
    pub(crate) server: Server,
}

impl Host {
    pub(crate) async fn open(directory: &Path) -> Self {
        Self::with(directory, |builder| builder, Vec::new(), Options::default()).await
    }

    /// The fixtures, and what a test has besides.
    pub(crate) async fn with(
        directory: &Path,
        functions: impl FnOnce(Builder) -> Builder,
        more: Vec<Served>,
        options: Options,
    ) -> Self {
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&directory.join("journal.db")).unwrap());
        let fixtures = Runtime::builder(Arc::clone(&store))
            .function("greet", greet)
            .function("nap", nap)
            .function("break", break_down);
        let runtime = functions(fixtures).start().await.unwrap();
        let mut tools =
            vec![tool("greet", name_schema()), tool("nap", any()), tool("break", any())];
        tools.extend(more);
        let server = Server::new(runtime.clone(), tools, options).unwrap();
        Self { store, runtime, server }
    }

    pub(crate) fn connect(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(theirs);
        let (stop, server) = (CancellationToken::new(), self.server.clone());
        let token = stop.clone();
        let serving = tokio::spawn(async move { server.serve(read, write, token).await.unwrap() });
        let (read, write) = tokio::io::split(ours);
        Client { wire: Wire::new(read, write), stop, serving }
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

/// A connection.
pub(crate) struct Client {
    wire: Wire,
    pub(crate) stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Deref for Client {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

impl Client {
    /// Goes away, and waits until the server has noticed.
    pub(crate) async fn leave(self) {
        drop(self.wire);
        timeout(PATIENCE, self.serving).await.expect("the server goes on").unwrap();
    }

    /// Waits until the server ends the connection.
    pub(crate) async fn ended(self) {
        timeout(PATIENCE, self.serving).await.expect("the server goes on").unwrap();
    }
}
