//! Short ways to say what a journal test is about.
#![allow(dead_code, reason = "each suite that includes this file uses a part of it")]

use std::time::Duration;

use relight::journal::{
    Effect, Event, Failure, FailureKind, Hash, Lease, NewTask, ParentLink, Payload, Record,
    RunnerId, StepKind, Store, TaskId,
};
use serde_json::json;

/// When the tests begin, in Unix milliseconds.
pub(crate) const T0: i64 = 1_800_000_000_000;

/// The function that the tasks of [`new_task`] run.
pub(crate) const AGENT: &str = "agent";

pub(crate) fn task_id(n: u128) -> TaskId {
    TaskId::from_bits(n)
}

pub(crate) fn runner(n: u64) -> RunnerId {
    RunnerId::from_bits(n)
}

pub(crate) fn new_task(n: u128) -> NewTask {
    NewTask {
        id: task_id(n),
        function: AGENT.to_owned(),
        name: "checkout".to_owned(),
        input: payload(&json!({"order": 7})),
        definition: None,
        seed: u64::MAX,
        parent: None,
        owner: None,
        owner_tasks_max: None,
        idempotency_key: None,
        ttl_ms: None,
        deadline: None,
        past: Vec::new(),
        created_at_ms: T0,
        runner: None,
    }
}

pub(crate) fn child(n: u128, of: u128) -> NewTask {
    let parent = ParentLink { task: task_id(of), key: "child-1".to_owned(), depth: 1 };
    NewTask { parent: Some(parent), ..new_task(n) }
}

pub(crate) fn payload(value: &serde_json::Value) -> Payload {
    Payload::of(value).unwrap()
}

/// A payload of exactly so many bytes of JSON, which no compressor makes much shorter.
pub(crate) fn noise(bytes: usize, seed: u64) -> Payload {
    let mut state = seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let text: String = (0..bytes - 2)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match b' ' + u8::try_from((state >> 32) % 95).unwrap() {
                b'"' | b'\\' => 'x',
                byte => char::from(byte),
            }
        })
        .collect();
    let payload = payload(&json!(text));
    assert_eq!(payload.json().len(), bytes);
    payload
}

pub(crate) fn record(seq: u64, event: Event) -> Record {
    Record { seq, at_ms: T0 + i64::try_from(seq).unwrap(), event }
}

pub(crate) fn started(seq: u64, key: &str, attempt: u32) -> Record {
    record(
        seq,
        Event::StepStarted {
            key: key.to_owned(),
            kind: StepKind::Tool,
            effect: Effect::Once,
            input: Hash::of(key.as_bytes()),
            shown: None,
            attempt,
            until_ms: None,
        },
    )
}

pub(crate) fn completed(seq: u64, key: &str, output: Payload) -> Record {
    record(seq, Event::StepCompleted { key: key.to_owned(), output })
}

pub(crate) fn task_completed(seq: u64) -> Record {
    record(seq, Event::TaskCompleted { output: payload(&json!("done")) })
}

/// One event of each kind, with and without its optional parts, in an order in which they make a
/// history up to the first end.
pub(crate) fn every_event() -> Vec<Event> {
    let failure = |kind| Failure::new(kind, "the bank said no");
    let full = Failure {
        details: Some(payload(&json!({"body": "try later"}))),
        ..failure(FailureKind::Transient).retry_after_ms(Some(1_500)).with_code(-32_603)
    };
    let started = |key: &str, kind, effect, shown, until_ms| Event::StepStarted {
        key: key.to_owned(),
        kind,
        effect,
        input: Hash::of(key.as_bytes()),
        shown,
        attempt: 1,
        until_ms,
    };
    let completed =
        |key: &str, output| Event::StepCompleted { key: key.to_owned(), output: payload(&output) };
    let failed =
        |key: &str, kind| Event::StepFailed { key: key.to_owned(), failure: failure(kind) };
    vec![
        Event::TaskCreated {
            function: AGENT.to_owned(),
            name: "checkout".to_owned(),
            input: payload(&json!({"order": 7})),
            definition: Some(payload(&json!({"model": "script:checkout.yaml"}))),
            seed: u64::MAX,
            parent: Some(ParentLink {
                task: task_id(0xfeed),
                key: "turn-1/tool-2".to_owned(),
                depth: 1,
            }),
            deadline: None,
        },
        Event::TaskClaimed { epoch: 1 },
        started("turn-1/model", StepKind::Model, Effect::Idempotent, None, None),
        Event::StepAttemptFailed {
            key: "turn-1/model".to_owned(),
            attempt: 1,
            failure: full.clone(),
            retry_at_ms: T0 + 1_500,
        },
        failed("turn-1/model", FailureKind::Final),
        started(
            "turn-1/tool-1",
            StepKind::Tool,
            Effect::Once,
            Some(payload(&json!({"tool": "bank/charge"}))),
            None,
        ),
        failed("turn-1/tool-1", FailureKind::InDoubt),
        started("sleep-1", StepKind::Timer, Effect::Pure, None, Some(T0 + 60_000)),
        completed("sleep-1", json!(null)),
        started("now-1", StepKind::Clock, Effect::Pure, None, None),
        completed("now-1", json!(T0)),
        started("run-1", StepKind::Run, Effect::Idempotent, Some(Payload::null()), None),
        completed("run-1", json!({"text": "naïve \u{1f680}"})),
        started("child-1", StepKind::Child, Effect::Idempotent, None, None),
        failed("child-1", FailureKind::Cancelled),
        Event::CancelRequested { reason: None },
        Event::CancelRequested { reason: Some("changed my mind".to_owned()) },
        Event::TaskCompleted { output: payload(&json!({"text": "done"})) },
        Event::TaskFailed { failure: full },
        Event::TaskCancelled { message: "one charge is in doubt".to_owned() },
        Event::TaskStopped { failure: failure(FailureKind::Mismatch) },
    ]
}

/// Creates a task and takes its lease.
pub(crate) async fn leased(store: &dyn Store, task: NewTask, by: RunnerId) -> Lease {
    let id = store.create(task).await.unwrap().id();
    store.renew(by, T0 + 60_000).await.unwrap();
    store.claim_one(by, id, T0).await.unwrap().unwrap()
}

/// Waits for news of this store, which must come.
pub(crate) async fn news(changes: &mut tokio::sync::watch::Receiver<u64>) {
    tokio::time::timeout(Duration::from_secs(20), changes.changed()).await.unwrap().unwrap();
}
