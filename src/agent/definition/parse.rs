//! From the text of an agent file to a [`Definition`], or to everything that is wrong with it.

use super::context::ContextTokens;
use super::document::{Error, Fields, Node, Problems, Value};
use super::policy::{AtLimit, Budget};
use super::{Definition, asking, callees, front_matter, http, rules, schema, servers, timeouts};
use crate::agent::{Servers, Settings};
use crate::durable::RetryPolicy;
use crate::limits;

/// The keys of the front matter, in the order in which people are told of them.
const KEYS: [&str; 20] = [
    "name",
    "description",
    "model",
    "tools",
    "mcpServers",
    "agents",
    "maxTurns",
    "temperature",
    "maxOutputTokens",
    "contextTokens",
    "input",
    "output",
    "budget",
    "in_doubt",
    "approve",
    "questions",
    "effects",
    "retry",
    "timeout",
    "http",
];

/// Reads an agent file; `project` holds the servers of `mcp.json`.
pub(super) fn parse(path: &str, text: &str, project: &Servers) -> Result<Definition, Error> {
    let mut problems = Problems::of_file(path);
    let definition = read(text, project, &mut problems);
    problems.or(definition)
}

fn read(text: &str, project: &Servers, problems: &mut Problems) -> Option<Definition> {
    if text.len() > limits::AGENT_FILE_MAX_BYTES {
        let (bytes, max) = (text.len(), limits::AGENT_FILE_MAX_BYTES);
        problems.missing(format!("the file has {bytes} bytes, and at most {max} are taken"));
        return None;
    }
    let parts = front_matter::split(text, problems)?;
    let root = Node::read(parts.yaml, problems)?;
    let fields = Fields::open(&root, "", &KEYS, problems)?;

    // All are read before any absence ends it, so that every mistake is found.
    let name = name(&fields, problems);
    let description = description(&fields, problems);
    let tools = rules::tools(&fields, problems);
    let wanted = fields.get("mcpServers").map(|node| servers::wanted(node, problems));
    let mut mentioned = Vec::new();
    let (in_doubt, in_doubt_of) = rules::in_doubt(&fields, &mut mentioned, problems);
    let approve = asking::approve(&fields, &mut mentioned, problems);
    let questions = asking::questions(&fields, problems);
    let effects = rules::effects(&fields, &mut mentioned, problems);
    let timeouts = timeouts::timeouts(&fields, &mut mentioned, problems);
    let agents = callees::agents(&fields, problems);
    callees::check(&agents, tools.iter().flatten().chain(&mentioned), problems);
    let servers = servers::resolve(wanted, tools.as_deref(), &mentioned, project, problems);
    let models = models(&fields, problems);
    let budget_fields = budget_fields(&fields, problems);
    let budget = budget_fields.map(|fields| budget(&fields, problems)).unwrap_or_default();
    let max_turns = turns(&fields, "maxTurns", problems).or(budget.turns).unwrap_or(limits::TURNS);
    let settings = settings(&fields, problems);
    let context_tokens =
        fields.whole("contextTokens", limits::CONTEXT_TOKENS_MIN..=u64::MAX, problems);
    let retry = retry(&fields, problems);
    let http = http::http(&fields, problems);
    http::check(&fields, tools.as_deref(), problems);
    let input_schema = schema::input(&fields, problems);
    let output_schema = schema::output(&fields, problems);
    if parts.prompt.is_empty() {
        problems.missing("no system prompt; write it below the front matter");
    }

    Some(Definition {
        name: name?,
        description: description?,
        models,
        tools: tools.map(|tools| tools.into_iter().map(|tool| tool.pattern).collect()),
        servers,
        agents,
        max_turns,
        settings,
        context_tokens: context_tokens.map(ContextTokens::of_file).unwrap_or_default(),
        budget,
        in_doubt,
        in_doubt_of,
        approve,
        questions,
        effects,
        retry,
        timeouts,
        http,
        input_schema: input_schema?,
        output_schema,
        system_prompt: parts.prompt.to_owned(),
    })
}

