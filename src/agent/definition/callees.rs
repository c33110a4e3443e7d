//! The key `agents`: the agents that this one may call.

use super::document::{Fields, Problems, Value};
use super::rules::Mention;
use crate::agent::nearest::nearest;
use crate::agent::tools::AGENT;

/// Reads `agents`: a list of names, or one text with commas. Whether there are such agents is for
/// whoever knows all files.
pub(super) fn agents(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    const WHAT: &str = "a list of the names of agents";
    let Some(node) = fields.get("agents") else { return Vec::new() };
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut agents: Vec<String> = Vec::new();
    for item in items {
        let Value::Text(text) = &item.value else {
            problems.wrong("agents", WHAT, item);
            continue;
        };
        for name in text.split(',').map(str::trim) {
            if name.is_empty() {
                problems.wrong("agents", WHAT, item);
            } else if !agents.iter().any(|known| known == name) {
                agents.push(name.to_owned());
            }
        }
    }
    agents
}

/// Complains of patterns that mean an agent which is not among `agents`.
pub(super) fn check<'m>(
    agents: &[String],
    mentioned: impl Iterator<Item = &'m Mention>,
    problems: &mut Problems,
) {
    for Mention { pattern, line } in mentioned.filter(|m| m.pattern.server() == AGENT) {
        if agents.iter().any(|name| pattern.matches(AGENT, name)) {
            continue;
        }
        let text = pattern.to_string();
        let name = text.split_once('/').map_or("", |(_, name)| name);
        let hint = match nearest(name, agents.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{AGENT}/{near}\"?"),
            None => "name the agent under \"agents\" too".to_owned(),
        };
        problems.at(*line, format!("{text:?} means no agent that this one may call; {hint}"));
    }
}
