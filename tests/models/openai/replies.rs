//! How a stream of chunks becomes a reply, and a reply part of the next request.

use relight::agent::{Message, Reply, ToolCall};
use serde_json::{Value, json};

use super::{call, check, check_with, config, reply};
use crate::model_server::{Answer, ModelServer, delta, finish, usage};
use crate::{request, tool, user};

fn fragment(call: Value) -> Value {
    delta(json!({"tool_calls": [call]}))
}

#[tokio::test]
async fn a_call_comes_in_fragments_and_the_bytes_in_any_pieces() {
    let mut chunks = vec![fragment(json!({
        "index": 0, "id": "c1", "type": "function", "function": {"name": "charge", "arguments": ""},
    }))];
    for piece in ["{\"am", "ount\"", ": 4", "2, \"to\":", " \"Zoë\"", "}"] {
        chunks.push(fragment(json!({"index": 0, "function": {"arguments": piece}})));
    }
    chunks.push(finish("tool_calls"));
    let expected = r#"{"calls":[{"id":"c1","name":"charge","arguments":"{\"amount\": 42, \"to\": \"Zoë\"}"}],"finish":"stop","model":"served"}"#;
    for piece_bytes in [1, 7, 100_000] {
        check(Answer::stream(&chunks).in_pieces_of(piece_bytes), expected).await;
    }
}

