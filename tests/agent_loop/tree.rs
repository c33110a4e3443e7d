//! What a tree of agents uses up: turns that are the caller's too, and what a callee had used that
//! never told it.

use relight::journal::{Failure, FailureKind, Signal, StepKind, StepState};

use super::*;

/// A reply that calls the worker so often.
fn round(calls: u32) -> String {
    let call = |n: u32| format!("{{tool: worker, arguments: {{task: t{n}}}, id: c{n}}}");
    let calls: Vec<_> = (1..=calls).map(call).collect();
    format!("  - {{text: Going on., calls: [{}]}}\n", calls.join(", "))
}

/// A worker that goes in circles.
fn circles() -> String {
    format!("replies:\n{}", "  - {calls: [{tool: none}]}\n".repeat(60))
}

impl Bench {
    /// The turns of a task and of all below it.
    async fn turns(&self, task: TaskId) -> usize {
        let history = self.history(task).await;
        let mut turns = history.steps().filter(|(_, step)| step.kind == StepKind::Model).count();
        for child in self.children(task).await {
            turns += Box::pin(self.turns(child.id)).await;
        }
        turns
    }

    /// What became of a call of an agent.
    async fn called(&self, task: TaskId, key: &str) -> Failure {
        match &self.history(task).await.step(key).unwrap().state {
            StepState::Failed(failure) => failure.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn turns_of_a_budget_are_those_of_the_whole_tree() {
    let lead = format!("replies:\n{}", round(5).repeat(20));
    let (bench, task) = Bench::team(&[
        ("lead", "agents: [worker]\nbudget: {turns: 17}", &lead),
        ("worker", "", &circles()),
    ])
    .await;
    let end = bench.told(task).await;
    assert!(end.starts_with("failed: the budget is used up: 17 of 17 turns are over; "), "{end}");
    assert!(end.contains("`budget.turns`") && end.ends_with("Going on."), "{end}");
    assert_eq!(bench.turns(task).await, 17);
    // Of the 16 that are left after the first one the lead keeps three, and the calls share the rest.
    let end = bench.told(bench.children(task).await[0].id).await;
    assert!(end.contains("3 of 3 turns are over; raise `budget.turns` in the file of"), "{end}");
}

#[tokio::test]
async fn turns_are_drawn_on_through_every_level() {
    let lead = format!("replies:\n{}", round(2).repeat(20));
    let lead = lead.replace("worker", "middle");
    let middle = format!("replies:\n{}", round(3).repeat(20));
    let (bench, task) = Bench::team(&[
        ("lead", "agents: [middle]\nbudget: {turns: 40}", &lead),
        ("middle", "agents: [worker]", &middle),
        ("worker", "maxTurns: 2", &circles()),
    ])
    .await;
    let end = bench.told(task).await;
    assert!(end.contains("turns are over"), "{end}");
    assert_eq!(bench.turns(task).await, 40);
}

#[tokio::test]
async fn an_agent_s_own_turns_are_a_bound_of_its_own() {
    let lead = format!("replies:\n{}  - {{text: '{{{{last}}}}'}}\n", round(1));
    let (bench, task) = Bench::team(&[
        ("lead", "agents: [worker]\nmaxTurns: 2", &lead),
        ("worker", "maxTurns: 7", &circles()),
    ])
    .await;
    let end = bench.told(task).await;
    assert!(end.contains("The agent worker failed: no answer after 7 turns"), "{end}");
    assert_eq!(bench.turns(task).await, 9);
}

#[tokio::test]
async fn more_turns_for_a_callee_are_more_for_its_caller() {
    let lead = format!("replies:\n{}{}", round(1), "  - {text: '{{last}}'}\n");
    let worker = "replies: [{calls: [{tool: none}]}, {calls: [{tool: none}]}, {text: dug}]";
    let (mut bench, task) = Bench::team(&[
        ("lead", "agents: [worker]\nbudget: {turns: 3}", &lead),
        ("worker", "budget: {atLimit: ask}", worker),
    ])
    .await;
    let key = "turn-1/tool-1#child/turn-2/raise-turns";
    let words = bench.until_asks(task, key).await;
    assert!(words.contains("1 of 1 turns are over"), "{words}");
    bench.restart().await;
    bench.say(task, key, json!({"turns": 2})).await;
    assert_eq!(bench.told(task).await, "completed \"dug\"");
    assert_eq!(bench.turns(task).await, 5);
}

const SPENT: &str = "{calls: [{tool: none}], usage: {input_tokens: 100, output_tokens: 20}}";

/// A lead whose worker has spent 120 tokens and then says nothing for long.
async fn stuck(worker: &str) -> (Bench, TaskId) {
    let lead = format!("replies:\n{}  - {{text: '{{{{last}}}}'}}\n", round(1));
    let script = format!("replies: [{SPENT}, {{text: late, latency_ms: 60000}}]");
    Bench::team(&[
        ("lead", "agents: [worker]\nbudget: {tokens: 100000}", &lead),
        ("worker", worker, &script),
    ])
    .await
}

/// Checks that the lead counts what the worker has used, and not all that it might have.
async fn counted(bench: &Bench, task: TaskId, kind: FailureKind) {
    let failure = bench.called(task, "turn-1/tool-1").await;
    assert_eq!(failure.kind, kind, "{failure}");
    let spent: Value = failure.details.unwrap().read().unwrap();
    // The call that was under way has read something, too.
    let tokens = spent["tokens"].as_u64().unwrap();
    assert!((121..1_000).contains(&tokens), "{spent}");
    assert_eq!(spent["estimated"], true);
    let message = bench.runtime.store().task(task).await.unwrap().unwrap().message.unwrap();
    assert!(message.contains("answered in 2 turns; about "), "{message}");
}

#[tokio::test]
async fn a_callee_that_runs_out_of_time_counts_for_what_it_used() {
    let (bench, task) = stuck("budget: {wallTime: 2s}").await;
    let end = bench.told(task).await;
    assert!(end.contains("The agent worker failed: out of time"), "{end}");
    counted(&bench, task, FailureKind::Final).await;
}

#[tokio::test]
async fn a_callee_that_somebody_cancels_counts_for_what_it_used() {
    let (mut bench, task) = stuck("").await;
    let worker = loop {
        if let Some(worker) = bench.children(task).await.first()
            && bench.history(worker.id).await.step("turn-2/model").is_some()
        {
            break worker.id;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let (store, now_ms) = (bench.runtime.store(), bench.runtime.clock().now_ms());
    store.signal(worker, Signal::Cancel { reason: None }, now_ms).await.unwrap();
    let end = bench.told(task).await;
    assert!(end.contains("The agent worker was stopped: cancelled"), "{end}");
    counted(&bench, task, FailureKind::Cancelled).await;
    bench.restart().await;
    counted(&bench, task, FailureKind::Cancelled).await;
}
