//! What is said of every mistake in an agent file.

use relight::agent::{BuiltIn, Definition};
use relight::limits;

use crate::{check, check_text, file, parse};

#[test]
fn all_mistakes_are_found_at_once() {
    let text = include_str!("../fixtures/agents/broken.md");
    let error = Definition::parse("broken.md", text).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"broken.md: no "description"; add it to the front matter: it tells whoever chooses a tool what this one does
broken.md:2: "name" must be 1 to 64 letters A-Z a-z, digits, "_" and "-", not the text "my agent"
broken.md:3: unknown key "max_turns"; did you mean "maxTurns"?
broken.md:6: "budget.tokens" must be a whole number of at least 1, not 0
broken.md:11: "input" is not a valid JSON Schema at /properties/n/type: "numbr" is not valid under any of the schemas listed in the 'anyOf' keyword"#
    );
    assert_eq!(error.problems().len(), 5);
}

#[test]
fn mistakes_in_the_shape_of_the_file() {
    check_text(
        "You do things.\n",
        r#"a.md:1: no front matter; begin the file with a line "---", then name, description and other keys, then a line "---", then the system prompt"#,
    );
    check_text(
        "",
        r#"a.md:1: no front matter; begin the file with a line "---", then name, description and other keys, then a line "---", then the system prompt"#,
    );
    check_text(
        "---\nname: a\n",
        r#"a.md:1: the front matter has no end; put a line "---" after its last key"#,
    );
    check_text(
        "---\nname: a\ndescription: b\n---\n \n",
        "a.md: no system prompt; write it below the front matter",
    );
    check_text(
        "---\n---\nHi.",
        "a.md:2: expected the keys name, description, model, tools, mcpServers, agents, maxTurns, temperature, maxOutputTokens, contextTokens, input, output, budget, in_doubt, approve, questions, effects, retry, timeout, http, not empty",
    );
    check_text(
        "---\n- name\n---\nHi.",
        "a.md:2: expected the keys name, description, model, tools, mcpServers, agents, maxTurns, temperature, maxOutputTokens, contextTokens, input, output, budget, in_doubt, approve, questions, effects, retry, timeout, http, not a list",
    );
    check("model: [a\ntools: b", "a.md:5: not well formed: illegal placement of ':' indicator");
    check(
        "model: a\nmodel: b",
        "a.md:5: not well formed: duplicate mapping key `model` is not allowed here",
    );
    let nested = |levels: usize| {
        format!("output: {}{}", "{not: ".repeat(levels - 1) + "{}", "}".repeat(levels - 1))
    };
    check(&nested(1000), "a.md:4: not well formed: lists and maps may go 28 levels deep");
    parse(&nested(limits::DOCUMENT_DEPTH_MAX - 1));
    let long = file(&"#".repeat(limits::AGENT_FILE_MAX_BYTES));
    check_text(
        &long,
        &format!("a.md: the file has {} bytes, and at most 1048576 are taken", long.len()),
    );
}