/// Reads `name`, which is also a tool's name: the letters that every model API and MCP take.
fn name(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    let Some(node) = fields.get("name") else {
        problems.missing("no \"name\"; add it to the front matter, such as: name: my-agent");
        return None;
    };
    let name = fields.text("name", problems)?;
    let fits = name.len() <= limits::TOOL_NAME_MAX_BYTES
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !fits {
        let max = limits::TOOL_NAME_MAX_BYTES;
        problems.wrong(
            "name",
            &format!("1 to {max} letters A-Z a-z, digits, \"_\" and \"-\""),
            node,
        );
        return None;
    }
    Some(name.to_owned())
}

fn description(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    if fields.get("description").is_none() {
        problems.missing(
            "no \"description\"; add it to the front matter: it tells whoever chooses a tool what \
             this one does",
        );
    }
    fields.text("description", problems).map(|text| text.trim().to_owned())
}

/// Reads `model`: one, or a list in the order to try them. None at all means the configured one.
fn models(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    const WHAT: &str = "the name of a model, or a list of them";
    let Some(node) = fields.get("model") else { return Vec::new() };
    let items = match &node.value {
        Value::List(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut models = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(model) if !model.trim().is_empty() => models.push(model.trim().to_owned()),
            _ => problems.wrong("model", WHAT, item),
        }
    }
    models
}

fn settings(fields: &Fields<'_>, problems: &mut Problems) -> Settings {
    let tokens = fields.whole("maxOutputTokens", 1..=u64::from(u32::MAX), problems);
    Settings {
        temperature: fields.number("temperature", 0.0..=2.0, problems),
        max_output_tokens: tokens.and_then(|tokens| u32::try_from(tokens).ok()),
    }
}

fn budget_fields<'n>(fields: &Fields<'n>, problems: &mut Problems) -> Option<Fields<'n>> {
    const BUDGET: [&str; 5] = ["turns", "tokens", "dollars", "wallTime", "atLimit"];
    Fields::open(fields.get("budget")?, "budget", &BUDGET, problems)
}

fn budget(fields: &Fields<'_>, problems: &mut Problems) -> Budget {
    const AT_LIMIT: [(&str, AtLimit); 2] = [("end", AtLimit::End), ("ask", AtLimit::Ask)];
    let at_limit = fields.get("atLimit");
    Budget {
        turns: turns(fields, "turns", problems),
        tokens: fields.whole("tokens", 1..=u64::MAX, problems),
        microdollars: fields.dollars("dollars", 1, "an amount above 0, such as 0.50", problems),
        wall_time_ms: fields.duration_ms("wallTime", problems),
        at_limit: at_limit
            .and_then(|node| rules::choice("budget.atLimit", &AT_LIMIT, node, problems))
            .unwrap_or_default(),
    }
}

fn turns(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<u32> {
    let turns = fields.whole(key, 1..=u64::from(limits::TURNS_MAX), problems)?;
    u32::try_from(turns).ok()
}

fn retry(fields: &Fields<'_>, problems: &mut Problems) -> RetryPolicy {
    const RETRY: [&str; 3] = ["attempts", "first", "max"];
    let default = RetryPolicy::default();
    let Some(node) = fields.get("retry") else { return default };
    let Some(fields) = Fields::open(node, "retry", &RETRY, problems) else { return default };
    let attempts = fields.whole("attempts", 1..=u64::from(limits::STEP_ATTEMPTS_MAX), problems);
    let first_ms = fields.duration_ms("first", problems).unwrap_or(default.first_ms);
    let max_ms = fields.duration_ms("max", problems).unwrap_or(default.max_ms.max(first_ms));
    if first_ms > max_ms {
        problems.at(node.line, "\"retry.first\" is longer than \"retry.max\"; make it shorter");
    }
    RetryPolicy {
        attempts: attempts.and_then(|n| u32::try_from(n).ok()).unwrap_or(default.attempts),
        first_ms,
        max_ms,
    }
}
