//! The tools that MCP's official conformance suite calls, as durable functions over HTTP, or over
//! stdio for the clients of `tests/interop/`.
//!
//! ```text
//! cargo run --example conformance -- --listen 127.0.0.1:8377 conformance.db
//! npx @modelcontextprotocol/conformance server --url http://127.0.0.1:8377/mcp \
//!     --scenario tasks-lifecycle
//! ```
//!
//! Kill it between two requests and start it again on the same journal: every handle is still good.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use relight::durable::{Answer, Builder, Context, Question, Runtime, StartTask};
use relight::journal::{Failure, Payload, sqlite::Sqlite};
use relight::limits;
use relight::mcp::server::{HttpOptions, HttpServer, Options, Served, Server, TaskSupport};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Serves the conformance suite's tools
#[derive(Parser)]
struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8377")]
    listen: SocketAddr,
    /// Serve the client on stdin and stdout instead
    #[arg(long)]
    stdio: bool,
    /// How long a call of a client without Tasks waits
    #[arg(long, default_value_t = limits::PLAIN_WAIT_MS)]
    plain_wait_ms: u64,
    /// The journal
    journal: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter("info,rmcp=error")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let Arguments { listen, stdio, plain_wait_ms, journal } = Arguments::parse();
    let store = Arc::new(Sqlite::open(&journal)?);
    let runtime = register(Runtime::builder(store)).start().await?;
    let options = Options { plain_wait_ms, ..Options::default() };
    let server = Server::new(runtime.clone(), tools()?, options)?;
    if stdio {
        server.serve_stdio(CancellationToken::new()).await?;
        runtime.shutdown().await;
        return Ok(());
    }
    let http = HttpServer::bind(&server, listen, HttpOptions::default()).await?;
    tracing::info!("listening on {}", http.address());
    let stop = CancellationToken::new();
    let (mut terminate, stopped) = (signal(SignalKind::terminate())?, stop.clone());
    tokio::spawn(async move {
        terminate.recv().await;
        stopped.cancel();
    });
    http.serve(stop).await;
    runtime.shutdown().await;
    Ok(())
}

fn register(builder: Builder) -> Builder {
    builder
        .function("greet", greet)
        .function("slow_compute", slow_compute)
        .function("failing_job", failing_job)
        .function("protocol_error_job", protocol_error_job)
        .function("confirm_delete", confirm_delete)
        .function("multi_input", multi_input)
        .function("ask_name", ask_name)
        .function("ask_ok", ask_ok)
        .function("ask_twice", ask_twice)
        .function("say", say)
        .function("say_error", say_error)
        .function("count", count)
}

/// Answers at once.
async fn greet(_ctx: Context, input: Value) -> Result<String, Failure> {
    Ok(format!("Hello, {}!", input["name"].as_str().unwrap_or_default()))
}

/// Sleeps durably: the time runs on while the process is down.
async fn slow_compute(ctx: Context, input: Value) -> Result<String, Failure> {
    let (seconds, label) = (&input["seconds"], &input["label"]);
    ctx.report(format!("computing {label}"));
    let time = Duration::from_secs_f64(seconds.as_f64().unwrap_or_default().clamp(0.0, 3600.0));
    ctx.sleep("compute", time).await?;
    Ok(format!("computed {label} in {seconds} s"))
}

/// Fails as tools fail: the task completes with an error as its result.
async fn failing_job(ctx: Context, _input: Value) -> Result<String, Failure> {
    ctx.sleep("work", Duration::from_secs(1)).await?;
    Err(Failure::is_final("this job always fails"))
}

/// Fails as protocols fail: the task fails with a JSON-RPC error.
async fn protocol_error_job(ctx: Context, _input: Value) -> Result<String, Failure> {
    ctx.sleep("work", Duration::from_millis(100)).await?;
    Err(Failure::is_final("this job always breaks").with_code(-32603))
}

async fn confirm_delete(ctx: Context, input: Value) -> Result<String, Failure> {
    let file = input["filename"].as_str().unwrap_or_default();
    let answer = ctx.ask("confirm", &question(&format!("Delete {file}?"), "confirm")?).await?;
    Ok(match answer {
        Answer::Accept { content } if content.get("confirm") == Some(&json!(true)) => {
            format!("{file} is deleted")
        }
        _ => format!("{file} is kept"),
    })
}

/// Two questions that are open side by side, each in a scope of its own.
async fn multi_input(ctx: Context, _input: Value) -> Result<String, Failure> {
    let (first, second) = (ctx.scope("first"), ctx.scope("second"));
    let (name, colour) =
        (question("What is your name?", "name")?, question("Which colour?", "colour")?);
    let answers = tokio::join!(first.ask("input", &name), second.ask("input", &colour));
    Ok(format!("{:?} and {:?}", answers.0?, answers.1?))
}

async fn ask_name(ctx: Context, _input: Value) -> Result<String, Failure> {
    let answer = ctx.ask("user_name", &question("What is your name?", "name")?).await?;
    Ok(format!("Hello, {}!", filled_in(&answer, "name")))
}

