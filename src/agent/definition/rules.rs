//! The keys that speak of single tools: `tools`, `in_doubt`, `effects`.

use super::document::{Fields, Node, Problems, Value};
use super::pattern::{PerTool, ToolPattern};
use super::policy::InDoubt;
use crate::agent::nearest::nearest;
use crate::journal::Effect;

/// A pattern where the file has it.
#[derive(Debug)]
pub(super) struct Mention {
    pub(super) pattern: ToolPattern,
    pub(super) line: u64,
}

/// Reads `tools`: a list, or one text with commas. `None` where the key is absent: all tools.
pub(super) fn tools(fields: &Fields<'_>, problems: &mut Problems) -> Option<Vec<Mention>> {
    let node = fields.get("tools")?;
    let mut tools = Vec::new();
    let mut add = |text: &str, line: u64, problems: &mut Problems| {
        tools.extend(mention(text.trim(), line, problems));
    };
    match &node.value {
        Value::Text(text) => {
            for part in text.split(',') {
                add(part, node.line, problems);
            }
        }
        Value::List(items) => {
            for item in items {
                match &item.value {
                    Value::Text(text) => add(text, item.line, problems),
                    _ => problems.wrong("tools", "a list of \"server/tool\"", item),
                }
            }
        }
        _ => problems.wrong("tools", "a list of \"server/tool\" ([] for no tools)", node),
    }
    Some(tools)
}

fn mention(text: &str, line: u64, problems: &mut Problems) -> Option<Mention> {
    match ToolPattern::parse(text) {
        Ok(pattern) => Some(Mention { pattern, line }),
        Err(error) => {
            problems.at(line, error.to_string());
            None
        }
    }
}

/// Reads `in_doubt`: one policy, or a map of tool patterns and `default` to policies. The patterns
/// are added to `mentioned`.
pub(super) fn in_doubt(
    fields: &Fields<'_>,
    mentioned: &mut Vec<Mention>,
    problems: &mut Problems,
) -> (InDoubt, PerTool<InDoubt>) {
    const KEY: &str = "in_doubt";
    let mut default = InDoubt::default();
    let mut rules = PerTool::new();
    let Some(node) = fields.get(KEY) else { return (default, rules) };
    let Value::Map(entries) = &node.value else {
        return (policy(KEY, node, problems).unwrap_or_default(), rules);
    };
    for entry in entries {
        let name = format!("{KEY}.{}", entry.key);
        if entry.key == "default" {
            default = policy(&name, &entry.value, problems).unwrap_or_default();
        } else if let Some(mention) = mention(&entry.key, entry.line, problems)
            && let Some(policy) = policy(&name, &entry.value, problems)
        {
            rules.insert(mention.pattern.clone(), policy);
            mentioned.push(mention);
        }
    }
    (default, rules)
}

fn policy(name: &str, node: &Node, problems: &mut Problems) -> Option<InDoubt> {
    const POLICIES: [(&str, InDoubt); 3] =
        [("retry", InDoubt::Retry), ("tell", InDoubt::Tell), ("fail", InDoubt::Fail)];
    if matches!(&node.value, Value::Text(text) if text == "ask") {
        problems.at(
            node.line,
            format!("\"{name}\": \"ask\" is not supported yet; write retry, tell or fail"),
        );
        return None;
    }
    choice(name, &POLICIES, node, problems)
}

/// Reads `effects`: a map of tool patterns to what running the tool twice would do. The patterns
/// are added to `mentioned`.
pub(super) fn effects(
    fields: &Fields<'_>,
    mentioned: &mut Vec<Mention>,
    problems: &mut Problems,
) -> PerTool<Effect> {
    const KEY: &str = "effects";
    const EFFECTS: [(&str, Effect); 3] =
        [("pure", Effect::Pure), ("idempotent", Effect::Idempotent), ("once", Effect::Once)];
    let mut rules = PerTool::new();
    let Some(node) = fields.get(KEY) else { return rules };
    let Value::Map(entries) = &node.value else {
        problems.wrong(KEY, "a map of \"server/tool\" to pure, idempotent or once", node);
        return rules;
    };
    for entry in entries {
        let name = format!("{KEY}.{}", entry.key);
        if let Some(mention) = mention(&entry.key, entry.line, problems)
            && let Some(effect) = choice(&name, &EFFECTS, &entry.value, problems)
        {
            rules.insert(mention.pattern.clone(), effect);
            mentioned.push(mention);
        }
    }
    rules
}

/// One word of a few.
pub(super) fn choice<T: Copy>(
    name: &str,
    words: &[(&str, T)],
    node: &Node,
    problems: &mut Problems,
) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    if let Value::Text(text) = &node.value {
        if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
            return Some(*value);
        }
        if let Some(near) = nearest(text, names.iter().copied()) {
            let message = format!("\"{name}\" cannot be {text:?}; did you mean {near:?}?");
            problems.at(node.line, message);
            return None;
        }
    }
    problems.wrong(name, &format!("one of {}", names.join(", ")), node);
    None
}