#[test]
fn mistakes_in_keys() {
    check("max_turns: 3", r#"a.md:4: unknown key "max_turns"; did you mean "maxTurns"?"#);
    check("Modle: x", r#"a.md:4: unknown key "Modle"; did you mean "model"?"#);
    check(
        "permissionMode: plan",
        r#"a.md:4: unknown key "permissionMode"; the keys here are name, description, model, tools, mcpServers, agents, maxTurns, temperature, maxOutputTokens, contextTokens, input, output, budget, in_doubt, approve, questions, effects, retry, timeout, http"#,
    );
    check(
        "budget: {walltime: 1h, money: 3}",
        "a.md:4: unknown key \"walltime\"; did you mean \"wallTime\"?\na.md:4: unknown key \"money\"; the keys here are turns, tokens, dollars, wallTime, atLimit",
    );
    check(
        "budget: {atLimit: aks}",
        r#"a.md:4: "budget.atLimit" must be one of end, ask, not the text "aks""#,
    );
    check("agents: 3", r#"a.md:4: "agents" must be a list of the names of agents, not 3"#);
    check(
        "agents: [reader]\neffects: {agent/raeder: pure, agent/x: pure}",
        "a.md:5: \"agent/raeder\" means no agent that this one may call; did you mean \"agent/reader\"?\na.md:5: \"agent/x\" means no agent that this one may call; name the agent under \"agents\" too",
    );
    check(
        "mcpServers: {agent: {command: x}}",
        r#"a.md:4: "agent" cannot name a server: agents as tools have that name"#,
    );
}

#[test]
fn mistakes_in_names_and_texts() {
    check_text(
        "---\nmodel: m\n---\nHi.",
        "a.md: no \"name\"; add it to the front matter, such as: name: my-agent\na.md: no \"description\"; add it to the front matter: it tells whoever chooses a tool what this one does",
    );
    let named = |name: &str| format!("---\nname: {name}\ndescription: b\n---\nHi.");
    check_text(
        &named("über"),
        r#"a.md:2: "name" must be 1 to 64 letters A-Z a-z, digits, "_" and "-", not the text "über""#,
    );
    check_text(&named("7"), r#"a.md:2: "name" must be text, not 7"#);
    check_text(&named("''"), r#"a.md:2: "name" must be text, not the text """#);
    check_text(
        &named(&"x".repeat(65)),
        &format!(
            r#"a.md:2: "name" must be 1 to 64 letters A-Z a-z, digits, "_" and "-", not the text "{}""#,
            "x".repeat(65)
        ),
    );
    check("model: 5", r#"a.md:4: "model" must be the name of a model, or a list of them, not 5"#);
    check(
        "model: []",
        r#"a.md:4: "model" must be the name of a model, or a list of them, not a list"#,
    );
    check(
        "model:\n  - m\n  - true",
        r#"a.md:6: "model" must be the name of a model, or a list of them, not true"#,
    );
}

#[test]
fn mistakes_in_numbers_and_durations() {
    check(
        "maxTurns: ten",
        r#"a.md:4: "maxTurns" must be a whole number from 1 to 10000, not the text "ten""#,
    );
    check("maxTurns: 0", r#"a.md:4: "maxTurns" must be a whole number from 1 to 10000, not 0"#);
    check("maxTurns: 1.5", r#"a.md:4: "maxTurns" must be a whole number from 1 to 10000, not 1.5"#);
    check("temperature: 3", r#"a.md:4: "temperature" must be a number from 0 to 2, not 3"#);
    check(
        "maxOutputTokens: -1",
        r#"a.md:4: "maxOutputTokens" must be a whole number from 1 to 4294967295, not -1"#,
    );
    check(
        "budget: 5",
        r#"a.md:4: "budget" must be a map of turns, tokens, dollars, wallTime, atLimit, not 5"#,
    );
    check(
        "budget:\n  dollars: 0",
        r#"a.md:5: "budget.dollars" must be an amount above 0, such as 0.50, not 0"#,
    );
    check(
        "budget:\n  dollars: $5",
        r#"a.md:5: "budget.dollars" must be an amount above 0, such as 0.50, not the text "$5""#,
    );
    check(
        "budget: {turns: 0}",
        r#"a.md:4: "budget.turns" must be a whole number from 1 to 10000, not 0"#,
    );
    for (written, found) in [
        ("600", "600"),
        ("0s", "the text \"0s\""),
        ("-5m", "the text \"-5m\""),
        ("1 month", "the text \"1 month\""),
        ("soon", "the text \"soon\""),
        ("", "empty"),
    ] {
        check(
            &format!("budget:\n  wallTime: {written}"),
            &format!(
                r#"a.md:5: "budget.wallTime" must be a duration such as 30s, 10m, 2h or 7d, not {found}"#
            ),
        );
    }
    check(
        "retry: {attempts: 0}",
        r#"a.md:4: "retry.attempts" must be a whole number from 1 to 100, not 0"#,
    );
    check(
        "retry: {first: 2m, max: 1m}",
        r#"a.md:4: "retry.first" is longer than "retry.max"; make it shorter"#,
    );
    assert_eq!(parse("budget: {turns: 4}").max_turns(), 4);
    let both = parse("maxTurns: 3\nbudget: {turns: 4}");
    assert_eq!((both.max_turns(), both.budget().turns), (3, Some(4)));
    assert_eq!(parse("budget: {wallTime: 7d}").budget().wall_time_ms, Some(7 * 86_400_000));
    assert_eq!(parse("budget: {wallTime: 1h30m}").budget().wall_time_ms, Some(5_400_000));
    assert_eq!(parse("retry: {first: 2m}").retry().max_ms, 120_000);
}

#[test]
fn mistakes_in_schemas() {
    check("input: text", r#"a.md:4: "input" must be a JSON Schema, not the text "text""#);
    check(
        "input: {type: string}",
        r#"a.md:4: "input" must say "type: object": a tool is called with named arguments"#,
    );
    check(
        "output:\n  type: object\n  required: a",
        r#"a.md:6: "output" is not a valid JSON Schema at /required: "a" is not of type "array""#,
    );
    check(
        "output: {$ref: '#/$defs/a'}",
        r##"a.md:4: "output" is not a valid JSON Schema: Pointer '/$defs/a' does not exist"##,
    );
}

#[test]
fn mistakes_in_tools_and_policies() {
    let built_in = BuiltIn::ALL.map(BuiltIn::name).join(", ");
    check(
        "tools: [till/*, Read]",
        &format!(
            r#"a.md:4: "Read" names no tool; write "server/tool", "server/*" for all tools of a server, or a built-in tool: {built_in}"#
        ),
    );
    check("tools: [slep]", r#"a.md:4: "slep" names no tool; write "sleep""#);
    check(
        "mcpServers: {relight: {command: a}}",
        r#"a.md:4: "relight" cannot name a server: the built-in tools have that name"#,
    );
    check(
        "tools: mcp__till__charge, mcp__mail",
        "a.md:4: \"mcp__till__charge\" names no tool; write \"till/charge\"\na.md:4: \"mcp__mail\" names no tool; write \"mail/*\"",
    );
    check(
        "tools: ''",
        &format!(
            r#"a.md:4: "" names no tool; write "server/tool", "server/*" for all tools of a server, or a built-in tool: {built_in}"#
        ),
    );
    check(
        "tools:",
        r#"a.md:4: "tools" must be a list of "server/tool" ([] for no tools), not empty"#,
    );
    check(
        "tools:\n  - 3",
        r#"a.md:5: "tools" must be a list of "server/tool" ([] for no tools), not 3"#,
    );
    check(
        "tools:\n  - til/charge",
        r#"a.md:5: no server "til" is configured; did you mean "till"?"#,
    );
    check(
        "tools: [database/*]",
        r#"a.md:4: no server "database" is configured; describe it under "mcpServers" here or in .mcp.json"#,
    );
    check(
        "effects: {til/a: pure}\nin_doubt: {mial/*: tell}",
        "a.md:4: no server \"til\" is configured; did you mean \"till\"?\na.md:5: no server \"mial\" is configured; did you mean \"mail\"?",
    );
    check(
        "effects: {till/a: read}",
        r#"a.md:4: "effects.till/a" must be one of pure, idempotent, once, not the text "read""#,
    );
    check(
        "effects: [till/a]",
        r#"a.md:4: "effects" must be a map of "server/tool" to pure, idempotent or once, not a list"#,
    );
    check(
        "in_doubt:\n  default: tel",
        r#"a.md:5: "in_doubt.default" cannot be "tel"; did you mean "tell"?"#,
    );
    check("in_doubt: 1", r#"a.md:4: "in_doubt" must be one of ask, retry, tell, fail, not 1"#);
}

#[test]
fn mistakes_in_servers() {
    check(
        "mcpServers: 1",
        r#"a.md:4: "mcpServers" must be a map of server names to servers, not 1"#,
    );
    check("mcpServers: [tils]", r#"a.md:4: no server "tils" is configured; did you mean "till"?"#);
    check(
        "mcpServers: {a/b: {command: x}}",
        r#"a.md:4: "a/b" cannot name a server; leave out "/" and ",""#,
    );
    check(
        "mcpServers: {own: {command: x, arg: y}}",
        r#"a.md:4: unknown key "arg"; did you mean "args"?"#,
    );
    let neither = r#"a.md:5: "mcpServers.own" must have either "command" (a program to start, type stdio) or "url" (a server to connect to, type http)"#;
    check("mcpServers:\n  own: {env: {}}", neither);
    check("mcpServers:\n  own: {command: x, url: http://y}", neither);
    check("mcpServers:\n  own: {type: http, command: x}", neither);
    check(
        "mcpServers: {own: {type: websocket, url: ws://x}}",
        r#"a.md:4: "mcpServers.own.type" must be stdio or http, not "websocket""#,
    );
    check(
        "mcpServers: {own: {type: sse, url: http://x}}",
        r#"a.md:4: "mcpServers.own" uses the old SSE transport, which relight does not speak; use the server's Streamable HTTP address with "type: http", or remove it"#,
    );
    check(
        "mcpServers: {own: {url: example.org}}",
        r#"a.md:4: "mcpServers.own.url" must be an address that begins with http:// or https://, not the text "example.org""#,
    );
    check(
        "mcpServers: {own: {command: x, args: [1]}}",
        r#"a.md:4: "mcpServers.own.args" must be a list of texts (in quotes), not 1"#,
    );
    check(
        "mcpServers: {own: {command: x, args: y}}",
        r#"a.md:4: "mcpServers.own.args" must be a list of texts, not the text "y""#,
    );
    check(
        "mcpServers: {own: {command: x, env: {PORT: 80}}}",
        r#"a.md:4: "mcpServers.own.env.PORT" must be text (in quotes), not 80"#,
    );
    check(
        "mcpServers: {own: {url: http://x, headers: {Authorization: Bearer abc}}}",
        r#"a.md:4: "mcpServers.own.headers.Authorization" holds a secret, which would be stored in the journal; put it in an environment variable and write "${VARIABLE}" here"#,
    );
    // A server that could not be read is not also called missing.
    check(
        "mcpServers: {own: {command: 1}}\ntools: [own/a]",
        r#"a.md:4: "mcpServers.own.command" must be text, not 1"#,
    );
}
