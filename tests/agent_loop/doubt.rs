//! A tool whose outcome is lost: its server dies in the middle of the call.

use std::path::Path;

use relight::mcp::till::Moment;

use super::*;

const CHARGE: &str = r#"{"order":"A1","amount_cents":5}"#;

/// Starts an agent that charges a card at a till which is killed in the middle of the call, before
/// or after its effect, and once only.
async fn lose(when: &str, policy: &str, then: Vec<Answer>) -> (Bench, TaskId) {
    lose_beside(&[], when, policy, then).await
}

/// The same, with other calls in the same reply.
async fn lose_beside(
    others: &[(&str, &str, &str)],
    when: &str,
    policy: &str,
    then: Vec<Answer>,
) -> (Bench, TaskId) {
    let calls = [&[("c1", "charge_card", CHARGE)], others].concat();
    let bench = Bench::new([Answer::calls(&calls)]).await;
    for answer in then {
        bench.server.then(answer);
    }
    let moment = if when == "before" { Moment::Before } else { Moment::After };
    // The till has read the call when it stands in what went to it, and is held by a pause.
    let text = format!(
        "#!/bin/sh\ncd {dir}\n[ -e died ] && exec {program} till --ledger ledger.jsonl\n\
         touch {hold}; mkfifo pipe; exec 3<&0\ntee seen <&3 >pipe &\n\
         {program} till --ledger ledger.jsonl <pipe &\n\
         pid=$!\nwhile ! grep -q tools/call seen || [ {when} = after -a ! -s ledger.jsonl ]\n\
         do sleep 0.01; done\ntouch died; kill -9 $pid; rm {hold}\n",
        dir = bench.dir.path().display(),
        hold = till::pause_file(Path::new("ledger.jsonl"), moment, "charge_card").display(),
        program = env!("CARGO_BIN_EXE_relight"),
    );
    let script = bench.dir.path().join("till.sh");
    std::fs::write(&script, text).unwrap();
    let front_matter = format!(
        "mcpServers: {{till: {{command: sh, args: [\"{}\"]}}}}\n{policy}",
        script.display()
    );
    let task = bench.call(&front_matter, "hello").await;
    (bench, task)
}

/// As [`lose`], after the effect, to the task's end; tells how often the card was charged.
async fn lose_the_answer(policy: &str, then: Vec<Answer>) -> (Bench, String, usize) {
    let (bench, task) = lose("after", policy, then).await;
    let end = bench.told(task).await;
    let charges = charges(&bench);
    (bench, end, charges)
}

fn charges(bench: &Bench) -> usize {
    bench.ledger().iter().filter(|tool| *tool == "charge_card").count()
}

/// What the model was told of the call.
fn told(bench: &Bench) -> String {
    bench.messages(1).pop().unwrap().trim_start_matches("tool: ").to_owned()
}

#[tokio::test]
async fn the_model_can_be_told() {
    let (bench, end, charges) =
        lose_the_answer("in_doubt: tell", vec![Answer::says("I look")]).await;
    assert_eq!((end.as_str(), charges), ("completed \"I look\"", 1));
    let told = bench.messages(1).pop().unwrap();
    assert!(told.starts_with("tool: The outcome of this call is unknown"), "{told}");
}

#[tokio::test]
async fn the_task_can_fail_instead() {
    let (_, end, charges) = lose_the_answer("in_doubt: fail", Vec::new()).await;
    assert!(end.starts_with("failed: the outcome of till/charge_card is unknown"), "{end}");
    assert_eq!(charges, 1);
}

#[tokio::test]
async fn a_call_that_may_be_made_again_is_under_the_same_key() {
    let (bench, end, charges) =
        lose_the_answer("in_doubt: retry", vec![Answer::says("paid")]).await;
    assert_eq!(end, "completed \"paid\"");
    assert_eq!(
        charges, 2,
        "the till does not honour keys for charges, so this is what retry means"
    );
    let entries = till::entries(&bench.dir.path().join("ledger.jsonl")).unwrap();
    assert!(entries[0].key.is_some() && entries[0].key == entries[1].key);
}

