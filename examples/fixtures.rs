//! Durable functions that do what task clients are tested with: greet, sleep, fail, ask. Served as
//! MCP tools over stdio.
//!
//!     cargo run --example fixtures -- fixtures.db [PLAIN_WAIT_MS]
//!
//! `tests/interop.rs` runs clients from npm against it, and kills it.

use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Answer, Context, Question, Runtime};
use relight::journal::{Failure, Payload, sqlite::Sqlite};
use relight::mcp::server::{Options, Served, Server};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

#[derive(Deserialize, JsonSchema)]
struct Greet {
    name: String,
}

async fn greet(_ctx: Context, input: Greet) -> Result<String, Failure> {
    Ok(format!("Hello, {}!", input.name))
}

#[derive(Deserialize, JsonSchema)]
struct SlowCompute {
    seconds: f64,
    label: Option<String>,
}

async fn slow_compute(ctx: Context, input: SlowCompute) -> Result<String, Failure> {
    let label = input.label.unwrap_or_else(|| "computation".to_owned());
    let nap = Duration::try_from_secs_f64(input.seconds)
        .map_err(|error| Failure::is_final(format!("seconds: {error}")))?;
    ctx.report(format!("computing {label}"));
    ctx.sleep("compute", nap).await?;
    Ok(format!("{label}: done"))
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

async fn failing_job(ctx: Context, _input: Nothing) -> Result<String, Failure> {
    ctx.sleep("work", Duration::from_secs(1)).await?;
    Err(Failure::is_final("the job failed"))
}

async fn protocol_error_job(ctx: Context, _input: Nothing) -> Result<String, Failure> {
    ctx.sleep("work", Duration::from_millis(100)).await?;
    Err(Failure::is_final("the job cannot be done here").with_code(-32603))
}

#[derive(Deserialize, JsonSchema)]
struct ConfirmDelete {
    filename: String,
}

async fn confirm_delete(ctx: Context, input: ConfirmDelete) -> Result<String, Failure> {
    let file = input.filename;
    let question = form(format!("Delete {file}?"), "confirm", "boolean")?;
    Ok(match ctx.ask("confirm", &question).await? {
        Answer::Accept { content } if content["confirm"] == true => format!("deleted {file}"),
        _ => format!("kept {file}"),
    })
}

async fn multi_input(ctx: Context, _input: Nothing) -> Result<String, Failure> {
    let name = form("What is your name?".to_owned(), "name", "string")?;
    let age = form("How old are you?".to_owned(), "age", "integer")?;
    let (name, age) = tokio::try_join!(ctx.ask("name", &name), ctx.ask("age", &age))?;
    let filled_in = |answer: Answer, field: &str| match answer {
        Answer::Accept { mut content } => content.remove(field).unwrap_or_default(),
        Answer::Decline | Answer::Cancel => Value::Null,
    };
    Ok(format!("{} is {}", filled_in(name, "name"), filled_in(age, "age")))
}

fn form(message: String, field: &str, kind: &str) -> Result<Question, Failure> {
    let properties = json!({field: {"type": kind}});
    let schema = json!({"type": "object", "properties": properties, "required": [field]});
    Ok(Question { message, schema: Payload::of(&schema)? })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let journal = arguments.next().unwrap_or_else(|| "fixtures.db".to_owned());
    let mut options = Options::default();
    if let Some(plain_wait_ms) = arguments.next() {
        options.plain_wait_ms = plain_wait_ms.parse()?;
    }
    let runtime = Runtime::builder(Arc::new(Sqlite::open(journal.as_ref())?))
        .function("greet", greet)
        .function("slow_compute", slow_compute)
        .function("failing_job", failing_job)
        .function("protocol_error_job", protocol_error_job)
        .function("confirm_delete", confirm_delete)
        .function("multi_input", multi_input)
        .start()
        .await?;
    let tools = vec![
        Served::function::<Greet>("greet", "Greets"),
        Served::function::<SlowCompute>("slow_compute", "Takes its time"),
        Served::function::<Nothing>("failing_job", "Fails after a second"),
        Served::function::<Nothing>("protocol_error_job", "Fails with a JSON-RPC error"),
        Served::function::<ConfirmDelete>("confirm_delete", "Asks before it deletes"),
        Served::function::<Nothing>("multi_input", "Asks two questions at once"),
    ];
    let server = Server::new(runtime.clone(), tools, options)?;
    server.serve_stdio(CancellationToken::new()).await?;
    runtime.shutdown().await;
    Ok(())
}
