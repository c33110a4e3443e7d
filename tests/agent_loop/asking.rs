//! `ask_user`: a model's questions to a person.

use super::*;

const FORM: &str = r#"{"message": "Which size?", "fields": {
    "size": {"type": "string", "enum": ["s", "m"]},
    "count": {"type": "integer", "minimum": 1, "default": 1}}}"#;

#[tokio::test]
async fn several_questions_are_answered_one_by_one_over_restarts() {
    let mut bench = Bench::new([
        Answer::calls(&[
            ("c1", "ask_user", r#"{"message": "Who?"}"#),
            ("c2", "ask_user", FORM),
            ("c3", "ask_user", r#"{"message": "Why?"}"#),
        ]),
        Answer::calls(&[("c4", "ask_user", r#"{"message": "Who else?"}"#)]),
        Answer::says("thanks"),
    ])
    .await;
    let task = bench.call("", "hello").await;
    let asked = bench.asked(task).await;
    let asked: Vec<_> = asked.iter().map(|(key, q)| (key.as_str(), q.message.as_str())).collect();
    assert_eq!(
        asked,
        [("turn-1/tool-1", "Who?"), ("turn-1/tool-2", "Which size?"), ("turn-1/tool-3", "Why?")]
    );

    let content = json!({"size": "xl"});
    let wrong = json!({"action": "accept", "content": content});
    let refused = bench.try_reply(task, "turn-1/tool-2", wrong).await.unwrap_err().to_string();
    assert!(refused.contains("does not fit: /size:"), "{refused}");
    let expired = json!({"action": "expired"});
    bench.try_reply(task, "turn-1/tool-2", expired).await.unwrap_err();
    assert_eq!(bench.try_reply(task, "unknown", json!("x")).await.unwrap(), 0);

    bench.say(task, "turn-1/tool-2", json!({"size": "m", "count": 2})).await;
    let again = json!({"action": "decline"});
    assert_eq!(bench.try_reply(task, "turn-1/tool-2", again).await.unwrap(), 0);
    bench.restart().await;
    assert_eq!(bench.asked(task).await.len(), 2);
    bench.say(task, "turn-1/tool-1", json!({"answer": "Ada"})).await;
    bench.reply(task, "turn-1/tool-3", json!({"action": "decline"})).await;
    bench.server.until_asked(2).await;
    assert_eq!(
        bench.messages(1)[3..],
        ["tool: Ada", r#"tool: {"count":2,"size":"m"}"#, "tool: The person declines to answer."]
    );

    let (key, _) = bench.asked(task).await.pop().unwrap();
    bench.restart().await;
    bench.reply(task, &key, json!({"action": "cancel"})).await;
    assert_eq!(bench.told(task).await, "completed \"thanks\"");
    let last = bench.messages(2).pop().unwrap();
    assert_eq!(last, "tool: The person has put the question away without an answer.");
}

#[tokio::test]
async fn a_form_that_nobody_could_fill_in_is_told_to_the_model() {
    for (form, expected) in [
        (r#"{"fields": {}}"#, "\"message\" is a required property"),
        (r#"{"message": "m", "fields": {"a": {"type": "object"}}}"#, "/fields/a/type: "),
        (
            r#"{"message": "m", "fields": {"a": {"type": "number", "minLength": 2}}}"#,
            "Field \"a\": only a string without an enum has a format or lengths. Nobody was asked.",
        ),
    ] {
        let calls = Answer::calls(&[("c1", "ask_user", form)]);
        let bench = Bench::new([calls, Answer::says("sorry")]).await;
        assert_eq!(bench.run("").await, "completed \"sorry\"");
        let told = bench.messages(1).pop().unwrap();
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn a_question_that_nobody_answers_expires() {
    let asks = || Answer::calls(&[("c1", "ask_user", r#"{"message": "Who?"}"#)]);
    let bench = Bench::new([asks(), Answer::says("never mind")]).await;
    // Longer than a task stays in memory that only waits.
    assert_eq!(bench.run("questions: {expire: 1500ms}").await, "completed \"never mind\"");
    assert_eq!(bench.messages(1).pop().unwrap(), "tool: Nobody answered in time.");

    let bench = Bench::new([asks()]).await;
    let end = bench.run("questions: {expire: 10ms, then: fail}").await;
    assert_eq!(end, "failed: nobody answered in time: Who?");
}
