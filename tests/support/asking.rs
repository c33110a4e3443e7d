//! A server in this process whose tools ask people.

use std::path::Path;

use relight::durable::{Answer, Context, Question};
use relight::journal::{Failure, Payload};
use relight::mcp::server::Options;
use serde_json::{Value, json};

use crate::client::{Host, tool};

/// The fixtures of [`Host`], and `confirm`, which asks one question.
pub(crate) async fn open(directory: &Path, options: Options) -> Host {
    let tools = vec![tool("confirm", json!({"type": "object"}))];
    Host::with(directory, |builder| builder.function("confirm", confirm), tools, options).await
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
