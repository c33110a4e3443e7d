//! The fold of a task's events, over histories made by hand.

use relight::journal::{
    Effect, End, Event, Failure, FailureKind, History, Payload, Record, StepKind, StepState,
};
use serde_json::json;

use crate::support::{
    T0, completed, every_event, noise, payload, record, started, task_completed, task_id,
};

/// The events of a task with one step, to its end.
fn legal() -> Vec<Record> {
    let mut records = vec![record(0, every_event().swap_remove(0))];
    records.push(record(1, Event::TaskClaimed { epoch: 1 }));
    records.push(started(2, "a", 1));
    records.push(completed(3, "a", payload(&json!("paid"))));
    records.push(task_completed(4));
    records
}

/// Folds events, giving them their places; `expected` is part of the error, or `Ok` for none.
#[track_caller]
fn check(events: Vec<Event>, expected: Result<(), &str>) {
    check_records((0..).zip(events).map(|(seq, event)| record(seq, event)).collect(), expected);
}

#[track_caller]
fn check_records(records: Vec<Record>, expected: Result<(), &str>) {
    let count = u64::try_from(records.len()).unwrap();
    match (History::of(records), expected) {
        (Ok(history), Ok(())) => assert_eq!(history.next_seq(), count),
        (Err(error), Err(part)) => {
            assert!(error.to_string().contains(part), "{error}");
        }
        (folded, expected) => panic!("{folded:?}, not {expected:?}"),
    }
}

/// Some events of a task, after its first.
fn task(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    std::iter::once(every_event().swap_remove(0)).chain(events).collect()
}

fn start(key: &str, attempt: u32) -> Event {
    started(0, key, attempt).event
}

fn complete(key: &str) -> Event {
    completed(0, key, Payload::null()).event
}

fn fail(key: &str) -> Event {
    Event::StepFailed { key: key.to_owned(), failure: Failure::is_final("no") }
}

fn attempt_failed(key: &str, attempt: u32) -> Event {
    let failure = Failure::transient("busy");
    Event::StepAttemptFailed { key: key.to_owned(), attempt, failure, retry_at_ms: T0 }
}

fn end() -> Event {
    task_completed(0).event
}

#[test]
fn legal_runs_are_folded() {
    check(vec![], Ok(()));
    check_records(legal(), Ok(()));
    check(task([]), Ok(()));
    // Parallel steps end in any order, and a claim may come between any two events.
    check(
        task([
            Event::TaskClaimed { epoch: 1 },
            start("a", 1),
            start("b", 1),
            complete("b"),
            Event::TaskClaimed { epoch: 2 },
            fail("a"),
            end(),
        ]),
        Ok(()),
    );
    // Tries: failed and retried, crashed and retried, given up while waiting.
    let retried = [start("a", 1), attempt_failed("a", 1), start("a", 2), start("a", 3)];
    check(task(retried.into_iter().chain([complete("a")])), Ok(()));
    check(task([start("a", 1), attempt_failed("a", 1), fail("a"), end()]), Ok(()));
    check(task([start("a", 1), attempt_failed("a", 1), complete("a")]), Ok(()));
    // Every kind of event, up to the first end.
    let events = every_event();
    let ends = events.iter().position(|event| event.end().is_some()).unwrap();
    let mut events: Vec<_> = events.into_iter().take(ends + 1).collect();
    check(events.clone(), Ok(()));
    for other in every_event().into_iter().filter(|event| event.end().is_some()) {
        *events.last_mut().unwrap() = other;
        check(events.clone(), Ok(()));
    }
}

#[test]
fn a_truncated_history_is_legal_and_one_without_its_head_is_not() {
    for length in 0..=legal().len() {
        check_records(legal()[..length].to_vec(), Ok(()));
    }
    for gone in 1..legal().len() {
        check_records(legal()[gone..].to_vec(), Err("event 0 was expected here"));
    }
    check(vec![Event::TaskClaimed { epoch: 1 }], Err("begins with task_created"));
}

#[test]
fn duplicated_events_are_refused() {
    for at in 0..legal().len() {
        let mut records = legal();
        records.insert(at, records[at].clone());
        check_records(records, Err(&format!("event {} was expected here", at + 1)));
    }
    let again = task([]).remove(0);
    check(task([again]), Err("holds it once"));
    check(task([start("a", 1), start("a", 1)]), Err("has 1 attempts, and this says attempt 1"));
    check(task([start("a", 1), complete("a"), complete("a")]), Err("is completed"));
    check(task([start("a", 1), fail("a"), complete("a")]), Err("is failed"));
    check(task([start("a", 1), attempt_failed("a", 1), attempt_failed("a", 1)]), Err("waiting"));
}

