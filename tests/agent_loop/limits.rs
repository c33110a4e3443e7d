//! What happens at a limit: the end, or a question to a person who may raise it.

use super::*;

const TURNS: &str = "
replies:
  - {text: Thinking., calls: [{tool: none}], usage: {input_tokens: 10, output_tokens: 40}}
  - {calls: [{tool: none}], usage: {input_tokens: 10, output_tokens: 40}}
  - {text: done, usage: {input_tokens: 10, output_tokens: 40}}
";

async fn bench(front_matter: &str) -> (Bench, TaskId) {
    Bench::team(&[("a", front_matter, TURNS)]).await
}

fn accept(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

#[tokio::test]
async fn more_tokens_are_asked_for_until_they_are_enough() {
    let (mut bench, task) = bench("budget: {tokens: 100, atLimit: ask}").await;
    let words = bench.until_asks(task, "turn-2/raise-tokens").await;
    assert!(words.contains("50 of 100 tokens are spent, and the next call reads about"), "{words}");
    bench.reply(task, "turn-2/raise-tokens", accept(json!({"tokens": 1}))).await;
    let words = bench.until_asks(task, "turn-2/raise-tokens#2").await;
    assert!(words.contains("50 of 101 tokens"), "{words}");
    bench.restart().await;
    bench.reply(task, "turn-2/raise-tokens#2", accept(json!({"tokens": 1000}))).await;
    assert!(matches!(bench.end(task).await, End::Completed(_)));
}

#[tokio::test]
async fn turns_and_time_are_asked_for_too() {
    let (bench, task) = bench("maxTurns: 1\nbudget: {wallTime: 1s, atLimit: ask}").await;
    bench.until_asks(task, "turn-2/raise-turns").await;
    let created_at_ms = bench.runtime.store().task(task).await.unwrap().unwrap().created_at_ms;
    bench.runtime.clock().sleep_until(created_at_ms + 1_000).await;
    bench.reply(task, "turn-2/raise-turns", accept(json!({"turns": 5}))).await;
    let words = bench.until_asks(task, "turn-2/raise-time").await;
    assert!(words.contains("s of 1 s are over"), "{words}");
    bench.reply(task, "turn-2/raise-time", accept(json!({"minutes": 0.5}))).await;
    assert!(matches!(bench.end(task).await, End::Completed(_)));
}

#[tokio::test]
async fn a_no_ends_the_task_with_what_it_has() {
    let (bench, task) = bench("maxTurns: 1\nbudget: {atLimit: ask}").await;
    bench.until_asks(task, "turn-2/raise-turns").await;
    bench.reply(task, "turn-2/raise-turns", json!({"action": "decline"})).await;
    match bench.end(task).await {
        End::Failed(failure) => {
            let words = failure.to_string();
            assert!(words.starts_with("no answer after 1 turn; raise `maxTurns`"), "{words}");
            assert!(words.ends_with("; the last that the model said: Thinking."), "{words}");
        }
        end => panic!("{end:?}"),
    }
}

/// Waits until the task is said to be at this.
async fn until_at(bench: &Bench, task: TaskId, words: &str) {
    let mut changes = bench.runtime.store().changes();
    let at = async {
        loop {
            changes.mark_unchanged();
            let found = bench.runtime.store().task(task).await.unwrap().unwrap();
            if found.message.is_some_and(|message| message.contains(words)) {
                return;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), at).await.unwrap();
}

#[tokio::test]
async fn a_call_waits_for_a_place_and_says_so() {
    let mut bench = Bench::new([]).await;
    bench.pace = Some(PaceConfig { concurrent: 1, per_minute: None });
    bench.restart().await;
    let slow = [("slow", "", "replies: [{text: late, latency_ms: 60000}]")];
    let quick = [("quick", "", "replies: [{text: hello}]")];
    let first = bench.call_team(&slow).await;
    until_at(&bench, first, "asking script:slow.yaml").await;
    let (second, third) = (bench.call_team(&quick).await, bench.call_team(&quick).await);
    for waiting in [second, third] {
        until_at(&bench, waiting, "waiting for a place at script:quick.yaml").await;
    }
    bench.runtime.cancel(second, None).await.unwrap();
    assert!(matches!(bench.end(second).await, End::Cancelled(_)));
    bench.runtime.cancel(first, None).await.unwrap();
    assert!(matches!(bench.end(third).await, End::Completed(_)));
}
