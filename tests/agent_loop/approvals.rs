//! `approve`: calls that wait for a person's yes.

use super::*;

const CHARGE: &str = r#"{"order":"A1","amount_cents":5}"#;
const KEY: &str = "turn-1/tool-1/approve";

/// A bench whose model charges a card, and the task that waits for the yes.
async fn charge(front_matter: &str) -> (Bench, TaskId) {
    let calls = Answer::calls(&[("c1", "charge_card", CHARGE)]);
    let bench = Bench::new([calls, Answer::says("done")]).await;
    let task = bench.call(&format!("{TILL}\n{front_matter}"), "hello").await;
    (bench, task)
}

/// Ends the task; returns what the model was told of its call.
async fn told(bench: &Bench, task: TaskId) -> String {
    assert_eq!(bench.told(task).await, "completed \"done\"");
    bench.messages(1).pop().unwrap().trim_start_matches("tool: ").to_owned()
}

#[tokio::test]
async fn a_yes_is_asked_once_with_the_exact_call_and_kept_over_restarts() {
    let (mut bench, task) = charge("approve: [till/charge_card]").await;
    let asked = bench.asked(task).await;
    assert_eq!(asked[0].0, KEY);
    let message = "The agent a wants to call a tool.\n\nTool: till/charge_card\n\
                   Arguments: {\"amount_cents\":5,\"order\":\"A1\"}";
    assert_eq!(asked[0].1.message, message);
    bench.restart().await;
    assert_eq!(bench.asked(task).await, asked);
    assert_eq!(bench.ledger(), Vec::<String>::new());
    bench.say(task, KEY, json!({"decision": "approve"})).await;
    assert_eq!(told(&bench, task).await, "charged 5 cents for order A1: charge ch_1");
    bench.restart().await;
    let questions = bench.history(task).await;
    assert_eq!(questions.steps().filter(|(key, _)| key.contains("approve")).count(), 1);
}

#[tokio::test]
async fn a_no_and_its_reason_reach_the_model() {
    for (answer, expected) in [
        (
            json!({"action": "accept", "content": {"decision": "refuse", "reason": "too much"}}),
            "This call was not made. A person has refused it. The reason: too much",
        ),
        (json!({"action": "decline"}), "This call was not made. A person has refused it."),
        (
            json!({"action": "cancel"}),
            "This call was not made. A person was asked, and gave no answer.",
        ),
    ] {
        let (bench, task) = charge("approve: [till/*]").await;
        bench.asked(task).await;
        bench.reply(task, KEY, answer).await;
        assert_eq!(told(&bench, task).await, expected);
        assert_eq!(bench.ledger(), Vec::<String>::new());
    }
    let (bench, task) = charge("approve: [till/*]\nquestions: {expire: 10ms}").await;
    let expected = "This call was not made. Nobody approved it in time.";
    assert_eq!(told(&bench, task).await, expected);
}

#[tokio::test]
async fn changed_arguments_are_checked_made_and_told() {
    let (bench, task) = charge("approve: [till/charge_card]").await;
    bench.asked(task).await;
    let change = |arguments: &str| json!({"decision": "approve", "arguments": arguments});
    bench.say(task, KEY, change(r#"{"order":"A1","amount_cents":"3"}"#)).await;
    let (key, question) = bench.asked(task).await.pop().unwrap();
    assert_eq!(key, "turn-1/tool-1/approve#2");
    let complaint = "The arguments do not fit the tool's schema: /amount_cents:";
    assert!(question.message.starts_with(complaint), "{}", question.message);
    bench.say(task, &key, change(r#"{"order":"A1","amount_cents":3}"#)).await;
    assert_eq!(
        told(&bench, task).await,
        "A person changed the arguments to {\"amount_cents\":3,\"order\":\"A1\"}.\n\
         charged 3 cents for order A1: charge ch_1"
    );
}

#[tokio::test]
async fn what_is_destructive_by_its_annotations_asks() {
    let bench = Bench::new([
        Answer::calls(&[
            ("c1", "charge_card", CHARGE),
            ("c2", "mail_receipt", r#"{"order":"A1","to":"ada"}"#),
            ("c3", "find_charge", r#"{"order":"A1"}"#),
        ]),
        Answer::says("done"),
    ])
    .await;
    let task = bench.call(&format!("{TILL}\napprove: [destructive]"), "hello").await;
    let keys: Vec<_> = bench.asked(task).await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [KEY]);
    bench.say(task, KEY, json!({"decision": "approve"})).await;
    assert_eq!(bench.told(task).await, "completed \"done\"");
}

#[tokio::test]
async fn a_built_in_tool_can_want_a_yes_too() {
    let calls = Answer::calls(&[("c1", "sleep", r#"{"duration":"1ms"}"#)]);
    let bench = Bench::new([calls, Answer::says("done")]).await;
    let task = bench.call("approve: [sleep]", "hello").await;
    let asked = bench.asked(task).await;
    assert!(asked[0].1.message.contains("Tool: sleep\nArguments: "), "{asked:?}");
    bench.say(task, KEY, json!({"decision": "refuse"})).await;
    let told = told(&bench, task).await;
    assert_eq!(told, "This call was not made. A person has refused it.");
}