#[test]
fn reordered_events_are_refused() {
    for at in 1..legal().len() {
        let mut records = legal();
        records.swap(at - 1, at);
        check_records(records, Err(&format!("event {} was expected here", at - 1)));
    }
    check(task([complete("a"), start("a", 1)]), Err("was never started"));
    check(task([start("a", 2)]), Err("has 0 attempts, and this says attempt 2"));
    check(task([start("a", 1), complete("a"), start("a", 2)]), Err("has already completed"));
}

#[test]
fn events_of_unknown_steps_are_refused() {
    for event in [complete("b"), fail("b"), attempt_failed("b", 1)] {
        check(task([start("a", 1), event]), Err("step \"b\" was never started"));
    }
}

#[test]
fn nothing_follows_the_end() {
    for event in every_event().into_iter().skip(1) {
        check(task([end(), event]), Err("the task has already ended"));
    }
}

#[test]
fn a_fork_is_told_of_at_once_or_not_at_all() {
    let forked = || Event::TaskForked { task: task_id(2), at: "turn-3".to_owned() };
    check(task([forked(), start("a", 1), complete("a")]), Ok(()));
    check(task([start("a", 1), forked()]), Err("right after its creation"));
    check(task([forked(), forked()]), Err("right after its creation"));
}

#[test]
fn a_refused_event_changes_nothing() {
    let mut history = History::of(legal().into_iter().take(3)).unwrap();
    let refused = history.apply(completed(3, "b", Payload::null())).unwrap_err();
    assert_eq!(refused.seq, 3);
    assert_eq!(*refused.event, complete("b"));
    assert_eq!(history.next_seq(), 3);
    history.apply(legal().remove(3)).unwrap();
    history.apply(legal().remove(4)).unwrap();
}

#[test]
fn all_of_a_history_can_be_asked_for() {
    let cancel =
        |reason: Option<&str>| Event::CancelRequested { reason: reason.map(str::to_owned) };
    let output = noise(64, 1);
    let sleep = Event::StepStarted {
        key: "nap".to_owned(),
        kind: StepKind::Timer,
        effect: Effect::Pure,
        input: output.hash(),
        shown: Some(output.clone()),
        attempt: 1,
        until_ms: Some(T0 + 9),
    };
    let events = task([
        Event::TaskClaimed { epoch: 1 },
        sleep,
        start("b", 1),
        attempt_failed("b", 1),
        Event::TaskClaimed { epoch: 4 },
        cancel(None),
        cancel(Some("enough")),
        completed(0, "nap", output.clone()).event,
        start("c", 1),
    ]);
    let records = (0..).zip(events).map(|(seq, event)| record(seq, event));
    let mut history = History::of(records).unwrap();

    let Some(Event::TaskCreated { seed, parent, .. }) = history.created() else {
        panic!("{:?}", history.created())
    };
    assert_eq!((*seed, parent.as_ref().unwrap().task), (u64::MAX, task_id(0xfeed)));
    assert_eq!((history.claims(), history.next_seq()), (2, 10));
    assert_eq!(history.cancel_requested(), Some(&Some("enough".to_owned())));
    let keys: Vec<&str> = history.steps().map(|(key, _)| key).collect();
    assert_eq!(keys, ["nap", "b", "c"]);

    let nap = history.step("nap").unwrap();
    assert_eq!((nap.kind, nap.effect, nap.attempts), (StepKind::Timer, Effect::Pure, 1));
    assert_eq!((nap.started_at_ms, nap.until_ms), (T0 + 2, Some(T0 + 9)));
    assert_eq!(nap.shown, Some(output.clone()));
    assert_eq!(nap.state, StepState::Completed(output));
    let waiting = StepState::Waiting { retry_at_ms: T0, failure: Failure::transient("busy") };
    assert_eq!(history.step("b").unwrap().state, waiting);
    assert!(!history.step("c").unwrap().state.is_finished());
    assert_eq!(history.step("d"), None);

    assert_eq!(history.end(), None);
    let failure = Failure::new(FailureKind::Mismatch, "the prompt has changed");
    history.apply(record(10, Event::TaskStopped { failure: failure.clone() })).unwrap();
    assert_eq!(history.end(), Some(&End::Stopped(failure)));
}
