//! The settings: where things are, what wins, and what is said when it is wrong.

use std::path::Path;

use relight::agent::Usage;
use relight::agent::models::PaceConfig;
use relight::config::{Environment, Flags, Secret, Setting, Source, load_servers};
use relight::limits;

use crate::place::Place;

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
            "DIR/relight.yaml:1: expected the keys model, models, prices, context, ttl, redact, not a list",
        ),
        (
            "\nttl: 7",
            r#"DIR/relight.yaml:2: "ttl" must be a duration such as 30s, 10m, 2h or 7d, not 7"#,
        ),
        ("model: [a]", r#"DIR/relight.yaml:1: "model" must be text, not a list"#),
        ("prices: 3", r#"DIR/relight.yaml:1: "prices" must be a map of models to prices, not 3"#),
        ("context: 3", r#"DIR/relight.yaml:1: "context" must be a map of models to tokens, not 3"#),
        (
            "context:\n  m: 5",
            r#"DIR/relight.yaml:2: "context.m" must be a whole number of at least 1000, not 5"#,
        ),
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
