//! Steps are known by their keys: the order in which parallel steps finished plays no part.

use proptest::prelude::*;

use super::*;

#[test]
fn parallel_steps_may_have_finished_in_any_order() {
    let starts = ["a", "b", "c"].map(|key| started(key, Effect::Once));
    let ends = [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"], ["c", "b", "a"]];
    for order in ends {
        let ends = order.map(|key| completed(key, &format!("\"{key}\"")));
        let mut cursor = Cursor::new(history(starts.clone().into_iter().chain(ends))).unwrap();
        for name in ["b", "a", "c"] {
            let key = cursor.open(name).unwrap();
            let output = json(&format!("\"{name}\""));
            assert_eq!(cursor.decide(&key, &ask(Effect::Once)), Decision::Recorded(Ok(output)));
        }
    }
}

#[test]
fn two_steps_of_one_name_must_not_be_open_at_once() {
    let mut cursor = Cursor::new(history([])).unwrap();
    cursor.open("charge").unwrap();
    let message = cursor.open("charge").unwrap_err().failure().message;
    assert!(message.contains("Give each branch a scope of its own"), "{message}");
    cursor.close("charge");
    assert_eq!(cursor.open("charge").unwrap(), "charge#2");
}

proptest! {
    /// Whatever prefix of a run survived, a finished step answers, and no `Once` step that was
    /// started runs by itself.
    #[test]
    fn no_prefix_of_a_run_repeats_a_once_step(interleaving in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(), cut in 0usize..17) {
        let key = |n: usize| format!("s{n}");
        let starts = (0..8).map(|n| started(&key(n), Effect::Once));
        let ends = interleaving.iter().map(|n| completed(&key(*n), &n.to_string()));
        let events: Vec<_> = starts.chain(ends).take(cut).collect();
        let cursor = Cursor::new(history(events.clone())).unwrap();
        for n in 0..8 {
            let has = |wanted: &Event| events.contains(wanted);
            let expected = if has(&completed(&key(n), &n.to_string())) {
                Decision::Recorded(Ok(json(&n.to_string())))
            } else if has(&started(&key(n), Effect::Once)) {
                Decision::InDoubt { attempts: 1 }
            } else {
                Decision::Run { attempt: 1 }
            };
            prop_assert_eq!(cursor.decide(&key(n), &ask(Effect::Once)), expected);
        }
    }
}
