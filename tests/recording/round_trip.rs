//! A recording that was written, read and written again is the same to the last byte.

use proptest::prelude::*;
use relight::journal::sqlite::Sqlite;
use relight::journal::{Event, Failure, Payload, Recording, Store};

use crate::payloads::any_payload;
use crate::support::{
    child, completed, leased, new_task, record, runner, started, task_completed, task_id,
};

/// A step of a generated task, and what became of it.
#[derive(Debug, Clone)]
enum Step {
    Completed(Payload),
    FailedTwice(Payload),
    UnderWay,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any_payload().prop_map(Step::Completed),
        1 => any_payload().prop_map(Step::FailedTwice),
        1 => Just(Step::UnderWay),
    ]
}

/// The events after the claim, without their places.
fn events(steps: &[Step]) -> Vec<Event> {
    let mut events = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let key = format!("step-{n}");
        events.push(started(0, &key, 1).event);
        match step {
            Step::Completed(output) => events.push(completed(0, &key, output.clone()).event),
            Step::FailedTwice(details) => {
                let failure = Failure {
                    details: Some(details.clone()),
                    ..Failure::transient("try \"later\"\n")
                };
                events.push(Event::StepAttemptFailed {
                    key: key.clone(),
                    attempt: 1,
                    failure: failure.clone(),
                    retry_at_ms: 7,
                });
                events.push(started(0, &key, 2).event);
                events.push(Event::StepFailed { key, failure });
            }
            Step::UnderWay => {}
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_written_again_to_the_letter(
        tasks in prop::collection::vec(prop::collection::vec(any_step(), 0..6), 1..5),
        input in any_payload(),
        ends in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let store = Sqlite::open(&dir.path().join("journal.db")).unwrap();
            // A root with children, the last of which has the one before it for a parent.
            for (n, steps) in (1..).zip(&tasks) {
                let new = match n {
                    1 => new_task(1),
                    n if n == tasks.len() as u128 => child(n, n - 1),
                    n => child(n, 1),
                };
                let new = relight::journal::NewTask { input: input.clone(), ..new };
                let lease = leased(&store, new, runner(1)).await;
                let claimed = Event::TaskClaimed { epoch: 1 };
                let mut all = vec![claimed];
                all.extend(events(steps));
                let mut records: Vec<_> =
                    (1..).zip(all).map(|(seq, event)| record(seq, event)).collect();
                if ends {
                    records.push(task_completed(records.len() as u64 + 1));
                }
                store.append(&lease, records, None).await.unwrap();
            }
            let exported = Recording::of(&store, task_id(1)).await.unwrap();
            assert_eq!(exported.tasks().len(), tasks.len());
            let text = exported.write();
            let imported = Recording::read(&text).unwrap();
            assert_eq!(imported.write(), text);
            // It is read as a journal is.
            let again = Recording::of(&imported, task_id(1)).await.unwrap();
            assert_eq!(again.write(), text);
        });
    }
}
