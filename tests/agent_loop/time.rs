//! Time as a model sees it: waits of weeks, over restarts and jumps of the clock, and the run's own
//! deadline.

use std::time::Duration;

use relight::durable::ManualClock;
use relight::journal::{Status, Task};

use super::*;

const BEGIN_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

async fn bench(answers: impl IntoIterator<Item = Answer>) -> (Bench, ManualClock) {
    let clock = ManualClock::at_ms(BEGIN_MS);
    (Bench::with_clock(answers, Some(clock.clone())).await, clock)
}

fn waits(tool: &str, arguments: &str) -> Answer {
    Answer::calls(&[("c1", tool, arguments)])
}

/// Waits until the task is parked: it has no lease, and its model is not being asked.
async fn parked(bench: &Bench, task: TaskId) -> Task {
    let store = Arc::clone(bench.runtime.store());
    let mut changes = store.changes();
    let look = async {
        loop {
            changes.mark_unchanged();
            let found = store.task(task).await.unwrap().unwrap();
            if found.epoch > 0 && found.runner.is_none() && found.status == Status::Working {
                return found;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.unwrap()
}

#[tokio::test]
async fn a_model_sleeps_for_two_weeks_over_a_restart() {
    let (mut bench, clock) =
        bench([waits("sleep", r#"{"duration": "14d"}"#), Answer::says("Good morning.")]).await;
    let task = bench.call("tools: [sleep]", "hello").await;
    assert_eq!(parked(&bench, task).await.wake_at_ms, Some(BEGIN_MS + 14 * DAY_MS));
    bench.restart().await;
    clock.advance_ms(10 * DAY_MS);
    assert_eq!(parked(&bench, task).await.wake_at_ms, Some(BEGIN_MS + 14 * DAY_MS));
    assert_eq!(bench.server.asked().len(), 1, "nobody pays for a model that sleeps");
    clock.advance_ms(4 * DAY_MS);
    assert!(matches!(bench.end(task).await, End::Completed(_)));
    assert_eq!(
        bench.messages(1).pop().unwrap(),
        "tool: The wait is over. It is 2023-11-28T22:13:20Z now."
    );
}

#[tokio::test]
async fn a_model_waits_until_a_time() {
    let (bench, clock) = bench([
        waits("wait_until", r#"{"time": "2023-11-20T09:00:00+01:00"}"#),
        Answer::says("Good morning."),
    ])
    .await;
    let task = bench.call("tools: [wait_until]", "hello").await;
    let until_ms = 1_700_467_200_000;
    assert_eq!(parked(&bench, task).await.wake_at_ms, Some(until_ms));
    // The clock is set back, and then ahead by more than was left.
    clock.advance_ms(-DAY_MS);
    assert_eq!(parked(&bench, task).await.wake_at_ms, Some(until_ms));
    clock.advance_ms(30 * DAY_MS);
    assert!(matches!(bench.end(task).await, End::Completed(_)));
    let told = bench.messages(1).pop().unwrap();
    assert!(told.contains("It is 2023-12-13T22:13:20Z now."), "{told}");
}

#[tokio::test]
async fn a_time_that_has_passed_is_not_waited_for() {
    let (bench, _clock) = bench([
        waits("wait_until", r#"{"time": "2020-01-01T00:00:00Z"}"#),
        Answer::says("Good morning."),
    ])
    .await;
    assert_eq!(bench.run("tools: [wait_until]").await, "completed \"Good morning.\"");
    let told = bench.messages(1).pop().unwrap();
    assert!(told.starts_with("tool: The wait is over."), "{told}");
}

#[tokio::test]
async fn waits_side_by_side_take_as_long_as_the_longest() {
    let two = [("c1", "sleep", r#"{"duration": "2d"}"#), ("c2", "sleep", r#"{"duration": "5d"}"#)];
    let (bench, clock) = bench([Answer::calls(&two), Answer::says("Good morning.")]).await;
    let task = bench.call("tools: [sleep]", "hello").await;
    assert_eq!(parked(&bench, task).await.wake_at_ms, Some(BEGIN_MS + 2 * DAY_MS));
    clock.advance_ms(5 * DAY_MS);
    assert!(matches!(bench.end(task).await, End::Completed(_)));
    assert_eq!(bench.messages(1).iter().filter(|told| told.starts_with("tool: ")).count(), 2);
}

#[tokio::test]
async fn what_is_no_time_is_told_to_the_model() {
    let wrong = [
        ("sleep", r#"{"duration": "a while"}"#, "is no duration"),
        ("sleep", r#"{"duration": "1000d"}"#, "Nobody waits longer than 400 days"),
        ("sleep", r#"{"seconds": 5}"#, "do not fit the tool's schema"),
        ("wait_until", r#"{"time": "tomorrow"}"#, "is no RFC 3339 time"),
        ("wait_until", r#"{"time": "2099-01-01T00:00:00Z"}"#, "Nobody waits longer"),
    ];
    let calls = wrong.iter().map(|(tool, arguments, _)| waits(tool, arguments));
    let (bench, _clock) = bench(calls.chain([Answer::says("Sorry.")])).await;
    assert_eq!(bench.run("tools: [sleep, wait_until]").await, "completed \"Sorry.\"");
    for (n, (_, arguments, words)) in wrong.iter().enumerate() {
        let told = bench.messages(n + 1).pop().unwrap();
        assert!(told.contains(words), "{arguments}: {told}");
    }
}

#[tokio::test]
async fn an_agent_that_does_not_name_them_has_them_and_one_that_names_others_has_not() {
    let (bench, _clock) = bench([Answer::says("hi"), Answer::says("hi")]).await;
    bench.run("").await;
    bench.run("tools: []").await;
    let offered = |request: usize| bench.server.asked()[request].body["tools"].to_string();
    assert!(offered(0).contains("wait_until") && offered(0).contains("sleep"), "{}", offered(0));
    assert_eq!(offered(1), "null");
}

#[tokio::test]
async fn wall_time_ends_a_sleep() {
    let (mut bench, clock) = bench([waits("sleep", r#"{"duration": "7d"}"#)]).await;
    let task = bench.call("tools: [sleep]\nbudget: {wallTime: 2d}", "hello").await;
    assert_eq!(parked(&bench, task).await.wake_at_ms, Some(BEGIN_MS + 2 * DAY_MS));
    bench.restart().await;
    clock.advance_ms(2 * DAY_MS);
    let End::Failed(failure) = bench.end(task).await else { panic!("it went on") };
    assert_eq!(
        failure.message,
        "out of time: the task's deadline was 2023-11-16T22:13:20Z, set by `budget.wallTime`; give \
         new tasks more"
    );
}

#[tokio::test]
async fn wall_time_ends_a_model_call_that_hangs() {
    let (bench, clock) = bench([Answer::silence()]).await;
    let task = bench.call("budget: {wallTime: 1h}", "hello").await;
    bench.server.until_asked(1).await;
    clock.advance_ms(60 * 60 * 1_000);
    let End::Failed(failure) = bench.end(task).await else { panic!("it went on") };
    assert!(failure.message.starts_with("out of time: "), "{failure}");
    // The request is dropped.
    bench.server.until_left(1).await;
}
