//! Histories that no run can have written.

use super::*;

#[track_caller]
fn refused(records: Vec<Record>, why: &str) {
    let error = Cursor::new(records).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
}

fn run() -> Vec<Record> {
    history([started("a", Effect::Once), completed("a", "1"), started("b", Effect::Once)])
}

#[test]
fn a_truncated_history_is_an_earlier_state() {
    for len in 0..=run().len() {
        let cursor = Cursor::new(run().into_iter().take(len)).unwrap();
        assert_eq!(cursor.history().next_seq(), len as u64);
    }
}

#[test]
fn a_hole_is_refused() {
    let mut records = run();
    records.remove(1);
    refused(records, "event 1 was expected here");
}

#[test]
fn a_history_without_its_head_is_refused() {
    refused(run().split_off(1), "event 0 was expected here");
    let headless = vec![Record { seq: 0, at_ms: 0, event: started("a", Effect::Pure) }];
    refused(headless, "begins with task_created");
}

#[test]
fn an_outcome_without_a_start_is_refused() {
    refused(history([completed("a", "1")]), "\"a\" was never started");
}

#[test]
fn a_second_outcome_is_refused() {
    let events = [started("a", Effect::Once), completed("a", "1"), completed("a", "2")];
    refused(history(events), "\"a\" is completed");
}

#[test]
fn a_start_after_the_outcome_is_refused() {
    let events = [started("a", Effect::Once), completed("a", "1"), attempt("a", Effect::Once, 2)];
    refused(history(events), "\"a\" has already completed");
}

#[test]
fn an_attempt_out_of_turn_is_refused() {
    refused(history([attempt("a", Effect::Pure, 2)]), "\"a\" has 0 attempts");
}

#[test]
fn nothing_follows_the_end() {
    let end = Event::TaskCompleted { output: Payload::null() };
    refused(history([end, started("a", Effect::Pure)]), "already ended");
}
