//! A step whose outcome is recorded answers from the history.

use super::*;

#[test]
fn a_completed_step_answers_with_its_output() {
    for effect in [Effect::Pure, Effect::Idempotent, Effect::Once] {
        let events = [started("charge", effect), completed("charge", "42")];
        check(events, "charge", &ask(effect), Decision::Recorded(Ok(json("42"))));
    }
}

#[test]
fn a_failed_step_fails_the_same_way_again() {
    let events = [started("charge", Effect::Once), failed("charge", "no such card")];
    let failure = Failure::is_final("no such card");
    check(events, "charge", &ask(Effect::Once), Decision::Recorded(Err(failure)));
}

#[test]
fn a_step_that_the_history_does_not_hold_runs() {
    check([], "charge", &ask(Effect::Once), Decision::Run { attempt: 1 });
}

#[test]
fn a_name_asked_for_again_is_the_next_occurrence() {
    let events = [
        started("now", Effect::Pure),
        completed("now", "1"),
        started("now#2", Effect::Pure),
        completed("now#2", "2"),
    ];
    let mut cursor = Cursor::new(history(events)).unwrap();
    let keys: Vec<_> = (0..3)
        .map(|_| {
            let key = cursor.open("now").unwrap();
            cursor.close("now");
            key
        })
        .collect();
    assert_eq!(keys, ["now", "now#2", "now#3"]);
    assert_eq!(cursor.decide("now#2", &ask(Effect::Pure)), Decision::Recorded(Ok(json("2"))));
    assert_eq!(cursor.decide("now#3", &ask(Effect::Pure)), Decision::Run { attempt: 1 });
}

#[test]
fn attempts_go_on_counting_after_a_crash() {
    let failure = Failure::transient("busy");
    let key = "mail".to_owned();
    let waits = Event::StepAttemptFailed { key, attempt: 1, failure, retry_at_ms: 9_000 };
    let events = [started("mail", Effect::Idempotent), waits];
    let due = Decision::RunAt { attempt: 2, at_ms: 9_000 };
    check(events.clone(), "mail", &ask(Effect::Idempotent), due);

    let again = events.into_iter().chain([attempt("mail", Effect::Idempotent, 2)]);
    check(again, "mail", &ask(Effect::Idempotent), Decision::Run { attempt: 3 });
}

#[test]
fn a_timer_keeps_the_time_at_which_it_was_to_fire() {
    let timer = Event::StepStarted {
        key: "settle".to_owned(),
        kind: StepKind::Timer,
        effect: Effect::Pure,
        input: Hash::default(),
        shown: None,
        attempt: 1,
        until_ms: Some(5_000),
    };
    let ask = Ask { kind: StepKind::Timer, ..ask(Effect::Pure) };
    check([timer], "settle", &ask, Decision::Resume { until_ms: Some(5_000) });
}
