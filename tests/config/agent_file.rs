//! What an agent file may say, and what it means.

use relight::agent::{AtLimit, Budget, Definition, InDoubt, Price, Prices, ServerConfig, Usage};
use relight::durable::RetryPolicy;
use relight::journal::{Effect, Payload};
use relight::limits;

use crate::{check_text, file, parse, tool};

#[test]
fn everything_that_a_file_may_say() {
    let text = include_str!("../fixtures/agents/everything.md");
    let agent = Definition::parse("everything.md", text).unwrap();
    assert_eq!(agent.name(), "every_thing-1");
    assert_eq!(agent.description(), "Says everything that an agent file may say.");
    assert_eq!(agent.models(), ["gpt-5-mini", "script:replies.yaml"]);
    assert_eq!(agent.max_turns(), 7);
    assert_eq!(agent.settings().temperature, Some(0.5));
    assert_eq!(agent.settings().max_output_tokens, Some(900));
    assert_eq!(agent.context_tokens(), 32_000);
    assert_eq!(
        agent.budget(),
        Budget {
            turns: None,
            tokens: Some(100_000),
            microdollars: Some(250_000),
            wall_time_ms: Some(2 * 60 * 60 * 1000),
            at_limit: AtLimit::Ask,
        }
    );
    assert_eq!(agent.retry(), RetryPolicy { attempts: 3, first_ms: 250, max_ms: 5_000 });
    assert_eq!(agent.system_prompt(), "You do everything.\n\n---\n\nEven below a rule.");
    assert_eq!(
        agent.input_schema().json(),
        r#"{"properties":{"city":{"type":"string"}},"required":["city"],"type":"object"}"#
    );
    assert_eq!(agent.output_schema().unwrap().json(), r#"{"type":"string"}"#);

    assert_eq!(agent.agents(), ["reader", "writer"]);
    assert!(agent.allows("agent", "reader"));
    assert!(!agent.allows("agent", "every_thing-1"));
    assert!(agent.allows("files", "read"));
    assert!(agent.allows("web", "anything/at.all"));
    assert!(!agent.allows("files", "write"));
    assert_eq!(agent.effect_of(&tool("files", "read", Effect::Once)), Effect::Pure);
    assert_eq!(agent.effect_of(&tool("web", "get", Effect::Once)), Effect::Idempotent);
    assert_eq!(agent.effect_of(&tool("web", "post", Effect::Pure)), Effect::Once);
    assert_eq!(agent.effect_of(&tool("files", "write", Effect::Once)), Effect::Once);
    assert_eq!(agent.in_doubt_of("web", "post"), InDoubt::Fail);
    assert_eq!(agent.in_doubt_of("web", "get"), InDoubt::Retry);
    assert_eq!(agent.in_doubt_of("files", "read"), InDoubt::Tell);

    let servers = serde_json::to_value(agent.servers()).unwrap();
    assert_eq!(
        servers,
        serde_json::json!({
            "files": {
                "command": "files-server",
                "args": ["--root", "${ROOT:-.}"],
                "env": {"FILES_TOKEN": "${FILES_TOKEN}", "MODE": "ro"},
                "cwd": "/srv"
            },
            "web": {
                "url": "https://web.example/mcp",
                "headers": {"Authorization": "Bearer ${WEB_TOKEN}"}
            }
        })
    );
}

#[test]
fn the_least_that_a_file_must_say() {
    let agent = Definition::parse("a.md", &file("")).unwrap();
    assert!(agent.models().is_empty());
    assert!(agent.servers().is_empty());
    assert!(agent.allows("any", "tool"));
    assert_eq!(agent.max_turns(), limits::TURNS);
    assert_eq!(agent.context_tokens(), limits::CONTEXT_TOKENS);
    assert_eq!(agent.budget(), Budget::default());
    assert_eq!(agent.retry(), RetryPolicy::default());
    assert_eq!(agent.in_doubt_of("any", "tool"), InDoubt::Ask);
    assert_eq!(agent.effect_of(&tool("any", "tool", Effect::Idempotent)), Effect::Idempotent);
    assert_eq!(
        agent.input_schema().json(),
        r#"{"additionalProperties":false,"properties":{"task":{"description":"What to do, in plain words","type":"string"}},"required":["task"],"type":"object"}"#
    );
    assert_eq!(agent.clone().or_models(&["m".to_owned()]).models(), ["m"]);
    assert_eq!(parse("model: own").or_models(&["m".to_owned()]).models(), ["own"]);
}

#[test]
fn a_definition_survives_the_journal() {
    let text = include_str!("../fixtures/agents/everything.md");
    for agent in [
        Definition::parse("everything.md", text).unwrap(),
        Definition::parse("a.md", &file("")).unwrap(),
    ] {
        let stored = Payload::of(&agent).unwrap();
        let back: Definition = stored.read().unwrap();
        assert_eq!(back, agent);
        assert_eq!(Payload::of(&back).unwrap().hash(), stored.hash());
    }
}

#[test]
fn line_ends_and_byte_order_marks_do_not_matter() {
    let text = format!("\u{feff}{}", file("model: m").replace('\n', "\r\n"));
    let agent = Definition::parse("a.md", &text).unwrap();
    assert_eq!(agent.models(), ["m"]);
    assert_eq!(agent.system_prompt(), "You do things.");
    check_text(
        &text.replace("model", "modle"),
        r#"a.md:4: unknown key "modle"; did you mean "model"?"#,
    );
}

#[test]
fn the_first_message() {
    let agent = parse("");
    let said = |json: &str| agent.first_message(&Payload::from_json(json.to_owned()).unwrap());
    assert_eq!(said(r#"{"task":"Tidy \"up\"."}"#), "Tidy \"up\".");
    assert_eq!(
        said(r#"{"order":"A-1","task":"x"}"#),
        "{\n  \"order\": \"A-1\",\n  \"task\": \"x\"\n}"
    );
    assert_eq!(said(r#"{"task":3}"#), "{\n  \"task\": 3\n}");
    assert_eq!(said("{}"), "{}");
}

#[test]
fn tools_are_named_as_claude_code_and_copilot_name_them() {
    let servers = |lines: &str| parse(lines).servers().keys().cloned().collect::<Vec<_>>();
    assert_eq!(servers("tools: till/*, mail/send"), ["mail", "till"]);
    assert_eq!(servers("tools: [till/charge]"), ["till"]);
    assert_eq!(servers("tools: []"), [""; 0]);
    assert!(!parse("tools: []").allows("till", "charge"));
    assert!(parse("tools: till/*, mail/send").allows("mail", "send"));
    assert!(!parse("tools: till/*, mail/send").allows("mail", "delete"));
}

#[test]
fn an_agent_has_the_servers_that_it_may_use() {
    let servers = |lines: &str| parse(lines).servers().keys().cloned().collect::<Vec<_>>();
    // All of the project, but not relight itself, unless it is named.
    assert_eq!(servers(""), ["mail", "till"]);
    assert_eq!(servers("tools: agents/*"), ["agents"]);
    assert_eq!(servers("mcpServers: [till]"), ["till"]);
    assert_eq!(servers("mcpServers: [till, {own: {command: own}}]"), ["own", "till"]);
    assert_eq!(servers("mcpServers: {own: {command: own}}"), ["own"]);
    assert_eq!(
        servers("mcpServers: {own: {command: own}}\ntools: [own/a, till/b]"),
        ["own", "till"]
    );
    assert_eq!(servers("mcpServers: {own: {command: own}}\ntools: [till/b]"), ["till"]);
    let own = parse("mcpServers: {till: {type: http, url: http://127.0.0.1:1/mcp}}");
    assert!(matches!(own.servers()["till"], ServerConfig::Http { .. }));
}

#[test]
fn a_call_costs_what_its_tokens_cost() {
    let price = Price { input: 250_000, output: 2_000_000, cached: 25_000 };
    let prices: Prices = [("openai:gpt-5-mini".to_owned(), price)].into_iter().collect();
    let usage = |input_tokens, cached_tokens, output_tokens| Usage {
        input_tokens,
        output_tokens,
        cached_tokens,
    };
    for (usage, microdollars) in [
        (usage(0, 0, 0), 0),
        (usage(1_000_000, 0, 0), 250_000),
        (usage(1_000_000, 1_000_000, 0), 25_000),
        (usage(1_000, 400, 500), 150 + 10 + 1_000),
        (usage(1, 0, 0), 1),
        (usage(10, 99, 0), 1),
        (usage(u64::MAX, 0, u64::MAX), u64::MAX),
    ] {
        assert_eq!(prices.cost("gpt-5-mini", &usage), Some(microdollars), "{usage:?}");
        assert_eq!(prices.cost("openai:gpt-5-mini", &usage), Some(microdollars));
        assert_eq!(prices.cost("gpt-5", &usage), None);
    }
}

#[test]
fn the_agents_that_come_with_relight_are_sound() {
    let checkout =
        Definition::parse("checkout.md", include_str!("../../prompts/checkout.md")).unwrap();
    assert_eq!(checkout.name(), "checkout");
    assert!(checkout.allows("till", "find_charge"));
    assert_eq!(checkout.in_doubt_of("till", "charge_card"), InDoubt::Tell);
    let assistant =
        Definition::parse("assistant.md", include_str!("../../prompts/assistant.md")).unwrap();
    assert!(assistant.allows("any", "tool"));
}