#[tokio::test]
async fn by_default_a_person_is_asked_with_all_there_is_to_know() {
    let (mut bench, task) = lose("after", "", vec![Answer::says("paid")]).await;
    let (key, question) = bench.asked(task).await.pop().unwrap();
    assert_eq!(key, "turn-1/tool-1/doubt");
    let history = bench.history(task).await;
    let started = history.step("turn-1/tool-1").unwrap().started_at_ms;
    let started = jiff::Timestamp::from_millisecond(started).unwrap();
    for part in [
        "Tool: till/charge_card\n",
        "Arguments: {\"amount_cents\":5,\"order\":\"A1\"}\n",
        &format!("Started: {started}\n"),
    ] {
        assert!(question.message.contains(part), "{part:?} in {}", question.message);
    }
    bench.restart().await;
    assert_eq!(bench.asked(task).await, [(key.clone(), question)]);
    bench.say(task, &key, json!({"outcome": "happened", "result": "charge ch_1"})).await;
    assert_eq!(bench.told(task).await, "completed \"paid\"");
    assert_eq!((told(&bench).as_str(), charges(&bench)), ("charge ch_1", 1));
}

#[tokio::test]
async fn what_did_not_happen_is_run_under_the_same_key() {
    let (bench, task) = lose("before", "in_doubt: ask", vec![Answer::says("paid")]).await;
    bench.asked(task).await;
    bench.say(task, "turn-1/tool-1/doubt", json!({"outcome": "run"})).await;
    assert_eq!(bench.told(task).await, "completed \"paid\"");
    assert_eq!(told(&bench), "charged 5 cents for order A1: charge ch_1");
    let entries = till::entries(&bench.dir.path().join("ledger.jsonl")).unwrap();
    let key = format!("{task}/turn-1/tool-1");
    assert_eq!(entries.iter().map(|entry| entry.key.as_ref()).collect::<Vec<_>>(), [Some(&key)]);
    let history = bench.history(task).await;
    assert!(history.step("turn-1/tool-1/again-1").is_some());
}

#[tokio::test]
async fn a_person_can_stop_the_task_or_not_know() {
    let (bench, task) = lose("after", "", Vec::new()).await;
    bench.asked(task).await;
    bench.say(task, "turn-1/tool-1/doubt", json!({"outcome": "stop"})).await;
    let end = bench.told(task).await;
    assert!(end.starts_with("failed: stopped by a person, who was asked whether till/"), "{end}");

    let (bench, task) = lose("after", "", vec![Answer::says("I look")]).await;
    bench.asked(task).await;
    bench.reply(task, "turn-1/tool-1/doubt", json!({"action": "decline"})).await;
    assert_eq!(bench.told(task).await, "completed \"I look\"");
    let told = told(&bench);
    assert!(told.starts_with("The outcome of this call is unknown"), "{told}");
    assert!(told.contains("A person was asked and does not know either."), "{told}");
}

#[tokio::test]
async fn a_check_that_knows_settles_it_without_a_person() {
    const CHECK: &str =
        "in_doubt: {till/charge_card: {check: till/find_charge}}\ntools: [till/charge_card]";
    let (bench, end, charges) = lose_the_answer(CHECK, vec![Answer::says("paid")]).await;
    assert_eq!((end.as_str(), charges), ("completed \"paid\"", 1));
    assert_eq!(told(&bench), "charged 5 cents for order A1: charge ch_1");

    let (bench, task) = lose("before", CHECK, vec![Answer::says("paid")]).await;
    assert_eq!(bench.told(task).await, "completed \"paid\"");
    let entries = till::entries(&bench.dir.path().join("ledger.jsonl")).unwrap();
    let key = format!("{task}/turn-1/tool-1");
    assert_eq!(entries.iter().map(|entry| entry.key.as_ref()).collect::<Vec<_>>(), [Some(&key)]);
}

