//! What holds of every run of `order`, whatever was killed on the way: the journal is held against
//! the ledger, which lives outside relight.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops")]

use std::collections::{BTreeMap, BTreeSet};

use relight::agent::ToolOutput;
use relight::journal::sqlite::Sqlite;
use relight::journal::{Effect, End, Event, FailureKind, Record, StepKind, Store, TaskId};
use relight::mcp::till::Entry;

use super::home::{Home, tasks};

/// Charges that each run makes.
pub(crate) const CHARGES: usize = 4;

/// What became of a step.
enum Outcome {
    Completed(String),
    InDoubt,
}

/// Checks all tasks of a home. All must have ended.
pub(crate) async fn check(home: &Home, journal: &Sqlite) {
    let ledger = home.ledger();
    let mut by_key: BTreeMap<&str, Vec<(usize, &Entry)>> = BTreeMap::new();
    for (at, entry) in ledger.iter().enumerate() {
        let key = entry.key.as_deref().expect("every call carries a key");
        by_key.entry(key).or_default().push((at + 1, entry));
    }
    for (key, entries) in &by_key {
        assert_eq!(entries.len(), 1, "{key} took effect more than once: {entries:?}");
    }
    for task in tasks(journal).await {
        let records = journal.history(task.id, 0).await.unwrap();
        let effects: BTreeMap<_, _> = by_key
            .iter()
            .filter_map(|(key, entries)| {
                Some((key.strip_prefix(&format!("{}/", task.id))?.to_owned(), entries[0]))
            })
            .collect();
        check_task(task.id, &records, &effects);
    }
}

fn check_task(task: TaskId, records: &[Record], effects: &BTreeMap<String, (usize, &Entry)>) {
    let (mut started, mut outcomes) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        match &record.event {
            Event::StepStarted { key, effect, kind, .. } => {
                assert!(!outcomes.contains_key(key), "{task}/{key} ran again after its end");
                started.insert(key.clone(), (*effect, *kind));
            }
            Event::StepCompleted { key, output } => {
                let text = output.read::<ToolOutput>().map(|tool| tool.text).unwrap_or_default();
                let again = outcomes.insert(key.clone(), Outcome::Completed(text));
                assert!(again.is_none(), "{task}/{key} was completed twice");
            }
            Event::StepFailed { key, failure } => {
                assert_eq!(failure.kind, FailureKind::InDoubt, "{task}/{key}: {failure}");
                let again = outcomes.insert(key.clone(), Outcome::InDoubt);
                assert!(again.is_none(), "{task}/{key} ended twice");
            }
            _ => {}
        }
    }
    let keys: BTreeSet<_> = started.keys().collect();
    assert!(effects.keys().all(|key| keys.contains(key)), "{task}: {effects:?} not of {keys:?}");

    let mut last_charge = None;
    for (key, (effect, kind)) in &started {
        let happened = effects.get(key);
        match (outcomes.get(key), effect) {
            (Some(Outcome::Completed(_)), Effect::Pure) => assert!(happened.is_none()),
            (Some(Outcome::Completed(text)), Effect::Once) => {
                let (at, _) = happened.unwrap_or_else(|| panic!("{task}/{key} had no effect"));
                assert!(text.ends_with(&format!("charge ch_{at}")), "{task}/{key}: {text}");
            }
            (Some(Outcome::Completed(_)), Effect::Idempotent) => {
                // A model call has no effect in the ledger.
                assert_eq!(happened.is_some(), *kind == StepKind::Tool, "{task}/{key}");
            }
            (Some(Outcome::InDoubt), effect) => assert_eq!(*effect, Effect::Once, "{task}/{key}"),
            (None, _) => {
                panic!("{task}/{key} was started and never ended, and the task has ended")
            }
        }
        if *effect == Effect::Once {
            last_charge = Some((key, &outcomes[key]));
        }
    }
    check_answer(task, records, last_charge.map(|(_, outcome)| outcome));
    let charges = started.values().filter(|(effect, _)| *effect == Effect::Once).count();
    assert_eq!(charges, CHARGES, "{task}");
}

/// The answer repeats what is known of the last charge.
fn check_answer(task: TaskId, records: &[Record], last_charge: Option<&Outcome>) {
    let end = records.last().and_then(|record| record.event.end());
    let Some(End::Completed(answer)) = end else { panic!("{task} has not completed: {end:?}") };
    let answer: String = answer.read().unwrap();
    match last_charge.expect("every run charges") {
        Outcome::Completed(text) => assert!(answer.ends_with(text.as_str()), "{answer} / {text}"),
        Outcome::InDoubt => assert!(answer.contains("outcome of this call is unknown"), "{answer}"),
    }
}
