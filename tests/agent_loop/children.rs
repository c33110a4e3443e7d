//! Agents that call agents: tasks of their own, side by side, within the caller's budget.

use relight::agent::{Reply, Usage};
use relight::journal::{Filter, Status, StepKind, StepState, Task};

use super::*;

/// An agent file; its model is the script of its name.
fn agent(name: &str, front_matter: &str) -> Definition {
    let text = format!(
        "---\nname: {name}\ndescription: The {name}.\nmodel: script:{name}.yaml\ntools: []\n{front_matter}\n---\nBe brief."
    );
    Definition::parse(&format!("{name}.md"), &text).unwrap()
}

impl Bench {
    /// Agents and their scripts on a bench of their own; the first is called.
    pub(crate) async fn team(members: &[(&str, &str, &str)]) -> (Self, TaskId) {
        let bench = Self::new([]).await;
        let task = bench.call_team(members).await;
        (bench, task)
    }

    /// Calls the first of these agents.
    pub(crate) async fn call_team(&self, members: &[(&str, &str, &str)]) -> TaskId {
        for (name, _, script) in members {
            std::fs::write(self.dir.path().join(format!("{name}.yaml")), script).unwrap();
        }
        let mut agents = members.iter().map(|(name, front, _)| agent(name, front));
        let first = agents.next().unwrap();
        let pinned = Pinned::new(first, agents.collect(), &Prices::default());
        let arguments = Payload::of(&json!({"task": "hello"})).unwrap();
        self.runtime.start(pinned.start(arguments)).await.unwrap()
    }

    pub(crate) async fn children(&self, task: TaskId) -> Vec<Task> {
        let filter = Filter { parent: Some(task), limit: 100, ..Filter::default() };
        let mut children = self.runtime.store().tasks(filter).await.unwrap();
        children.sort_by_key(|child| child.parent.as_ref().map(|parent| parent.key.clone()));
        children
    }

    /// What this task's model was told by its tools, and what its own calls used up.
    async fn usage(&self, task: TaskId) -> u64 {
        let mut sum = 0;
        for (_, step) in self.history(task).await.steps() {
            if let (StepKind::Model, StepState::Completed(output)) = (step.kind, &step.state) {
                let Usage { input_tokens, output_tokens, .. } =
                    output.read::<Reply>().unwrap().usage.unwrap();
                sum += input_tokens + output_tokens;
            }
        }
        sum
    }

    /// Waits until the task asks this, and tells the words.
    pub(crate) async fn until_asks(&self, task: TaskId, key: &str) -> String {
        let mut changes = self.runtime.store().changes();
        let asked = async {
            loop {
                changes.mark_unchanged();
                let history = self.history(task).await;
                if let Some((_, question)) = history.questions().find(|(open, _)| *open == key) {
                    let question: Value = question.read().unwrap();
                    return question["message"].as_str().unwrap().to_owned();
                }
                changes.changed().await.unwrap();
            }
        };
        let asked = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
        let status = self.runtime.store().task(task).await.unwrap().unwrap().status;
        assert_eq!(status, Status::InputRequired);
        asked
    }
}

