//! Conversations that near what a model can read: a summary takes the place of what lies between the
//! task and the newest exchanges.

use super::*;

/// A window that two of these exchanges nearly fill.
const SMALL: &str = "contextTokens: 1000";

/// A call with arguments of some 450 tokens.
fn exchange(n: usize) -> Answer {
    let arguments = json!({"order": format!("A{n} {}", "x".repeat(1_700)), "amount_cents": 5});
    Answer::calls(&[(&format!("c{n}"), "charge_card", &arguments.to_string())])
}

fn small_till() -> String {
    format!("{TILL}\n{SMALL}")
}

/// The step keys under which requests were made.
fn keys(bench: &Bench) -> Vec<String> {
    let key = |asked: Asked| {
        let key = asked.headers["idempotency-key"].clone();
        key.split_once('/').unwrap().1.to_owned()
    };
    bench.server.asked().into_iter().map(key).collect()
}

/// The beginning of each message of a request.
fn heads(bench: &Bench, request: usize) -> Vec<String> {
    let head = |text: String| text.chars().take(24).collect();
    bench.messages(request).into_iter().map(head).collect()
}

#[tokio::test]
async fn a_summary_takes_the_place_of_what_is_old() {
    let bench = Bench::new([
        exchange(1),
        exchange(2),
        Answer::says("A1 was charged."),
        exchange(3),
        Answer::says("A1 and A2 were charged."),
        Answer::says("done"),
    ])
    .await;
    assert_eq!(bench.run(&small_till()).await, "completed \"done\"");
    let expected = [
        "turn-1/model",
        "turn-2/model",
        "turn-3/compact",
        "turn-3/model",
        "turn-4/compact",
        "turn-4/model",
    ];
    assert_eq!(keys(&bench), expected);

    let asked = bench.messages(2);
    assert!(asked[0].starts_with("system: You sum up"), "{}", asked[0]);
    assert!(asked[1].contains("USER: hello") && asked[1].contains("A1 x"), "{}", asked[1]);
    assert!(!asked[1].contains("A2 x"), "the newest exchange is not summed up: {}", asked[1]);
    assert!(bench.server.asked()[2].body.get("tools").is_none());
    // Tools that were called keep their results, and the second summary takes in the first.
    let expected =
        ["system: Be brief.", "user: hello", "user: [The conversation ", "assistant: ", "tool: "];
    for (request, summary) in [(3, "A1 was charged."), (5, "A1 and A2 were charged.")] {
        let messages = bench.messages(request);
        assert!(messages[2].ends_with(&format!("summed up:]\n\n{summary}")), "{}", messages[2]);
        for (head, expected) in heads(&bench, request).iter().zip(expected) {
            assert!(head.starts_with(expected), "{head}");
        }
        assert_eq!(messages.len(), expected.len());
    }
    assert!(bench.messages(4)[1].contains("EARLIER: "), "{}", bench.messages(4)[1]);
    assert_eq!(bench.ledger().len(), 3);
}

#[tokio::test]
async fn a_summary_costs_no_turn_but_what_it_costs() {
    let answers = || [exchange(1), exchange(2), Answer::says("sum"), Answer::says("done")];
    let bench = Bench::new(answers()).await;
    let end = bench.run(&format!("{}\nmaxTurns: 3", small_till())).await;
    assert_eq!(end, "completed \"done\"");
    let bench = Bench::new(answers()).await;
    let end = bench.run(&format!("{}\nbudget: {{tokens: 2300}}", small_till())).await;
    assert!(end.starts_with("failed: the budget is used up"), "{end}");
}

#[tokio::test]
async fn a_restart_in_the_middle_sums_up_once() {
    let mut bench = Bench::new([exchange(1), exchange(2), Answer::silence()]).await;
    let task = bench.call(&small_till(), "hello").await;
    bench.server.until_asked(3).await;
    bench.server.then(Answer::says("sum"));
    bench.server.then(Answer::silence());
    bench.restart().await;
    bench.server.until_asked(5).await;
    bench.server.then(Answer::says("done"));
    bench.restart().await;
    assert_eq!(bench.end(task).await, End::Completed(Payload::of("done").unwrap()));
    let expected = ["turn-3/compact", "turn-3/compact", "turn-3/model", "turn-3/model"];
    assert_eq!(keys(&bench)[2..], expected);
    assert_eq!(bench.messages(4), bench.messages(5));
}

fn too_long() -> Answer {
    let error = json!({"message": "too long", "code": "context_length_exceeded"});
    Answer::json(400, &json!({"error": error}))
}

#[tokio::test]
async fn a_model_that_reads_less_than_is_thought_is_asked_again() {
    let bench = Bench::new([
        exchange(1),
        exchange(2),
        too_long(),
        Answer::says("sum"),
        exchange(3),
        Answer::says("sum"),
        Answer::says("done"),
    ])
    .await;
    assert_eq!(bench.run(TILL).await, "completed \"done\"");
    let expected = ["turn-3/model", "turn-3/compact", "turn-3/model#2", "turn-4/compact"];
    assert_eq!(keys(&bench)[2..6], expected, "and the next turn knows better");
    assert_eq!(bench.messages(4).len(), 5);
}

#[tokio::test]
async fn what_is_too_long_all_the_same_is_asked_of_the_next_model() {
    let answers = || [exchange(1), exchange(2), too_long(), Answer::says("sum"), too_long()];
    let bench = Bench::new(answers()).await;
    bench.server.then(Answer::says("done"));
    assert_eq!(bench.run(&format!("{TILL}\nmodel: [small, large]")).await, "completed \"done\"");
    assert_eq!(bench.server.asked()[5].body["model"], "large");

    let bench = Bench::new(answers()).await;
    let end = bench.run(TILL).await;
    assert!(end.starts_with("failed: tiny: ") && end.contains("too long"), "{end}");
    let bench = Bench::new([too_long()]).await;
    let end = bench.run("").await;
    assert!(end.starts_with("failed: tiny: ") && end.contains("too long"), "{end}");
}

#[tokio::test]
async fn without_a_summary_the_model_is_told_what_it_does_not_know() {
    let bench = Bench::new([
        exchange(1),
        exchange(2),
        Answer::status(401, "who are you?"),
        Answer::says("done"),
    ])
    .await;
    assert_eq!(bench.run(&small_till()).await, "completed \"done\"");
    let note = &bench.messages(3)[2];
    assert!(note.contains("were left out") && note.contains("You do not remember them"), "{note}");
}
