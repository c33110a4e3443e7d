//! Code that asks for something else than the history holds.

use super::*;
use relight::durable::Mismatch;
use relight::journal::FailureKind;

fn with_input(effect: Effect, input: &str) -> Ask {
    let shown = json(input);
    Ask { input: shown.hash(), shown: Some(shown), ..ask(effect) }
}

fn recorded(input: &str) -> Event {
    let Ask { kind, effect, input, shown } = with_input(Effect::Once, input);
    let key = "charge".to_owned();
    Event::StepStarted { key, kind, effect, input, shown, attempt: 1, until_ms: None }
}

#[track_caller]
fn message(event: Event, ask: &Ask) -> String {
    let cursor = Cursor::new(history([event])).unwrap();
    match cursor.decide("charge", ask) {
        Decision::Mismatch(mismatch) => {
            assert_eq!(mismatch.failure().kind, FailureKind::Mismatch);
            mismatch.failure().message
        }
        other => panic!("no mismatch: {other:?}"),
    }
}

#[test]
fn another_input_is_shown_as_a_diff() {
    let ask = with_input(Effect::Once, r#"{"amount":43,"order":"A1"}"#);
    insta::assert_snapshot!(message(recorded(r#"{"amount":42,"order":"A1"}"#), &ask), @r#"
    step "charge" does not match what the journal recorded for it (- recorded, + asked for now):
      kind: run
      effect: once
    - input hash: eaed373bebdb42f1e55fc1305e5f14c6
    + input hash: 066ee095eee543d76faa139faf2310b0
      input: {
    -   "amount": 42,
    +   "amount": 43,
        "order": "A1"
      }
    The task stopped before doing anything else and its history is kept. The code, a definition or a setting changed under a running task: start relight with what the task began with, or start a new task.
    "#);
}

#[test]
fn another_effect_is_a_mismatch() {
    let ask = with_input(Effect::Idempotent, "1");
    let message = message(recorded("1"), &ask);
    assert!(message.contains("- effect: once\n+ effect: idempotent\n"), "{message}");
}

#[test]
fn a_mismatch_comes_before_any_answer() {
    let events = [recorded("1"), completed("charge", "\"paid\"")];
    let cursor = Cursor::new(history(events)).unwrap();
    let decision = cursor.decide("charge", &with_input(Effect::Once, "2"));
    assert!(matches!(decision, Decision::Mismatch(Mismatch::Step { .. })), "{decision:?}");
}

#[test]
fn an_end_that_leaves_out_a_finished_step_is_a_mismatch() {
    let events = [
        started("charge", Effect::Once),
        completed("charge", "1"),
        started("mail", Effect::Once),
        completed("mail", "2"),
        started("abandoned", Effect::Pure),
    ];
    let mut cursor = Cursor::new(history(events)).unwrap();
    let unreached = |key: &str| Some(Mismatch::Unreached { key: key.to_owned() });
    assert_eq!(cursor.unreached(), unreached("charge"));
    cursor.open("charge").unwrap();
    assert_eq!(cursor.unreached(), unreached("mail"));
    cursor.open("mail").unwrap();
    assert_eq!(cursor.unreached(), None);
}
