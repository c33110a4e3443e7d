//! Answers: plain, by schema, and none at all.

use super::*;

const OUTPUT: &str = "output: {type: object, properties: {n: {type: integer}}, required: [n]}";

#[tokio::test]
async fn an_answer_by_schema_is_a_value() {
    let bench = Bench::new([Answer::says("```json\n{\"n\": 3}\n```")]).await;
    assert_eq!(bench.run(OUTPUT).await, r#"completed {"n":3}"#);
    let system = &bench.messages(0)[0];
    assert!(system.contains("Be brief.") && system.contains("\"required\":[\"n\"]"), "{system}");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_sent_back() {
    let bench = Bench::new([
        Answer::says("three"),
        Answer::says(r#"{"n": "3"}"#),
        Answer::says(r#"{"n": 3}"#),
    ])
    .await;
    assert_eq!(bench.run(OUTPUT).await, r#"completed {"n":3}"#);
    let told: Vec<_> = [1, 2].map(|n| bench.messages(n).pop().unwrap()).into();
    assert!(told[0].starts_with("user: Your answer is not valid JSON"), "{told:?}");
    assert!(told[1].starts_with("user: Your answer does not fit the schema:"), "{told:?}");
}

#[tokio::test]
async fn an_empty_reply_is_asked_about_and_not_for_ever() {
    let empty = || Answer::says("");
    let bench = Bench::new([empty(), Answer::says("hi")]).await;
    assert_eq!(bench.run("").await, "completed \"hi\"");
    assert_eq!(
        bench.messages(1),
        ["system: Be brief.", "user: hello", "user: Your reply was empty. Answer, or call a tool."]
    );

    let bench = Bench::new([empty(), empty(), empty(), empty()]).await;
    assert_eq!(bench.run("").await, "failed: the model said nothing 3 times in a row");
}
