//! The agents of a directory and the servers of `.mcp.json`, as they are loaded together.

use std::collections::BTreeMap;
use std::fs;

use relight::agent::ServerConfig;
use relight::config::{load_agent, load_agents, load_callees, load_servers};

use crate::agent;
use crate::place::Place;

#[test]
fn agents_read_as_much_as_their_models_can() {
    let place = Place::with(&[
        ("relight.yaml", "model: tiny\ncontext: {tiny: 8192, 'openai:huge': 1000000}"),
        ("prompts/a.md", &agent("a-default", "")),
        ("prompts/b.md", &agent("b-list", "model: [huge, tiny]")),
        ("prompts/c.md", &agent("c-unknown", "model: [openai-responses:huge, other]")),
        ("prompts/d.md", &agent("d-own", "model: huge\ncontextTokens: 5000")),
        ("prompts/e.md", &agent("e-other", "model: other")),
        ("prompts/f.md", &agent("f-huge", "model: openai-responses:huge")),
    ]);
    let agents = load_agents(&place.settings().unwrap()).unwrap();
    let tokens: Vec<_> = agents.iter().map(|agent| agent.context_tokens()).collect();
    assert_eq!(tokens, [8_192, 8_192, 128_000, 5_000, 128_000, 1_000_000]);
}

#[test]
fn agents_come_with_their_model_and_their_servers() {
    let place = Place::with(&[
        ("prompts/b.md", &agent("beta", "tools: till/*\nmodel: own")),
        ("prompts/a.md", &agent("alpha", "")),
        ("prompts/README.md", "Not an agent."),
        ("prompts/script.yaml", "Not an agent either."),
        ("prompts/system/own.md", "Nor is what lies deeper."),
        (
            ".mcp.json",
            "{\n\t\"mcpServers\": {\n\t\t\"till\": {\"command\": \"till\", \"env\": {\"A_KEY\": \"${A_KEY}\"}, \"disabled\": false},\n\t\t\"web\": {\"type\": \"http\", \"url\": \"https:\\/\\/web.example/mcp\"}\n\t},\n\t\"theirs\": 1\n}\n",
        ),
        ("relight.yaml", "model: configured"),
    ]);
    let agents = load_agents(&place.settings().unwrap()).unwrap();
    let names: Vec<_> = agents.iter().map(|agent| agent.name()).collect();
    assert_eq!(names, ["alpha", "beta"]);
    assert_eq!(agents[0].models(), ["configured"]);
    assert_eq!(agents[1].models(), ["own"]);
    let servers: Vec<_> = agents[0].servers().keys().collect();
    assert_eq!(servers, ["till", "web"]);
    let servers: Vec<_> = agents[1].servers().keys().collect();
    assert_eq!(servers, ["till"]);
    let ServerConfig::Stdio { env, .. } = &agents[0].servers()["till"] else { panic!() };
    assert_eq!(env["A_KEY"], "${A_KEY}");
    assert_eq!(
        agents[0].servers()["web"],
        ServerConfig::Http { url: "https://web.example/mcp".to_owned(), headers: BTreeMap::new() }
    );
}

#[test]
fn the_servers_of_vs_code_are_read_too() {
    let place = Place::with(&[(
        ".mcp.json",
        r#"{"inputs": [], "servers": {"a": {"type": "stdio", "command": "a"}}}"#,
    )]);
    assert_eq!(load_servers(&place.settings().unwrap()).unwrap().len(), 1);
}

#[test]
fn mistakes_in_mcp_json() {
    for (text, expected) in [
        ("{}", "DIR/.mcp.json: no \"mcpServers\"; put a map of server names to servers there"),
        ("[]", "DIR/.mcp.json:1: expected the keys mcpServers, servers, not a list"),
        (
            "{\n  \"mcpServers\": {\"a\": {\"command\": \"x\"}\n",
            "DIR/.mcp.json:2: not well formed: unclosed bracket '{'",
        ),
        (
            "{\n  \"mcpServers\": {\n    \"a\": {\"comand\": \"x\"}\n  }\n}",
            r#"DIR/.mcp.json:3: "mcpServers.a" must have either "command" (a program to start, type stdio) or "url" (a server to connect to, type http)"#,
        ),
        (
            "{\n  \"servers\": {\n    \"a\": {\"command\": \"x\",\n      \"env\": {\"API_KEY\": \"abc\"}}\n  }\n}",
            r#"DIR/.mcp.json:4: "servers.a.env.API_KEY" holds a secret, which would be stored in the journal; put it in an environment variable and write "${VARIABLE}" here"#,
        ),
    ] {
        let place = Place::with(&[(".mcp.json", text)]);
        place.check(place.settings().and_then(|settings| load_servers(&settings)), expected);
    }
}

#[test]
fn every_mistake_of_every_agent_file_is_told() {
    let place = Place::with(&[
        ("prompts/a.md", &agent("same", "maxTurns: 0")),
        ("prompts/b.md", &agent("same", "")),
        ("prompts/c.md", &agent("same", "tools: nope/*")),
        ("prompts/d.md", &agent("same", "")),
    ]);
    fs::write(place.path("prompts/e.md"), b"\xff\xfe").unwrap();
    place.check(
        place.agents(),
        r#"DIR/prompts/a.md:4: "maxTurns" must be a whole number from 1 to 10000, not 0
DIR/prompts/c.md:4: no server "nope" is configured; describe it under "mcpServers" here or in .mcp.json
DIR/prompts/e.md: cannot be read: stream did not contain valid UTF-8
DIR/prompts/d.md: the name "same" is taken by DIR/prompts/b.md; every agent needs its own"#,
    );
}

