//! The `openai` provider against a server that speaks real HTTP and misbehaves in every way seen.

use relight::agent::models::{ModelsConfig, OpenAiConfig, Registry, Timeouts};
use relight::agent::{Message, Models, Outcome, Reply, Request, Settings, ToolCall, ToolSpec};
use relight::journal::{Failure, Payload};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::model_server::{Answer, Asked, ModelServer, delta, finish, usage};

const KEY: &str = "sk-very-secret-0123456789";

fn config(base_url: &str) -> OpenAiConfig {
    OpenAiConfig {
        base_url: Some(base_url.to_owned()),
        api_key: Some(KEY.into()),
        timeouts: Timeouts::default(),
    }
}

fn request(messages: Vec<Message>) -> Request {
    Request {
        model: "tiny".to_owned(),
        system: "Be brief.".to_owned(),
        messages,
        tools: Vec::new(),
        settings: Settings::default(),
        output_schema: None,
        idempotency_key: "0af3/turn-1/model".to_owned(),
    }
}

fn user(text: &str) -> Message {
    Message::User { text: text.to_owned() }
}

/// Opens `tiny` at this server and calls it once.
async fn call(openai: OpenAiConfig, request: &Request) -> Result<Outcome, Failure> {
    let registry = Registry::new(ModelsConfig { openai, ..ModelsConfig::default() });
    registry.open(&request.model)?.provider.call(request).await
}