#[tokio::test]
async fn a_check_that_does_not_know_leaves_it_to_the_policy() {
    const CHECK: &str = "in_doubt: {till/charge_card: {check: till/read_ledger}}";
    let (bench, task) = lose("after", CHECK, vec![Answer::says("paid")]).await;
    let (key, question) = bench.asked(task).await.pop().unwrap();
    let said = "till/read_ledger was asked and says: [{";
    assert!(question.message.contains(said), "{}", question.message);
    bench.say(task, &key, json!({"outcome": "happened"})).await;
    assert_eq!(bench.told(task).await, "completed \"paid\"");
    assert!(told(&bench).starts_with("The call took effect, as a person has found out."));

    const FAIL: &str = "in_doubt: {till/charge_card: {check: till/read_ledger, else: fail}}";
    let (_, end, _) = lose_the_answer(FAIL, Vec::new()).await;
    assert!(end.starts_with("failed: the outcome of till/charge_card is unknown"), "{end}");

    const MISSING: &str = "in_doubt: {till/charge_card: {check: till/find_refund}}";
    let end = Bench::new([]).await.run(&format!("{TILL}\n{MISSING}")).await;
    assert!(end.contains("names tools that no server offers: till/find_refund;"), "{end}");
}

/// Starts a run that charges a card which is lost after the effect, and waits for a further reply of
/// its model once that is settled.
async fn settled(answer: Value) -> (Bench, TaskId) {
    let (bench, task) = lose("after", "", vec![Answer::silence()]).await;
    bench.asked(task).await;
    bench.say(task, "turn-1/tool-1/doubt", answer).await;
    bench.server.until_asked(2).await;
    (bench, task)
}

async fn cancelled(bench: &Bench, task: TaskId) -> String {
    bench.runtime.cancel(task, None).await.unwrap();
    match bench.end(task).await {
        End::Cancelled(message) => message,
        other => panic!("the task ended otherwise: {other:?}"),
    }
}

#[tokio::test]
async fn a_doubt_that_is_settled_is_none_any_more() {
    let (bench, task) = settled(json!({"outcome": "happened", "result": "ch_1"})).await;
    assert_eq!(
        cancelled(&bench, task).await,
        "cancelled; took effect before that: turn-1/tool-1 (till/charge_card)"
    );

    let (bench, task) = settled(json!({"outcome": "run"})).await;
    assert_eq!(
        cancelled(&bench, task).await,
        "cancelled; took effect before that: turn-1/tool-1/again-1 (till/charge_card)"
    );

    let (bench, task) = lose("after", "", Vec::new()).await;
    bench.asked(task).await;
    assert_eq!(
        cancelled(&bench, task).await,
        "cancelled; may have taken effect before that: turn-1/tool-1 (till/charge_card)"
    );
}

#[tokio::test]
async fn a_doubt_that_a_check_has_settled_is_none_either() {
    const CHECK: &str = "in_doubt: {till/charge_card: {check: till/find_charge}}";
    let (bench, task) = lose("after", CHECK, vec![Answer::silence()]).await;
    bench.server.until_asked(2).await;
    assert_eq!(
        cancelled(&bench, task).await,
        "cancelled; took effect before that: turn-1/tool-1 (till/charge_card)"
    );
}

#[tokio::test]
async fn a_stop_waits_for_no_other_call_of_the_reply() {
    let mail = r#"{"order":"A1","to":"ada@example.org"}"#;
    let others = [("c2", "mail_receipt", mail), ("c3", "sleep", r#"{"duration":"1h"}"#)];
    let (bench, task) = lose_beside(&others, "after", "", Vec::new()).await;
    bench.asked(task).await;
    while !bench.ledger().contains(&"mail_receipt".to_owned())
        || !is_completed(&bench, task, "turn-1/tool-2").await
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.say(task, "turn-1/tool-1/doubt", json!({"outcome": "stop"})).await;
    let end = bench.told(task).await;
    assert!(end.starts_with("failed: stopped by a person, who was asked whether till/"), "{end}");
    let effects = "; took effect before that: turn-1/tool-2 (till/mail_receipt); may have taken \
                   effect before that: turn-1/tool-1 (till/charge_card)";
    assert!(end.ends_with(effects), "{end}");
}

async fn is_completed(bench: &Bench, task: TaskId, key: &str) -> bool {
    let history = bench.history(task).await;
    history.step(key).is_some_and(|step| step.state.is_finished())
}