#[tokio::test]
async fn parallel_calls_come_interleaved() {
    let answer = Answer::stream(&[
        fragment(json!({"index": 0, "id": "a", "function": {"name": "mail", "arguments": "{"}})),
        fragment(json!({"index": 1, "id": "b", "function": {"name": "book", "arguments": "{\""}})),
        fragment(json!({"index": 0, "function": {"name": null, "arguments": "}"}})),
        fragment(
            json!({"index": 1, "id": "b", "function": {"name": "book", "arguments": "x\":1}"}}),
        ),
        finish("tool_calls"),
    ]);
    check(answer, r#"{"calls":[{"id":"a","name":"mail","arguments":"{}"},{"id":"b","name":"book","arguments":"{\"x\":1}"}],"finish":"stop","model":"served"}"#).await;
}

#[tokio::test]
async fn ids_that_are_missing_or_doubled_are_replaced_by_stable_ones() {
    let doubled = Answer::calls(&[("x", "one", "{}"), ("x", "two", "{}"), ("", "three", "{}")]);
    check(doubled, r#"{"calls":[{"id":"x","name":"one","arguments":"{}"},{"id":"call_1_2","name":"two","arguments":"{}"},{"id":"call_1_3","name":"three","arguments":"{}"}],"finish":"stop","model":"served"}"#).await;
    // Neither an index nor an id; arguments as an object, and none at all.
    let bare = Answer::stream(&[
        fragment(json!({"function": {"name": "one", "arguments": {"x": 1}}})),
        fragment(json!({"function": {"name": "two"}})),
        finish("tool_calls"),
    ]);
    check(bare, r#"{"calls":[{"id":"call_1_1","name":"one","arguments":"{\"x\":1}"},{"id":"call_1_2","name":"two","arguments":"{}"}],"finish":"stop","model":"served"}"#).await;
    // Gemini gives every call the index 0.
    let all_first = Answer::stream(&[
        fragment(json!({"index": 0, "id": "a", "function": {"name": "one", "arguments": "{}"}})),
        fragment(json!({"index": 0, "id": "b", "function": {"name": "one", "arguments": "{}"}})),
        finish("stop"),
    ]);
    check(all_first, r#"{"calls":[{"id":"a","name":"one","arguments":"{}"},{"id":"b","name":"one","arguments":"{}"}],"finish":"stop","model":"served"}"#).await;
}

#[tokio::test]
async fn arguments_that_are_no_json_are_passed_on_as_they_are() {
    let answer = Answer::calls(&[("a", "charge", r#"{"amount": 4"#)]);
    check(answer, r#"{"calls":[{"id":"a","name":"charge","arguments":"{\"amount\": 4"}],"finish":"stop","model":"served"}"#).await;
}

#[tokio::test]
async fn usage_that_never_comes_is_unknown_and_not_zero() {
    check(Answer::says("Hi"), r#"{"text":"Hi","finish":"stop","model":"served"}"#).await;
    let zero = Answer::stream(&[delta(json!({"content": "Hi"})), finish("stop"), usage(0, 0)]);
    check(zero, r#"{"text":"Hi","finish":"stop","model":"served"}"#).await;
    let odd = json!({"usage": {"prompt_tokens": 5, "completion_tokens": null,
        "prompt_tokens_details": {"cached_tokens": 4}}, "choices": null});
    let odd = Answer::stream(&[delta(json!({"content": "Hi"})), finish("stop"), odd]);
    check(odd, r#"{"text":"Hi","finish":"stop","usage":{"input_tokens":5,"output_tokens":0,"cached_tokens":4},"model":"served"}"#).await;
}

#[tokio::test]
async fn a_reply_says_why_it_stopped() {
    for (reason, finish_as) in [
        ("stop", "stop"),
        ("tool_calls", "stop"),
        ("length", "length"),
        ("content_filter", "filtered"),
        ("a_reason_of_next_year", "stop"),
    ] {
        let answer = Answer::stream(&[delta(json!({"content": "Hi"})), finish(reason)]);
        let expected = format!(r#"{{"text":"Hi","finish":"{finish_as}","model":"served"}}"#);
        check(answer, &expected).await;
    }
}

#[tokio::test]
async fn what_came_in_a_reply_goes_back_with_it() {
    let server = ModelServer::start([
        Answer::stream(&[
            delta(json!({"role": "assistant", "content": null, "reasoning_content": "Let me "})),
            delta(json!({"reasoning_content": "think.", "reasoning_details": [
                {"type": "reasoning.text", "index": 0, "text": "Let "}]})),
            delta(json!({"reasoning_details": [
                {"type": "reasoning.text", "index": 0, "text": "me."}]})),
            fragment(json!({"index": 0, "id": "c1", "type": "function",
                "extra_content": {"google": {"thought_signature": "abc"}},
                "function": {"name": "charge", "arguments": "{\"n\":1"}})),
            finish("tool_calls"),
        ]),
        Answer::says("Done."),
    ])
    .await;
    let first = reply(call(config(server.base_url()), &request(vec![user("Go")])).await);
    let result = tool("c1", "no JSON");
    let mut talk = vec![user("Go"), Message::Assistant(first), result];
    let second = reply(call(config(server.base_url()), &request(talk.clone())).await);
    talk.extend([Message::Assistant(second), user("Thanks"), Message::Assistant(Reply::default())]);
    server.then(Answer::says("Bye."));
    let _third = call(config(server.base_url()), &request(talk)).await.unwrap();

    let asked = server.asked();
    assert_eq!(
        asked[1].body["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Go"},
            {
                "role": "assistant",
                "content": null,
                "reasoning_content": "Let me think.",
                "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "Let me."}],
                "tool_calls": [{
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "charge", "arguments": "{\"n\":1"},
                    "extra_content": {"google": {"thought_signature": "abc"}},
                }],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "no JSON"},
        ])
    );
    assert_eq!(asked[2].body["messages"][4], json!({"role": "assistant", "content": "Done."}));
    assert_eq!(asked[2].body["messages"][6], json!({"role": "assistant", "content": ""}));
}

#[tokio::test]
async fn ids_are_told_apart_by_turn() {
    let earlier = Reply {
        calls: vec![ToolCall { id: "c".into(), name: "one".into(), arguments: "{}".into() }],
        ..Reply::default()
    };
    let result = tool("c", "ok");
    let talk = request(vec![user("Go"), Message::Assistant(earlier), result]);
    let answer = Answer::calls(&[("", "one", "{}")]);
    check_with(config(""), &talk, answer, r#"{"calls":[{"id":"call_2_1","name":"one","arguments":"{}"}],"finish":"stop","model":"served"}"#).await;
}

#[tokio::test]
async fn a_message_is_whole_once_its_end_was_announced() {
    let whole = [delta(json!({"content": "Hi"})), finish("stop")];
    let expected = r#"{"text":"Hi","finish":"stop","model":"served"}"#;
    check(Answer::open_stream(&whole), expected).await;
    // The other way round: a server that only ever sends `[DONE]`, in one piece or in two.
    check(Answer::stream(&whole[..1]), expected).await;
    check(Answer::stream(&whole[..1]).in_pieces_of(3), expected).await;
}

#[tokio::test]
async fn a_refusal_is_what_the_model_has_to_say() {
    let answer = Answer::stream(&[
        delta(json!({"content": null, "refusal": "I will "})),
        delta(json!({"refusal": "not."})),
        finish("stop"),
    ]);
    check(answer, r#"{"text":"I will not.","finish":"stop","model":"served"}"#).await;
}
