//! What is asked, of which server, and with which key.

use relight::agent::models::{ModelsConfig, OpenAiConfig, Registry, Timeouts};
use relight::agent::{Models, Request, Settings, ToolSpec};
use serde_json::{Value, json};

use super::{call, check_with, config, reply, show};
use crate::model_server::{Answer, ModelServer, delta, finish, usage};
use crate::{KEY, payload, request, user};

#[tokio::test]
async fn a_text_is_streamed_and_the_request_is_as_documented() {
    let mut request = request(vec![user("Hello")]);
    request.settings = Settings { temperature: Some(0.5), max_output_tokens: Some(100) };
    let schema = payload(r#"{"type":"object"}"#);
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
    let output_schema = Some(payload(schema));
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
    let input_schema = payload(r#"{"type":"object"}"#);
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
