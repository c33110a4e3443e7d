//! A step that was started and has no outcome.

use super::*;

#[test]
fn a_once_step_is_in_doubt() {
    let events = [started("charge", Effect::Once)];
    check(events, "charge", &ask(Effect::Once), Decision::InDoubt { attempts: 1 });
}

#[test]
fn a_once_step_is_in_doubt_after_a_second_attempt_too() {
    let failure = Failure::transient("no connection");
    let key = "charge".to_owned();
    let events = [
        started("charge", Effect::Once),
        Event::StepAttemptFailed { key, attempt: 1, failure, retry_at_ms: 0 },
        attempt("charge", Effect::Once, 2),
    ];
    check(events, "charge", &ask(Effect::Once), Decision::InDoubt { attempts: 2 });
}

#[test]
fn a_once_step_whose_failure_is_known_is_not_in_doubt() {
    let failure = Failure::transient("no connection");
    let key = "charge".to_owned();
    let events = [
        started("charge", Effect::Once),
        Event::StepAttemptFailed { key, attempt: 1, failure, retry_at_ms: 3_000 },
    ];
    let due = Decision::RunAt { attempt: 2, at_ms: 3_000 };
    check(events, "charge", &ask(Effect::Once), due);
}

#[test]
fn a_safe_step_runs_again() {
    for effect in [Effect::Pure, Effect::Idempotent] {
        check([started("mail", effect)], "mail", &ask(effect), Decision::Run { attempt: 2 });
    }
}
