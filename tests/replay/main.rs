//! The replay cursor over hand-built histories, one file a concern.
//!
//! No clock, no store, no tokio: a history and one question about it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod corrupt;
mod in_doubt;
mod mismatch;
mod order;
mod recorded;

use relight::durable::{Ask, Cursor, Decision};
use relight::journal::{Effect, Event, Failure, Hash, Payload, Record, StepKind};

/// Numbers events as a journal would.
fn history(events: impl IntoIterator<Item = Event>) -> Vec<Record> {
    let first = [created()];
    let all = first.into_iter().chain(events).enumerate();
    all.map(|(n, event)| Record { seq: n as u64, at_ms: 1_000 + n as i64, event }).collect()
}

/// Asks for one step of a history and compares.
#[track_caller]
fn check(events: impl IntoIterator<Item = Event>, name: &str, ask: &Ask, expected: Decision) {
    let mut cursor = Cursor::new(history(events)).unwrap();
    let key = cursor.open(name).unwrap();
    assert_eq!(cursor.decide(&key, ask), expected);
}

fn created() -> Event {
    Event::TaskCreated {
        function: "f".to_owned(),
        name: "f".to_owned(),
        input: Payload::null(),
        definition: None,
        seed: 7,
        parent: None,
        deadline: None,
    }
}

fn ask(effect: Effect) -> Ask {
    Ask { kind: StepKind::Run, effect, input: Hash::default(), shown: None }
}

fn started(key: &str, effect: Effect) -> Event {
    attempt(key, effect, 1)
}

fn attempt(key: &str, effect: Effect, attempt: u32) -> Event {
    Event::StepStarted {
        key: key.to_owned(),
        kind: StepKind::Run,
        effect,
        input: Hash::default(),
        shown: None,
        attempt,
        until_ms: None,
    }
}

fn completed(key: &str, output: &str) -> Event {
    Event::StepCompleted { key: key.to_owned(), output: json(output) }
}

fn failed(key: &str, message: &str) -> Event {
    Event::StepFailed { key: key.to_owned(), failure: Failure::is_final(message) }
}

fn json(text: &str) -> Payload {
    Payload::from_json(text.to_owned()).unwrap()
}
