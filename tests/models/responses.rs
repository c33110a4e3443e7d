//! The `openai-responses` provider against a server that speaks real HTTP.

use async_openai::types::responses::{CreateResponse, Response};
use relight::agent::models::{ModelsConfig, OpenAiConfig, Registry};
use relight::agent::{Message, Models, OpenModel, Outcome, Reply, Settings, ToolSpec};
use relight::journal::Failure;
use serde_json::{Value, json};

use crate::model_server::{Answer, ModelServer, called, response, said};
use crate::{KEY, payload, request, tool, user};

fn open(server: &ModelServer) -> OpenModel {
    let base_url = Some(server.base_url().to_owned());
    let openai = OpenAiConfig { base_url, api_key: Some(KEY.into()), ..OpenAiConfig::default() };
    let registry = Registry::new(ModelsConfig { openai, ..ModelsConfig::default() });
    registry.open("openai-responses:tiny").unwrap()
}

/// An outcome as [`crate::show`] writes it, with `SERVER` for the address.
fn show(outcome: Result<Outcome, Failure>, server: &ModelServer) -> String {
    crate::show(outcome).replace(server.base_url(), "SERVER")
}

/// One call with one answer.
async fn call(answer: Answer) -> String {
    let server = ModelServer::start([answer]).await;
    show(open(&server).provider.call(&request(vec![user("Hi")])).await, &server)
}

/// A fetch of `resp_1` with these answers.
async fn fetch(answers: impl IntoIterator<Item = Answer>) -> String {
    let server = ModelServer::start(answers).await;
    show(open(&server).provider.fetch("tiny", "resp_1").await, &server)
}

#[test]
fn the_mock_speaks_as_openai_does() {
    let output = [said("Hi"), called("c1", "charge", "{}")];
    let real: Response = serde_json::from_value(response("resp_1", "completed", &output)).unwrap();
    assert_eq!(real.output.len(), 2);
}