#[test]
fn a_budget_in_dollars_needs_prices() {
    let text = agent("a", "model: gpt-5\nbudget: {dollars: 1}");
    let place = Place::with(&[("prompts/a.md", &text)]);
    place.check(
        place.agents(),
        r#"DIR/prompts/a.md: "budget.dollars" needs the price of "gpt-5"; add it under "prices" in relight.yaml, or bound "budget.tokens" instead"#,
    );
    let prices = "prices: {gpt-5: {input: 1, output: 10}}";
    let place = Place::with(&[("prompts/a.md", &text), ("relight.yaml", prices)]);
    assert_eq!(place.agents().unwrap(), ["a"]);
    let text = agent("a", "model: script:replies.yaml\nbudget: {dollars: 1}");
    let place = Place::with(&[("prompts/a.md", &text)]);
    assert_eq!(place.agents().unwrap(), ["a"]);
}

#[test]
fn agents_that_agents_name_exist_and_have_prices() {
    let lead =
        agent("lead", "model: script:x.yaml\nagents: [raeder, nobody]\nbudget: {dollars: 1}");
    let reader = agent("reader", "model: gpt-5");
    let place = Place::with(&[("prompts/lead.md", &lead), ("prompts/reader.md", &reader)]);
    place.check(
        place.agents(),
        r#"DIR/prompts/lead.md: "agents" names "raeder", and there is no such agent; did you mean "reader"?
DIR/prompts/lead.md: "agents" names "nobody", and there is no such agent; the agents are lead, reader"#,
    );
    let lead = agent("lead", "model: script:x.yaml\nagents: reader\nbudget: {dollars: 1}");
    let place = Place::with(&[("prompts/lead.md", &lead), ("prompts/reader.md", &reader)]);
    place.check(
        place.agents(),
        r#"DIR/prompts/lead.md: "budget.dollars" of lead needs the price of "gpt-5", the model of reader, which it may call; add it under "prices" in relight.yaml, or bound "budget.tokens" instead"#,
    );
}

#[test]
fn the_agents_that_an_agent_reaches() {
    let a = agent("a", "agents: [b]");
    let b = agent("b", "agents: [c]");
    let c = agent("c", "agents: [a]");
    let files = [("prompts/a.md", a.as_str()), ("prompts/b.md", &b), ("prompts/c.md", &c)];
    let place = Place::with(&files);
    let settings = place.settings().unwrap();
    let callees = load_callees(&settings, &load_agent(&settings, "a").unwrap()).unwrap();
    let names: Vec<_> = callees.iter().map(|agent| agent.name()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn no_agents_at_all() {
    let place = Place::with(&[]);
    place.check(
        place.agents(),
        "no agents: DIR/prompts does not exist; write an agent as NAME.md there, or name another directory with --agents (this one comes from the defaults)",
    );
    let mut place = Place::with(&[("empty/README.md", "")]);
    place.flags.agents = Some(place.path("empty"));
    place.check(
        place.agents(),
        "no agents: DIR/empty has no *.md files; write an agent as NAME.md there, or name another directory with --agents (this one comes from --agents)",
    );
}

#[test]
fn one_agent_by_name_or_path() {
    let place = Place::with(&[
        ("prompts/alpha.md", &agent("alpha", "")),
        ("prompts/broken.md", "Nothing."),
        ("prompts/one.md", &agent("twin", "")),
        ("prompts/two.md", &agent("twin", "")),
        ("elsewhere/x.md", &agent("else", "maxTurns: x")),
        ("elsewhere/y.md", &agent("else", "")),
    ]);
    let settings = place.settings().unwrap();
    let load = |name: &str| load_agent(&settings, name);
    assert_eq!(load("alpha").unwrap().name(), "alpha");
    let path = place.path("elsewhere/y.md");
    assert_eq!(load(path.to_str().unwrap()).unwrap().name(), "else");

    place.check(load("alhpa"), r#"no agent "alhpa" in DIR/prompts; did you mean "alpha"?"#);
    place.check(load("other"), r#"no agent "other" in DIR/prompts; the agents are alpha, twin"#);
    place.check(
        load("twin"),
        r#"DIR/prompts/two.md: the name "twin" is taken by DIR/prompts/one.md; every agent needs its own"#,
    );
    place.check(
        load("broken"),
        r#"DIR/prompts/broken.md:1: no front matter; begin the file with a line "---", then name, description and other keys, then a line "---", then the system prompt"#,
    );
    place.check(
        load(place.path("elsewhere/x.md").to_str().unwrap()),
        r#"DIR/elsewhere/x.md:4: "maxTurns" must be a whole number from 1 to 10000, not the text "x""#,
    );
    place.check(
        load("/nowhere/z.md"),
        "cannot read /nowhere/z.md: No such file or directory (os error 2) (the path comes from the command line)",
    );
}
