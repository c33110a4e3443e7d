//! A server in this process whose tools ask people.

use std::path::Path;
use std::sync::Arc;

use relight::durable::{Answer, Context, Question, Runtime};
use relight::journal::sqlite::Sqlite;
use relight::journal::{Failure, Payload, Store};
use relight::mcp::server::{Options, Server};
use serde_json::{Value, json};

use crate::client::{Host, tool};

/// The fixtures of [`Host`], and `confirm`, which asks one question.
pub(crate) async fn open(directory: &Path, options: Options) -> Host {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&directory.join("journal.db")).unwrap());
    let runtime = Host::functions(Runtime::builder(Arc::clone(&store)))
        .function("confirm", confirm)
        .start()
        .await
        .unwrap();
    let mut tools = Host::tools();
    tools.push(tool("confirm", json!({"type": "object"})));
    let server = Server::new(runtime.clone(), tools, options).unwrap();
    Host { store, runtime, server }
}

async fn confirm(ctx: Context, _input: Value) -> Result<String, Failure> {
    let schema = json!({
        "type": "object",
        "properties": {"sure": {"type": "boolean"}},
        "required": ["sure"],
    });
    let question = Question::new("Are you sure?", Payload::of(&schema).unwrap());
    Ok(match ctx.ask("confirm", &question).await? {
        Answer::Accept { content } => format!("sure: {}", content["sure"]),
        Answer::Decline => "declined".to_owned(),
        Answer::Cancel => "put away".to_owned(),
        Answer::Expired => "expired".to_owned(),
    })
}
