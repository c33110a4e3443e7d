//! A recording for others holds no secret, and replays all the same.

use relight::journal::Redaction;
use relight::replay::{Replay, redacted};
use serde_json::json;

use crate::recorded;

const KEY: &str = "sk-live-0123456789abcdefghij";
const PASSWORD: &str = "correct horse battery";
const BEARER: &str = "Bearer abcdefgh12345678";
const CARD: &str = "4242-4242-4242-4242";

const AGENT: &str = "---
name: keeper
description: Keeps things.
model: script:replies.yaml
tools: till/*
mcpServers: {till: {command: \"${RELIGHT}\", args: [till, --ledger, \"${LEDGER}\"], env: {API_KEY: \"${LEDGER}\"}}}
in_doubt: tell
input: {type: object}
---
Be brief.";

/// A model that says, hands on and is told what it should not.
fn script() -> String {
    format!(
        "replies:
  - text: 'I use {KEY} and the password {PASSWORD}.'
    calls:
      - tool: mail_receipt
        arguments: {{ to: '{CARD}', order: '{PASSWORD}' }}
  - text: 'Sent with {BEARER} for {CARD}; the password was {PASSWORD}.'
"
    )
}

#[tokio::test]
async fn what_is_planted_is_gone_and_the_rest_replays() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = json!({
        "db_password": PASSWORD,
        "nested": [{"headers": {"Authorization": BEARER}}, {"pin_token": 123_456_789}],
        "json": format!("{{\"apiKey\":\"{KEY}\"}}"),
        "max_tokens": 7,
    });
    let recording = recorded(dir.path(), AGENT, &script(), &arguments).await;
    let plain = recording.write();
    for secret in [KEY, PASSWORD, BEARER, CARD, "123456789"] {
        assert!(plain.contains(secret), "{secret} was not planted");
    }
    let before = Replay::of(recording.clone()).as_recorded().await.unwrap();
    before.assert_same();

    let rules = Redaction::usual().and_form(r"\b\d{4}(-\d{4}){3}\b").unwrap();
    let redacted = redacted(recording, &rules).await.unwrap();
    let text = redacted.write();
    for secret in [KEY, PASSWORD, BEARER, CARD, "123456789"] {
        assert!(!text.contains(secret), "{secret} is left in\n{text}");
    }
    // References and what only looks like a secret's name stay.
    assert!(
        text.contains("{\"API_KEY\":\"${LEDGER}\"}") && text.contains("\"max_tokens\":7"),
        "{text}"
    );

    let run = Replay::of(redacted).as_recorded().await.unwrap();
    run.assert_same();
    assert_eq!(run.calls_to("mail_receipt").len(), 1);
    assert_eq!(run.calls_to("mail_receipt")[0].arguments["to"], "[redacted]");
}

#[tokio::test]
async fn what_holds_no_secret_stays_to_the_letter() {
    let dir = tempfile::tempdir().unwrap();
    let script = "replies: [{text: done}]";
    let recording = recorded(dir.path(), AGENT, script, &json!({"a": [1.50, "x"]})).await;
    let text = recording.write();
    let redacted = redacted(recording, &Redaction::usual()).await.unwrap();
    assert_eq!(redacted.write(), text);
}

#[test]
fn a_pattern_that_is_none_is_named() {
    let error = Redaction::usual().and_form("(").unwrap_err().to_string();
    assert!(error.starts_with("\"(\" is no regular expression"), "{error}");
}
