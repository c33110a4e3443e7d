//! What goes wrong at the server or on the way, and whether it is tried again.

use relight::agent::models::OpenAiConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{call, check, check_with, config, show};
use crate::model_server::{Answer, ModelServer, delta, finish};
use crate::{KEY, request, user};

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