#[tokio::test]
async fn a_call_is_created_in_the_background_and_the_request_is_as_documented() {
    let server = ModelServer::start([Answer::response("resp_1", "queued", &[])]).await;
    let mut request = request(vec![user("Hello")]);
    request.settings = Settings { temperature: Some(0.5), max_output_tokens: Some(100) };
    request.output_schema = Some(payload(r#"{"type":"object"}"#));
    let description = Some("Charges a card.".to_owned());
    let input_schema = payload(r#"{"type":"object"}"#);
    request.tools = vec![ToolSpec { name: "charge".to_owned(), description, input_schema }];
    let outcome = open(&server).provider.call(&request).await.unwrap();
    assert_eq!(outcome, Outcome::Pending { pending: "resp_1".to_owned() });
    let asked = server.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/responses"));
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(asked.headers["idempotency-key"], "0af3/turn-1/model");
    assert_eq!(
        asked.body,
        json!({
            "model": "tiny",
            "instructions": "Be brief.",
            "input": [{"type": "message", "role": "user", "content": "Hello"}],
            "tools": [{
                "type": "function", "name": "charge", "description": "Charges a card.",
                "parameters": {"type": "object"}, "strict": false,
            }],
            "temperature": 0.5,
            "max_output_tokens": 100,
            "text": {"format": {
                "type": "json_schema", "name": "answer", "strict": false,
                "schema": {"type": "object"},
            }},
            "background": true,
            "store": true,
        })
    );
    serde_json::from_value::<CreateResponse>(asked.body).unwrap();
}

#[tokio::test]
async fn a_response_is_looked_at_until_it_has_ended() {
    let server = ModelServer::start([
        Answer::response("resp_1", "in_progress", &[]),
        Answer::response("resp_1", "completed", &[said("Hi.")]),
    ])
    .await;
    let model = open(&server);
    let pending = model.provider.fetch("tiny", "resp_1").await;
    assert_eq!(show(pending, &server), r#"{"pending":"resp_1"}"#);
    let ended = model.provider.fetch("tiny", "resp_1").await;
    let expected = r#"{"text":"Hi.","finish":"stop","usage":{"input_tokens":12,"output_tokens":3,"cached_tokens":4},"model":"served"}"#;
    assert_eq!(show(ended, &server), expected);
    let asked: Vec<_> =
        server.asked().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    assert_eq!(asked, ["GET /v1/responses/resp_1"; 2]);
}

#[tokio::test]
async fn a_server_that_is_done_at_once_is_not_asked_again() {
    let outcome = call(Answer::response("resp_1", "completed", &[said("Hi.")])).await;
    assert!(outcome.starts_with(r#"{"text":"Hi.""#), "{outcome}");
}

#[tokio::test]
async fn reasoning_goes_back_as_it_came_to_the_model_that_it_came_from() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "future": 1});
    let items = [reasoning, called("c1", "charge", "{\"n\":1}"), called("c2", "charge", "")];
    let server = ModelServer::start([
        Answer::response("resp_1", "completed", &items),
        Answer::response("resp_2", "completed", &[said("Done.")]),
        Answer::response("resp_3", "completed", &[said("Done.")]),
    ])
    .await;
    let model = open(&server);
    let first = match model.provider.call(&request(vec![user("Go")])).await.unwrap() {
        Outcome::Reply(reply) => reply,
        other => panic!("{other:?}"),
    };
    assert_eq!(first.calls[1].arguments, "{}");
    let result = |id: &str| tool(id, "ok");
    let summary = Message::Summary { text: "Before.".to_owned(), replies: 3 };
    let talk = vec![user("Go"), summary, Message::Assistant(first), result("c1"), result("c2")];
    let mut second = request(talk);
    model.provider.call(&second).await.unwrap();
    second.model = "other".to_owned();
    model.provider.call(&second).await.unwrap();

    let mut kept = items.to_vec();
    kept[2]["arguments"] = json!("{}");
    let before = [
        json!({"type": "message", "role": "user", "content": "Go"}),
        json!({"type": "message", "role": "user", "content": "Before."}),
    ];
    let after = [
        json!({"type": "function_call_output", "call_id": "c1", "output": "ok"}),
        json!({"type": "function_call_output", "call_id": "c2", "output": "ok"}),
    ];
    let plain = [
        json!({"type": "function_call", "call_id": "c1", "name": "charge", "arguments": "{\"n\":1}"}),
        json!({"type": "function_call", "call_id": "c2", "name": "charge", "arguments": "{}"}),
    ];
    let input = |middle: &[Value]| Value::from([&before[..], middle, &after[..]].concat());
    assert_eq!(server.asked()[1].body["input"], input(&kept));
    assert_eq!(server.asked()[2].body["input"], input(&plain));
}

#[tokio::test]
async fn reasoning_that_the_server_does_not_keep_is_not_referred_to() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": []});
    let mut body = response("resp_1", "completed", &[reasoning, said("Hi.")]);
    body["store"] = json!(false);
    let outcome = call(Answer::json(200, &body)).await;
    assert!(!outcome.contains("rs_1") && outcome.contains("Hi."), "{outcome}");
}

#[tokio::test]
async fn a_reply_says_why_it_stopped() {
    let mut body = response("resp_1", "incomplete", &[said("Hel")]);
    body["incomplete_details"] = json!({"reason": "max_output_tokens"});
    let expected = r#"{"text":"Hel","finish":"length","model":"served"}"#;
    assert_eq!(fetch([Answer::json(200, &body)]).await, expected);
    body["incomplete_details"] = json!({"reason": "content_filter"});
    let expected = expected.replace("length", "filtered");
    assert_eq!(fetch([Answer::json(200, &body)]).await, expected);
    let mut refusal = said("");
    refusal["content"] = json!([{"type": "refusal", "refusal": "I will not."}]);
    let outcome = fetch([Answer::response("resp_1", "completed", &[refusal])]).await;
    assert!(outcome.starts_with(r#"{"text":"I will not.","finish":"stop""#), "{outcome}");
}

fn failed(code: &str) -> Answer {
    let mut body = response("resp_1", "failed", &[]);
    body["error"] = json!({"code": code, "message": "It broke."});
    Answer::json(200, &body)
}

#[tokio::test]
async fn a_response_that_failed_is_lost_or_final_or_too_long() {
    let words = r#"model \"tiny\" at SERVER: the response failed: It broke."#;
    let lost = format!(r#"{{"lost":{{"kind":"transient","message":"{words}"}}}}"#);
    assert_eq!(fetch([failed("server_error")]).await, lost);
    assert_eq!(fetch([failed("rate_limit_exceeded")]).await, lost);
    let plain = words.replace('\\', "");
    assert_eq!(fetch([failed("invalid_prompt")]).await, format!("final: {plain}"));
    let long = format!(r#"{{"too_long":"{words}"}}"#);
    assert_eq!(fetch([failed("context_length_exceeded")]).await, long);
    // In the answer to the call itself, it is this attempt that failed.
    assert_eq!(call(failed("server_error")).await, format!("transient: {plain}"));
}

#[tokio::test]
async fn a_response_that_is_gone_is_lost() {
    let gone = fetch([Answer::status(404, r#"{"error":{"message":"not found"}}"#)]).await;
    assert!(
        gone.starts_with(r#"{"lost":{"kind":"transient""#) && gone.contains("resp_1"),
        "{gone}"
    );
    let cancelled = fetch([Answer::response("resp_1", "cancelled", &[])]).await;
    assert!(cancelled.contains("lost") && cancelled.contains("was cancelled there"), "{cancelled}");
}

#[tokio::test]
async fn trouble_on_the_way_is_the_same_as_with_chat_completions() {
    let busy =
        Answer::status(429, r#"{"error":{"message":"Slow down"}}"#).header("retry-after", "2");
    let expected = r#"transient (2000 ms): model "tiny" at SERVER: HTTP 429: Slow down"#;
    assert_eq!(call(busy.clone()).await, expected);
    assert_eq!(fetch([busy]).await, expected);
    let denied = call(Answer::status(401, &format!("who is {KEY}?"))).await;
    assert!(denied.starts_with("final: SERVER refuses the key in OPENAI_API_KEY"), "{denied}");
    assert!(!denied.contains(KEY), "{denied}");
    let unknown = call(Answer::status(404, "no such route")).await;
    assert!(unknown.ends_with("a server without the Responses API wants openai:tiny"), "{unknown}");
    let page =
        call(Answer::status(200, "<title>x</title>").header("content-type", "text/html")).await;
    assert!(page.starts_with("final: SERVER does not answer as an OpenAI-compatible"), "{page}");
    let hidden = call(Answer::json(200, &json!({"error": {"message": "busy", "code": 429}}))).await;
    assert_eq!(hidden, r#"transient: model "tiny" at SERVER: HTTP 429: busy"#);
    for other in [json!({"id": "x"}), json!([]), response("a/../b", "queued", &[])] {
        let outcome = call(Answer::json(200, &other)).await;
        assert!(
            outcome.starts_with("transient: the reply from SERVER cannot be read"),
            "{outcome}"
        );
    }
    let long = json!({"error": {"message": "x", "code": "context_length_exceeded"}});
    assert!(call(Answer::json(400, &long)).await.starts_with(r#"{"too_long":"#));
}

#[tokio::test]
async fn what_a_server_does_not_take_is_left_out_from_then_on() {
    let refuse = |message: &str| Answer::json(400, &json!({"error": {"message": message}}));
    let done = || Answer::response("resp_1", "completed", &[said("{}")]);
    let server = ModelServer::start([
        refuse("Unknown parameter: 'background'"),
        refuse("text.format is not supported"),
        done(),
        done(),
    ])
    .await;
    let model = open(&server);
    let mut request = request(vec![user("Hi")]);
    request.output_schema = Some(payload(r#"{"type":"object"}"#));
    for _ in 0..2 {
        model.provider.call(&request).await.unwrap();
    }
    let asked: Vec<_> = server
        .asked()
        .iter()
        .map(|asked| ["background", "store", "text"].map(|key| asked.body.get(key).is_some()))
        .collect();
    assert_eq!(asked, [[true, true, true], [false, false, true], [false; 3], [false; 3]]);
}

#[tokio::test]
async fn a_response_is_cancelled_by_its_id() {
    let server = ModelServer::start([
        Answer::response("resp_1", "cancelled", &[]),
        Answer::status(500, "oops"),
    ])
    .await;
    let model = open(&server);
    model.provider.cancel("resp_1").await.unwrap();
    assert!(model.provider.cancel("resp_1").await.is_err());
    let asked = server.asked().remove(0);
    assert_eq!(asked.method + " " + &asked.path, "POST /v1/responses/resp_1/cancel");
}

#[tokio::test]
async fn a_reply_of_another_api_is_sent_in_plain_items() {
    let server = ModelServer::start([Answer::response("resp_1", "completed", &[said("Hi")])]).await;
    let mut reply = Reply { text: Some("I charge.".to_owned()), ..Reply::default() };
    reply.extra.insert("reasoning_content".to_owned(), json!("hm"));
    open(&server)
        .provider
        .call(&request(vec![user("Go"), Message::Assistant(reply)]))
        .await
        .unwrap();
    let input = &server.asked()[0].body["input"];
    assert_eq!(input[1], json!({"type": "message", "role": "assistant", "content": "I charge."}));
}
