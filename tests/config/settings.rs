//! The configuration: where things are, what wins, and what is said when it is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use relight::agent::models::PaceConfig;
use relight::agent::{ServerConfig, Usage};
use relight::config::{
    self, Environment, Flags, Secret, Setting, Settings, Source, load_agent, load_agents,
    load_callees, load_servers,
};
use relight::limits;
use tempfile::TempDir;

/// A working directory with files and variables; `config/` and `data/` in it are the user's own.
struct Place {
    directory: TempDir,
    variables: BTreeMap<String, String>,
    flags: Flags,
}

impl Place {
    fn with(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { directory, variables: BTreeMap::new(), flags: Flags::default() }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn settings(&self) -> Result<Settings, config::Error> {
        let environment = Environment::fixed(self.directory.path(), self.variables.clone());
        Settings::resolve(&self.flags, &environment)
    }

    fn agents(&self) -> Result<Vec<String>, config::Error> {
        let agents = load_agents(&self.settings()?)?;
        Ok(agents.iter().map(|agent| agent.name().to_owned()).collect())
    }

    /// The call fails, and exactly this is said; `DIR` stands for the directory.
    #[track_caller]
    fn check<T: std::fmt::Debug>(&self, result: Result<T, config::Error>, expected: &str) {
        let said = result.unwrap_err().to_string();
        let directory = self.directory.path().to_string_lossy();
        assert_eq!(said.replace(&*directory, "DIR"), expected);
    }
}

fn agent(name: &str, lines: &str) -> String {
    format!("---\nname: {name}\ndescription: Does things.\n{lines}\n---\nYou do things.\n")
}

fn set<T>(value: T, from: Source) -> Setting<T> {
    Setting { value, from }
}

#[test]
fn with_nothing_set_everything_is_at_its_default() {
    let place = Place::with(&[]);
    let settings = place.settings().unwrap();
    assert_eq!(settings.agents, set(place.path("prompts"), Source::Default));
    assert_eq!(settings.journal, set(place.path("data/journal.db"), Source::Default));
    assert_eq!(settings.mcp_config, None);
    assert_eq!(settings.model, None);
    assert_eq!(settings.ttl_ms, limits::TASK_TTL_MS);
    assert!(settings.openai.api_key.is_none());
    assert!(settings.openai.base_url.is_none());
    assert!(load_servers(&settings).unwrap().is_empty());
}

#[test]
fn the_working_directory_wins_over_the_users_own_configuration() {
    let own = [
        ("config/agents/a.md", ""),
        ("config/mcp.json", "{}"),
        ("config/relight.yaml", "model: users"),
    ];
    let place = Place::with(&own);
    let settings = place.settings().unwrap();
    assert_eq!(settings.agents.value, place.path("config/agents"));
    assert_eq!(settings.mcp_config.unwrap().value, place.path("config/mcp.json"));
    assert_eq!(
        settings.model,
        Some(set("users".to_owned(), Source::File(place.path("config/relight.yaml"))))
    );

    let local = [("prompts/a.md", ""), (".mcp.json", "{}"), ("relight.yaml", "model: projects")];
    let place = Place::with(&[own.as_slice(), local.as_slice()].concat());
    let settings = place.settings().unwrap();
    assert_eq!(settings.agents.value, place.path("prompts"));
    assert_eq!(settings.mcp_config.unwrap().value, place.path(".mcp.json"));
    assert_eq!(settings.model.unwrap().value, "projects");
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_a_file() {
    let mut place = Place::with(&[("relight.yaml", "model: m1"), ("b.yaml", "model: m2")])
        .variable("RELIGHT_AGENTS", "va")
        .variable("RELIGHT_JOURNAL", "vj")
        .variable("RELIGHT_MCP_CONFIG", "vm")
        .variable("RELIGHT_MODEL", "");
    let settings = place.settings().unwrap();
    assert_eq!(settings.agents, set("va".into(), Source::Variable("RELIGHT_AGENTS")));
    assert_eq!(settings.journal, set("vj".into(), Source::Variable("RELIGHT_JOURNAL")));
    assert_eq!(settings.mcp_config, Some(set("vm".into(), Source::Variable("RELIGHT_MCP_CONFIG"))));
    // A variable that is set to nothing is not set.
    assert_eq!(settings.model.unwrap().value, "m1");

    place = place.variable("RELIGHT_MODEL", "vm");
    assert_eq!(
        place.settings().unwrap().model,
        Some(set("vm".to_owned(), Source::Variable("RELIGHT_MODEL")))
    );

    place.flags = Flags {
        agents: Some("fa".into()),
        journal: Some("fj".into()),
        mcp_config: Some("fm".into()),
        model: Some("f".to_owned()),
        config: Some(place.path("b.yaml")),
    };
    let settings = place.settings().unwrap();
    assert_eq!(settings.agents, set("fa".into(), Source::Flag("--agents")));
    assert_eq!(settings.journal, set("fj".into(), Source::Flag("--journal")));
    assert_eq!(settings.mcp_config, Some(set("fm".into(), Source::Flag("--mcp-config"))));
    assert_eq!(settings.model, Some(set("f".to_owned(), Source::Flag("--model"))));

    place.flags.model = None;
    place.variables.remove("RELIGHT_MODEL");
    assert_eq!(place.settings().unwrap().model.unwrap().value, "m2");
}

#[test]
fn the_flags_fit_into_a_command_line() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }
    let line: Line = clap::Parser::parse_from([
        "relight",
        "--agents=a",
        "--journal=j",
        "--mcp-config=m",
        "--model=n",
        "--config=c",
    ]);
    assert_eq!(line.flags.agents.as_deref(), Some(Path::new("a")));
    assert_eq!(line.flags.mcp_config.as_deref(), Some(Path::new("m")));
    <Line as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn the_key_is_never_shown() {
    let place = Place::with(&[])
        .variable("OPENAI_API_KEY", "sk-very-secret")
        .variable("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1/");
    let settings = place.settings().unwrap();
    assert_eq!(settings.openai.api_key.as_ref().map(Secret::expose), Some("sk-very-secret"));
    assert_eq!(settings.openai.base_url.as_deref(), Some("http://127.0.0.1:11434/v1"));
    assert!(!format!("{settings:?}").contains("very-secret"));
    let environment = Environment::fixed(place.directory.path(), place.variables.clone());
    assert!(!format!("{environment:?}").contains("very-secret"));
}

#[test]
fn mistakes_in_variables_and_flags() {
    let place = Place::with(&[]).variable("OPENAI_BASE_URL", "localhost:11434");
    place.check(
        place.settings(),
        r#"OPENAI_BASE_URL is "localhost:11434": it must begin with http:// or https://, such as http://127.0.0.1:11434/v1"#,
    );
    let place = Place::with(&[]).variable("RELIGHT_CONFIG", "/nowhere/relight.yaml");
    place.check(
        place.settings(),
        "cannot read /nowhere/relight.yaml: No such file or directory (os error 2) (the path comes from RELIGHT_CONFIG)",
    );
    let mut place = Place::with(&[("prompts/a.md", "")]);
    place.flags.mcp_config = Some("/nowhere/mcp.json".into());
    place.check(
        place.agents(),
        "cannot read /nowhere/mcp.json: No such file or directory (os error 2) (the path comes from --mcp-config)",
    );
}

#[test]
fn the_settings_file() {
    let place = Place::with(&[(
        "relight.yaml",
        "ttl: 7d\nmodels: {concurrent: 2, perMinute: 60}\nprices:\n  gpt-5-mini: {input: 0.25, output: 2, cached: 0.025}\n  plain: {input: 1, output: 0}\n",
    )]);
    let settings = place.settings().unwrap();
    assert_eq!(settings.ttl_ms, 7 * 24 * 60 * 60 * 1000);
    assert_eq!(settings.pace, Some(PaceConfig { concurrent: 2, per_minute: Some(60) }));
    let usage = Usage { input_tokens: 1_000_000, output_tokens: 500_000, cached_tokens: 400_000 };
    assert_eq!(settings.prices.cost("gpt-5-mini", &usage), Some(150_000 + 10_000 + 1_000_000));
    assert_eq!(settings.prices.cost("plain", &usage), Some(1_000_000));

    let place = Place::with(&[("relight.yaml", "# Nothing yet.\n")]);
    assert_eq!(place.settings().unwrap().ttl_ms, limits::TASK_TTL_MS);
}

#[test]
fn mistakes_in_the_settings_file() {
    for (text, expected) in [
        ("modle: x", r#"DIR/relight.yaml:1: unknown key "modle"; did you mean "model"?"#),
        (
            "models: {concurrent: 0}",
            r#"DIR/relight.yaml:1: "models.concurrent" must be a whole number from 1 to 256, not 0"#,
        ),
        (
            "- x",
            "DIR/relight.yaml:1: expected the keys model, models, prices, ttl, redact, not a list",
        ),
        (
            "\nttl: 7",
            r#"DIR/relight.yaml:2: "ttl" must be a duration such as 30s, 10m, 2h or 7d, not 7"#,
        ),
        ("model: [a]", r#"DIR/relight.yaml:1: "model" must be text, not a list"#),
        ("prices: 3", r#"DIR/relight.yaml:1: "prices" must be a map of models to prices, not 3"#),
        (
            "prices:\n  m: {input: 1}",
            r#"DIR/relight.yaml:2: no "prices.m.output"; add it: dollars per million tokens, such as 0.25"#,
        ),
        (
            "prices:\n  m: {input: -1, output: cheap}",
            "DIR/relight.yaml:2: \"prices.m.input\" must be dollars per million tokens, such as 0.25, not -1\nDIR/relight.yaml:2: \"prices.m.output\" must be dollars per million tokens, such as 0.25, not the text \"cheap\"",
        ),
    ] {
        let place = Place::with(&[("relight.yaml", text)]);
        place.check(place.settings(), expected);
    }
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
