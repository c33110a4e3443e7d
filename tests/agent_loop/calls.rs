//! Tool calls, right and wrong: what a model gets wrong is told to it, and costs it a turn.

use super::*;

#[tokio::test]
async fn a_call_that_takes_too_long_is_let_go_of() {
    let charge = r#"{"order":"A1","amount_cents":5}"#;
    let bench =
        Bench::new([Answer::calls(&[("c1", "charge_card", charge)]), Answer::says("I will look.")])
            .await;
    bench.hold_charges();
    // Long enough for a till to start, on a machine that has much else to do.
    let end =
        bench.run(&format!("{TILL}\nin_doubt: tell\ntimeout: {{till/charge_card: 5s}}")).await;
    assert_eq!(end, "completed \"I will look.\"");
    let told = bench.messages(1).pop().unwrap();
    assert!(told.starts_with("tool: The outcome of this call is unknown"), "{told}");
    assert!(told.contains("had no outcome after 5s"), "{told}");
    assert_eq!(bench.ledger(), ["charge_card"]);
}

const CHARGE: &str = r#"{"order":"A1","amount_cents":5}"#;

#[tokio::test]
async fn parallel_calls_are_answered_in_their_order() {
    let bench = Bench::new([
        Answer::calls(&[
            ("c1", "charge_card", CHARGE),
            ("c2", "mail_receipt", r#"{"to":"ada","order":"A1"}"#),
            ("c3", "read_ledger", ""),
        ]),
        Answer::says("done"),
    ])
    .await;
    assert_eq!(bench.run(TILL).await, "completed \"done\"");
    let asked = &bench.server.asked()[1].body["messages"];
    let ids: Vec<_> = (3..6).map(|n| asked[n]["tool_call_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["c1", "c2", "c3"]);
    let mut ledger = bench.ledger();
    ledger.sort();
    assert_eq!(ledger, ["charge_card", "mail_receipt"]);
}

/// One wrong call: the model is told `expected`, and nothing reaches the till.
async fn told(name: &str, arguments: &str, expected: &str) {
    let bench =
        Bench::new([Answer::calls(&[("c1", name, arguments)]), Answer::says("sorry")]).await;
    assert_eq!(bench.run(TILL).await, "completed \"sorry\"");
    let last = bench.messages(1).pop().unwrap();
    assert!(last.starts_with(&format!("tool: {expected}")), "{last}");
    assert_eq!(bench.ledger(), Vec::<String>::new());
}

#[tokio::test]
async fn an_unknown_tool_is_told() {
    told(
        "charge_crd",
        CHARGE,
        "There is no tool \"charge_crd\". The tools are: ask_user, charge_card,",
    )
    .await;
}

#[tokio::test]
async fn arguments_that_are_no_json_are_told() {
    told("charge_card", r#"{"order":"A1","#, "The arguments are not valid JSON").await;
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told() {
    let arguments = r#"{"order":"A1","amount_cents":"five"}"#;
    told("charge_card", arguments, "The arguments do not fit the tool's schema: /amount_cents:")
        .await;
}

#[tokio::test]
async fn only_the_tools_that_the_agent_names_are_offered() {
    let bench = Bench::new([Answer::says("hi")]).await;
    bench.run(&format!("{TILL}\ntools: [till/find_charge]")).await;
    let tools = &bench.server.asked()[0].body["tools"];
    assert_eq!(tools.as_array().unwrap().len(), 1);
    assert_eq!(tools[0]["function"]["name"], "find_charge");
}

#[tokio::test]
async fn a_tool_that_no_server_offers_fails_the_task_and_is_named() {
    let bench = Bench::new([]).await;
    let end = bench.run(&format!("{TILL}\ntools: [till/refund]")).await;
    assert!(
        end.starts_with("failed: the agent's file names tools that no server offers: till/refund;"),
        "{end}"
    );
}