fn completed(end: End) -> String {
    match end {
        End::Completed(output) => output.read().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn failed(end: End) -> String {
    match end {
        End::Failed(failure) => failure.to_string(),
        other => panic!("{other:?}"),
    }
}

const LEAD: &str = "
replies:
  - calls:
      - {tool: reader, arguments: {task: the news}, id: one}
      - {tool: reader, arguments: {task: the weather}, id: two}
      - {tool: reader, arguments: {topic: nothing}, id: three}
    usage: {input_tokens: 100, output_tokens: 10}
  - text: 'It is: {{last}}'
    usage: {input_tokens: 100, output_tokens: 10}
";

#[tokio::test]
async fn an_agent_is_a_tool_of_another() {
    let reader =
        "replies: [{text: 'I read {{input}}.', usage: {input_tokens: 50, output_tokens: 5}}]";
    let (bench, task) =
        Bench::team(&[("lead", "agents: [reader]", LEAD), ("reader", "", reader)]).await;
    let answer = completed(bench.end(task).await);
    assert!(answer.starts_with("It is: The arguments do not fit the tool's schema: "), "{answer}");

    let children = bench.children(task).await;
    assert_eq!(children.len(), 2);
    for (child, key) in children.iter().zip(["turn-1/tool-1", "turn-1/tool-2"]) {
        assert_eq!((child.name.as_str(), child.status), ("reader", Status::Completed));
        assert_eq!(child.parent.as_ref().unwrap().key, key);
    }
    let history = bench.history(task).await;
    let StepState::Completed(answer) = &history.step("turn-1/tool-2").unwrap().state else {
        panic!("{history:?}")
    };
    let answer: Value = answer.read().unwrap();
    assert_eq!(
        answer,
        json!({"answer": "I read the weather.", "spent": {"tokens": 55, "microdollars": 0}})
    );
    let message = bench.runtime.store().task(task).await.unwrap().unwrap().message.unwrap();
    assert!(message.contains("330 tokens"), "{message}");
}

#[tokio::test]
async fn five_at_once_stay_within_the_budget_to_the_token() {
    let call = |n: u32| format!("{{tool: worker, arguments: {{task: t{n}}}, id: c{n}}}");
    let calls: Vec<_> = (1..=5).map(call).collect();
    let round = format!(
        "  - text: Going on.\n    calls: [{}]\n    usage: {{input_tokens: 10, output_tokens: 20}}\n",
        calls.join(", ")
    );
    let lead = format!("replies:\n{}", round.repeat(20));
    // Each takes whatever it gets, and calls on until nothing is left of its share.
    let step = "  - {calls: [{tool: none}], usage: {input_tokens: 10, output_tokens: 100}}\n";
    let worker = format!("replies:\n{}", step.repeat(40));
    let (bench, task) = Bench::team(&[
        ("lead", "agents: [worker]\nbudget: {tokens: 6000}", lead.as_str()),
        ("worker", "", worker.as_str()),
    ])
    .await;
    let end = failed(bench.end(task).await);
    assert!(end.starts_with("the budget is used up: "), "{end}");
    assert!(end.contains("`budget.tokens`") && end.contains("Going on."), "{end}");

    let children = bench.children(task).await;
    assert!(children.len() >= 10, "{}", children.len());
    let mut sum = bench.usage(task).await;
    for child in &children {
        let end = failed(bench.end(child.id).await);
        assert!(end.contains("in the file of the agent that called this one"), "{end}");
        sum += bench.usage(child.id).await;
    }
    assert!(sum <= 6000, "{sum}");
    // And it was not left unspent either.
    assert!(sum > 4000, "{sum}");
}

#[tokio::test]
async fn agents_may_call_each_other_only_so_deep() {
    let script = |other: &str| {
        format!(
            "replies:\n  - calls: [{{tool: {other}, arguments: {{task: go}}}}]\n  - text: '{{{{last}}}}'\n"
        )
    };
    let (ping, pong) = (script("pong"), script("ping"));
    let (bench, task) = Bench::team(&[
        ("ping", "agents: [pong]", ping.as_str()),
        ("pong", "agents: [ping]", pong.as_str()),
        ("ping", "agents: [pong]", ping.as_str()),
    ])
    .await;
    let answer = completed(bench.end(task).await);
    assert!(answer.contains("failed: children are 17 levels deep, and at most 16"), "{answer}");
}

#[tokio::test]
async fn a_childs_question_is_its_callers() {
    let lead = "
replies:
  - calls: [{tool: worker, arguments: {task: dig}}]
  - text: 'It says: {{last}}'
";
    let worker = "
replies:
  - {calls: [{tool: none}], usage: {input_tokens: 10, output_tokens: 10}}
  - {text: dug, usage: {input_tokens: 10, output_tokens: 10}}
";
    let ask = "maxTurns: 1\nbudget: {atLimit: ask}";
    let members = [("lead", "agents: [worker]", lead), ("worker", ask, worker)];
    let (mut bench, task) = Bench::team(&members).await;
    let key = "turn-1/tool-1#child/turn-2/raise-turns";
    let words = bench.until_asks(task, key).await;
    assert!(words.starts_with("The agent worker has reached a limit: no answer after 1 turn"));
    bench.restart().await;
    let accept = json!({"action": "accept", "content": {"turns": 1}});
    bench.reply(task, key, accept).await;
    assert_eq!(completed(bench.end(task).await), "It says: dug");
}

#[tokio::test]
async fn a_cancelled_caller_cancels_its_children() {
    let lead = "replies: [{calls: [{tool: worker, arguments: {task: t}}]}]";
    let worker = "replies: [{text: late, latency_ms: 60000}]";
    let members = [("lead", "agents: [worker]", lead), ("worker", "", worker)];
    let (bench, task) = Bench::team(&members).await;
    let mut changes = bench.runtime.store().changes();
    let child = loop {
        changes.mark_unchanged();
        if let Some(child) = bench.children(task).await.first() {
            break child.id;
        }
        changes.changed().await.unwrap();
    };
    bench.runtime.cancel(task, None).await.unwrap();
    assert!(matches!(bench.end(task).await, End::Cancelled(_)));
    assert!(matches!(bench.end(child).await, End::Cancelled(_)));
}
