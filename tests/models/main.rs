//! The providers of models, against servers that speak real HTTP and misbehave, and on scripts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod openai;
mod responses;
mod script;

#[path = "../support/model_server.rs"]
mod model_server;

use relight::agent::{Message, Outcome, Request, Settings};
use relight::journal::{Failure, Payload};

/// The key of the account, which nothing may show.
const KEY: &str = "sk-very-secret-0123456789";

/// A request of the model `tiny`.
fn request(messages: Vec<Message>) -> Request {
    Request {
        model: "tiny".to_owned(),
        system: "Be brief.".to_owned(),
        messages,
        tools: Vec::new(),
        settings: Settings::default(),
        output_schema: None,
        idempotency_key: "0af3/turn-1/model".to_owned(),
    }
}

fn user(text: &str) -> Message {
    Message::User { text: text.to_owned() }
}

fn tool(call_id: &str, text: &str) -> Message {
    Message::Tool { call_id: call_id.to_owned(), text: text.to_owned() }
}

fn payload(json: &str) -> Payload {
    Payload::from_json(json.to_owned()).unwrap()
}

/// An outcome as one line: as JSON, or kind, wait and message of the failure.
fn show(outcome: Result<Outcome, Failure>) -> String {
    match outcome {
        Ok(outcome) => serde_json::to_string(&outcome).unwrap(),
        Err(failure) => {
            let wait = failure.retry_after_ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
            let kind = format!("{:?}", failure.kind).to_lowercase();
            format!("{kind}{wait}: {}", failure.message)
        }
    }
}