async fn ask_ok(ctx: Context, _input: Value) -> Result<String, Failure> {
    let answer = ctx.ask("confirm", &question("Please confirm", "ok")?).await?;
    Ok(format!("state-ok: {}", filled_in(&answer, "ok")))
}

async fn ask_twice(ctx: Context, _input: Value) -> Result<String, Failure> {
    let name = ctx.ask("step1", &question("Step 1: What is your name?", "name")?).await?;
    let colour = ctx.ask("step2", &question("Step 2: Which colour?", "color")?).await?;
    Ok(format!("{} likes {}", filled_in(&name, "name"), filled_in(&colour, "color")))
}

async fn say(_ctx: Context, _input: Value) -> Result<String, Failure> {
    Ok("This is a simple text response for testing.".to_owned())
}

async fn say_error(_ctx: Context, _input: Value) -> Result<String, Failure> {
    Err(Failure::is_final("This tool intentionally returns an error for testing"))
}

/// Tells how far it is, at every step.
async fn count(ctx: Context, _input: Value) -> Result<String, Failure> {
    for percent in [0, 50, 100] {
        ctx.report(format!("{percent} of 100"));
        ctx.sleep("count", Duration::from_millis(50)).await?;
    }
    Ok("counted to 100".to_owned())
}

/// A form of one field. Fields of these names are yes or no: `confirm`, `ok`.
fn question(message: &str, field: &str) -> Result<Question, Failure> {
    let kind = if matches!(field, "confirm" | "ok") { "boolean" } else { "string" };
    let schema = json!({"type": "object", "properties": {field: {"type": kind}}});
    Ok(Question::new(message, Payload::of(&schema)?))
}

fn filled_in(answer: &Answer, field: &str) -> String {
    match answer {
        Answer::Accept { content } => match content.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "nobody".to_owned(),
        },
        Answer::Decline | Answer::Cancel | Answer::Expired => "nobody".to_owned(),
    }
}

fn tools() -> serde_json::Result<Vec<Served>> {
    use TaskSupport::{Forbidden, Optional, Required};
    let none = || json!({});
    let text = || json!({"type": "string"});
    let slow = json!({"seconds": {"type": "number", "minimum": 0}, "label": text()});
    let in_header = json!({"region": {"type": "string", "x-mcp-header": "Region"}});
    let mut asks_first = tool("test_tool_with_task", "ask_name", Required, none())?;
    asks_first.asks_first = true;
    let mut tools = vec![
        tool("greet", "greet", Forbidden, json!({"name": text()}))?,
        tool("slow_compute", "slow_compute", Optional, slow)?,
        tool("failing_job", "failing_job", Required, none())?,
        tool("protocol_error_job", "protocol_error_job", Optional, none())?,
        tool("confirm_delete", "confirm_delete", Optional, json!({"filename": text()}))?,
        tool("multi_input", "multi_input", Optional, none())?,
        asks_first,
        tool("test_simple_text", "say", Forbidden, none())?,
        tool("test_error_handling", "say_error", Forbidden, none())?,
        tool("test_tool_with_progress", "count", Forbidden, none())?,
        tool("test_missing_capability", "say", Required, none())?,
        tool("test_streaming_elicitation", "ask_name", Optional, none())?,
        tool("test_logging_tool", "say", Forbidden, none())?,
        tool("test_custom_header", "say", Forbidden, in_header)?,
    ];
    for (name, function) in [
        ("elicitation", "ask_name"),
        ("request_state", "ask_ok"),
        ("tampered_state", "ask_ok"),
        ("multi_round", "ask_twice"),
    ] {
        let name = format!("test_input_required_result_{name}");
        tools.push(tool(&name, function, Optional, none())?);
    }
    let mut vocabulary = tool("json_schema_2020_12_tool", "say", Forbidden, none())?;
    vocabulary.input_schema = Payload::of(&vocabulary_schema())?;
    tools.push(vocabulary);
    Ok(tools)
}

/// A tool that calls a function with an object of these properties.
fn tool(
    name: &str,
    function: &'static str,
    task_support: TaskSupport,
    properties: Value,
) -> serde_json::Result<Served> {
    let schema = json!({"type": "object", "properties": properties});
    let task = name.to_owned();
    Ok(Served {
        name: name.to_owned(),
        title: None,
        description: Some(format!("The conformance suite's {name}.")),
        input_schema: Payload::of(&schema)?,
        output_schema: None,
        task_support,
        asks_first: false,
        start: Arc::new(move |arguments| StartTask::new(function, task.clone(), arguments)),
    })
}

/// Keywords of JSON Schema 2020-12 that a listing must not lose.
fn vocabulary_schema() -> Value {
    let street = json!({"street": {"type": "string"}, "city": {"type": "string"}});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": street}},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {
            "properties": {"contactMethod": {"const": "phone"}},
            "required": ["contactMethod"],
        },
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