fn reply(outcome: Result<Outcome, Failure>) -> Reply {
    match outcome.unwrap() {
        Outcome::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

/// An outcome as one line: the reply as JSON, or kind, wait and message of the failure, with
/// `SERVER` for the address.
fn show(outcome: Result<Outcome, Failure>, server: &str) -> String {
    match outcome {
        Ok(outcome) => serde_json::to_string(&outcome).unwrap().replace(server, "SERVER"),
        Err(failure) => {
            let wait = failure.retry_after_ms.map(|ms| format!(" ({ms} ms)")).unwrap_or_default();
            let kind = format!("{:?}", failure.kind).to_lowercase();
            format!("{kind}{wait}: {}", failure.message.replace(server, "SERVER"))
        }
    }
}

/// One call, one answer: `expected` is the outcome as [`show`] writes it. Gives back what the
/// server was asked, which is always exactly one request.
async fn check_with(
    mut openai: OpenAiConfig,
    request: &Request,
    answer: Answer,
    expected: &str,
) -> Asked {
    let server = ModelServer::start([answer]).await;
    openai.base_url = Some(server.base_url().to_owned());
    let outcome = call(openai, request).await;
    let asked = server.asked();
    assert_eq!(show(outcome, server.base_url()), expected);
    assert_eq!(asked.len(), 1, "one call is one request");
    asked.into_iter().next().unwrap()
}

async fn check(answer: Answer, expected: &str) -> Asked {
    check_with(config(""), &request(vec![user("Hello")]), answer, expected).await
}

fn fragment(call: Value) -> Value {
    delta(json!({"tool_calls": [call]}))
}

#[tokio::test]
async fn a_text_is_streamed_and_the_request_is_as_documented() {
    let mut request = request(vec![user("Hello")]);
    request.settings = Settings { temperature: Some(0.5), max_output_tokens: Some(100) };
    let schema = Payload::from_json(r#"{"type":"object"}"#.to_owned()).unwrap();
    let description = Some("Charges a card.".to_owned());
    request.tools = vec![ToolSpec { name: "charge".to_owned(), description, input_schema: schema }];
    let answer = Answer::stream(&[
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "Hel"})),
        delta(json!({"content": "lo."})),
        finish("stop"),
        usage(12, 3),
    ]);
    let expected = r#"{"text":"Hello.","finish":"stop","usage":{"input_tokens":12,"output_tokens":3},"model":"served"}"#;
    let asked = check_with(config(""), &request, answer, expected).await;
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(asked.headers["idempotency-key"], "0af3/turn-1/model");
    assert_eq!(
        asked.body,
        json!({
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "charge", "description": "Charges a card.",
                "parameters": {"type": "object"},
            }}],
            "temperature": 0.5,
            "max_tokens": 100,
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
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
    let result = Message::Tool { call_id: "c1".to_owned(), text: "no JSON".to_owned() };
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
    let result = Message::Tool { call_id: "c".to_owned(), text: "ok".to_owned() };
    let talk = request(vec![user("Go"), Message::Assistant(earlier), result]);
    let answer = Answer::calls(&[("", "one", "{}")]);
    check_with(config(""), &talk, answer, r#"{"calls":[{"id":"call_2_1","name":"one","arguments":"{}"}],"finish":"stop","model":"served"}"#).await;
}

#[tokio::test]
async fn a_rate_limit_is_tried_again_when_the_server_says() {
    let busy = || Answer::status(429, r#"{"error":{"message":"Slow down","type":"requests"}}"#);
    let expected = r#"transient (2000 ms): model "tiny" at SERVER: HTTP 429: Slow down"#;
    check(busy().header("retry-after", "2"), expected).await;
    let dated = busy()
        .header("date", "Wed, 21 Oct 2015 07:28:00 GMT")
        .header("retry-after", "Wed, 21 Oct 2015 07:28:02 GMT");
    check(dated, expected).await;
    check(busy(), r#"transient: model "tiny" at SERVER: HTTP 429: Slow down"#).await;
}

#[tokio::test]
async fn an_empty_account_is_final() {
    let body = r#"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#;
    check(
        Answer::status(429, body).header("retry-after", "2"),
        "final: the account behind OPENAI_API_KEY has no quota left at SERVER (HTTP 429: You exceeded your quota)",
    )
    .await;
}

#[tokio::test]
async fn errors_of_the_server_are_transient_whatever_their_body() {
    check(
        Answer::status(500, "upstream died\nsecond line"),
        r#"transient: model "tiny" at SERVER: HTTP 500: upstream died second line"#,
    )
    .await;
    let page = Answer::status(502, "<html>\r\n<h1>Bad Gateway</h1>\r\n</html>")
        .header("content-type", "text/html");
    check(
        page,
        r#"transient: model "tiny" at SERVER: HTTP 502: <html> <h1>Bad Gateway</h1> </html>"#,
    )
    .await;
    let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    check(
        Answer::status(503, loading),
        r#"transient: model "tiny" at SERVER: HTTP 503: Loading model"#,
    )
    .await;
    check(Answer::status(408, ""), r#"transient: model "tiny" at SERVER: HTTP 408"#).await;
    check(Answer::status(409, ""), r#"transient: model "tiny" at SERVER: HTTP 409"#).await;
}

#[tokio::test]
async fn errors_of_the_request_are_final_and_say_what_to_change() {
    let body = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    check(Answer::status(401, &body), "final: SERVER refuses the key in OPENAI_API_KEY (HTTP 401: Incorrect API key provided: [OPENAI_API_KEY]): check the key, and that OPENAI_BASE_URL is the server that it belongs to").await;
    let keyless = OpenAiConfig { api_key: None, ..config("") };
    let asked = check_with(
        keyless,
        &request(vec![user("Hi")]),
        Answer::status(401, "Unauthorized"),
        "final: OPENAI_API_KEY is not set, and SERVER asks for a key (HTTP 401: Unauthorized)",
    )
    .await;
    assert_eq!(asked.headers.get("authorization"), None);
    check(Answer::status(404, r#"{"error":"model 'tiny' not found"}"#), r#"final: SERVER knows no model "tiny", or is not the base of an OpenAI-compatible API (HTTP 404: model 'tiny' not found): check the model's name and OPENAI_BASE_URL"#).await;
    check(
        Answer::status(400, r#"{"error":{"code":400,"message":"too long"}}"#),
        r#"final: model "tiny" at SERVER refuses the request: HTTP 400: too long"#,
    )
    .await;
    check(Answer::status(307, "").header("location", "https://example.com/v1"), "final: SERVER has moved (HTTP 307): set OPENAI_BASE_URL to where https://example.com/v1 leads").await;
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_not_mistaken_for_one() {
    let page = Answer::status(200, "<title>llama.cpp</title>").header("content-type", "text/html");
    check(page, "final: SERVER does not answer as an OpenAI-compatible API (HTTP 200: <title>llama.cpp</title>): check OPENAI_BASE_URL, which usually ends in /v1").await;
    let hidden = Answer::status(200, r#"{"error":{"message":"busy","code":429}}"#)
        .header("content-type", "application/json");
    check(hidden, r#"transient: model "tiny" at SERVER: HTTP 429: busy"#).await;
}

#[tokio::test]
async fn a_stream_that_ends_too_early_is_transient() {
    let begun = [delta(json!({"content": "Hel"}))];
    let expected = "transient: the reply from SERVER was cut before its end";
    check(Answer::open_stream(&begun), expected).await;
    check(Answer::open_stream(&[]), expected).await;
    check(Answer::stream(&[]), expected).await;
    let server = ModelServer::start([Answer::open_stream(&begun).cut()]).await;
    let outcome = show(call(config(server.base_url()), &request(vec![])).await, server.base_url());
    assert!(outcome.starts_with(&format!("{expected} (")), "{outcome}");
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
async fn a_stream_that_falls_silent_is_transient() {
    let mut quick = config("");
    quick.timeouts.stall_ms = 150;
    let begun = Answer::open_stream(&[delta(json!({"content": "Hel"}))]).hang();
    check_with(
        quick.clone(),
        &request(vec![]),
        begun,
        "transient: the reply from SERVER stalled: nothing came for 150 ms",
    )
    .await;
    quick.timeouts.first_byte_ms = 150;
    let silent = r#"transient: model "tiny" at SERVER did not begin to answer within 150 ms"#;
    check_with(quick.clone(), &request(vec![]), Answer::silence(), silent).await;
    check_with(quick.clone(), &request(vec![]), Answer::open_stream(&[]).hang(), silent).await;
    // What is whole is not thrown away because the rest does not come.
    let whole = Answer::open_stream(&[delta(json!({"content": "Hi"})), finish("stop")]).hang();
    let reply = r#"{"text":"Hi","finish":"stop","model":"served"}"#;
    check_with(quick, &request(vec![]), whole, reply).await;
}

#[tokio::test]
async fn a_call_as_a_whole_is_bounded() {
    let mut quick = config("");
    quick.timeouts.call_ms = 150;
    let expected = r#"transient: model "tiny" at SERVER was not done within 150 ms"#;
    check_with(quick, &request(vec![]), Answer::silence(), expected).await;
}

#[tokio::test]
async fn an_error_inside_the_stream_fails_the_call() {
    let with = |error: Value| Answer::stream(&[delta(json!({"content": "Hel"})), error]);
    check(
        with(json!({"error": {"message": "Overloaded", "code": 503}})),
        r#"transient: model "tiny" at SERVER: HTTP 503: Overloaded"#,
    )
    .await;
    check(
        with(json!({"error": {"message": "Provider died", "type": "server_error"}})),
        r#"transient: model "tiny" at SERVER: an error in the stream: Provider died"#,
    )
    .await;
    check(
        with(json!({"error": {"message": "Bad schema", "type": "invalid_request_error"}})),
        r#"final: model "tiny" at SERVER refuses the request: an error in the stream: Bad schema"#,
    )
    .await;
    check(with(json!({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400})), r#"final: model "tiny" at SERVER refuses the request: HTTP 400: too long"#).await;
    check(
        with(finish("error")),
        "transient: the reply from SERVER cannot be read: the server gave up in the middle of it",
    )
    .await;
}

#[tokio::test]
async fn a_stream_of_something_else_is_transient() {
    let server = ModelServer::start([
        Answer::status(200, "data: {\"choices\": [\n\n"),
        Answer::calls(&[("a", "", "{}")]),
    ])
    .await;
    for _ in 0..2 {
        let outcome = call(config(server.base_url()), &request(vec![])).await;
        let outcome = show(outcome, server.base_url());
        let expected = "transient: the reply from SERVER cannot be read: ";
        assert!(outcome.starts_with(expected), "{outcome}");
    }
}

#[tokio::test]
async fn dropping_the_call_frees_the_server() {
    let begun = Answer::open_stream(&[delta(json!({"content": "Hel"}))]).hang();
    for answer in [Answer::silence(), begun] {
        let server = ModelServer::start([answer]).await;
        let openai = config(server.base_url());
        let task = tokio::spawn(async move { call(openai, &request(vec![])).await });
        server.until_asked(1).await;
        assert_eq!(server.left(), 0);
        task.abort();
        server.until_left(1).await;
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_transient() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = format!("http://{free}/v1");
    let outcome = show(call(config(&address), &request(vec![])).await, &address);
    let expected = "transient: cannot connect to SERVER (Connection refused";
    assert!(outcome.starts_with(expected), "{outcome}");
    assert!(outcome.contains("OPENAI_BASE_URL"), "{outcome}");
}

#[tokio::test]
async fn a_base_keeps_its_query_and_hides_its_password() {
    let server = ModelServer::start([Answer::status(500, "")]).await;
    let base = server.base_url().replace("http://", "http://me:hunter22@");
    let outcome = call(config(&format!("{base}/?api-version=7")), &request(vec![])).await;
    let expected = r#"transient: model "tiny" at SERVER: HTTP 500"#;
    assert_eq!(show(outcome, server.base_url()), expected);
    assert_eq!(server.asked()[0].path, "/v1/chat/completions?api-version=7");
}

#[tokio::test]
async fn a_key_that_no_header_carries_is_sent_as_its_hash() {
    let mut request = request(vec![]);
    request.idempotency_key = "0af3/café\n".to_owned();
    let expected = r#"{"text":"Hi","finish":"stop","model":"served"}"#;
    let asked = check_with(config(""), &request, Answer::says("Hi"), expected).await;
    let sent = &asked.headers["idempotency-key"];
    assert!(sent.len() == 32 && sent.bytes().all(|byte| byte.is_ascii_hexdigit()), "{sent}");
}

/// What opening `tiny` says with this configuration.
async fn check_config(base_url: Option<&str>, api_key: Option<&str>, expected: &str) {
    let openai = OpenAiConfig {
        base_url: base_url.map(str::to_owned),
        api_key: api_key.map(Into::into),
        timeouts: Timeouts::default(),
    };
    assert!(!format!("{openai:?}").contains("sk-"), "{openai:?}");
    assert_eq!(show(call(openai, &request(vec![])).await, "-"), expected);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_says_what_to_set() {
    let nothing = r#"final: no server is configured for the model "tiny": set OPENAI_API_KEY (for OpenAI), or OPENAI_BASE_URL (for Ollama, vLLM, llama.cpp and others); a model named script:FILE needs neither"#;
    check_config(None, None, nothing).await;
    check_config(Some(""), Some(""), nothing).await;
    check_config(Some("localhost:80"), None, r#"final: OPENAI_BASE_URL is not the address of a server (its scheme is "localhost"): write it like http://localhost:11434/v1"#).await;
    check_config(Some("nowhere"), None, "final: OPENAI_BASE_URL is not the address of a server (relative URL without a base): write it like http://localhost:11434/v1").await;
    check_config(None, Some("sk-\n1"), "final: OPENAI_API_KEY holds a line break or another character that no HTTP header can carry: set it again").await;
}

fn with_output(schema: &str) -> Request {
    let output_schema = Some(Payload::from_json(schema.to_owned()).unwrap());
    Request { output_schema, ..request(vec![user("Hello")]) }
}

const CLOSED: &str = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}"#;

#[tokio::test]
async fn a_schema_is_asked_for_where_a_server_may_take_it() {
    let said = r#"{"text":"{}","finish":"stop","model":"served"}"#;
    let closed = check_with(config(""), &with_output(CLOSED), Answer::says("{}"), said).await;
    let schema: Value = serde_json::from_str(CLOSED).unwrap();
    let format = json!({"name": "answer", "strict": true, "schema": schema});
    assert_eq!(
        closed.body["response_format"],
        json!({"type": "json_schema", "json_schema": format})
    );
    let open = with_output(r#"{"type":"object"}"#);
    let open = check_with(config(""), &open, Answer::says("{}"), said).await;
    assert_eq!(open.body["response_format"]["json_schema"]["strict"], false);
    let list = with_output(r#"{"type":"array"}"#);
    let list = check_with(config(""), &list, Answer::says("{}"), said).await;
    assert_eq!(list.body.get("response_format"), None);
    // Such servers would hold every reply to it, and never call a tool.
    let mut tools = with_output(CLOSED);
    let input_schema = Payload::from_json(r#"{"type":"object"}"#.to_owned()).unwrap();
    tools.tools = vec![ToolSpec { name: "t".to_owned(), description: None, input_schema }];
    let tools = check_with(config(""), &tools, Answer::says("{}"), said).await;
    assert_eq!(tools.body.get("response_format"), None);
}

#[tokio::test]
async fn a_server_that_refuses_the_schema_is_asked_without_it_from_then_on() {
    let refusal = r#"{"error":{"message":"response_format is not supported"}}"#;
    let server =
        ModelServer::start([Answer::status(400, refusal), Answer::says("{}"), Answer::says("{}")])
            .await;
    let openai = config(server.base_url());
    let registry = Registry::new(ModelsConfig { openai, ..ModelsConfig::default() });
    for _ in 0..2 {
        let request = with_output(CLOSED);
        reply(registry.open("tiny").unwrap().provider.call(&request).await);
    }
    let asked: Vec<_> =
        server.asked().iter().map(|asked| asked.body.get("response_format").is_some()).collect();
    assert_eq!(asked, [true, false, false]);
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_told_apart() {
    let long = |status, code: &str| {
        let error = json!({"error": {"message": "too long", "code": code}});
        Answer::status(status, &error.to_string())
    };
    let expected =
        r#"{"too_long":"model \"tiny\" at SERVER refuses the request: HTTP 400: too long"}"#;
    check(long(400, "context_length_exceeded"), expected).await;
    let inside = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
    let expected = r#"{"too_long":"model \"tiny\" at SERVER refuses the request: an error in the stream: too long"}"#;
    check(Answer::stream(&[inside]), expected).await;
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
