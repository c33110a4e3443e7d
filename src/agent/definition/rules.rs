//! The keys that speak of single tools: `tools`, `in_doubt`, `effects`.

use std::collections::BTreeMap;

use super::document::{Fields, Node, Problems, Value};
use super::pattern::{PerTool, ToolPattern};
use super::policy::{DoubtRule, InDoubt};
use crate::agent::nearest::nearest;
use crate::agent::tools::{AGENT, BUILT_IN};
use crate::journal::Effect;

/// A pattern where the file has it.
#[derive(Debug)]
pub(super) struct Mention {
    pub(super) pattern: ToolPattern,
    pub(super) line: u64,
}

/// Reads `tools`: a list, or one text with commas. `None` where the key is absent: all tools.
pub(super) fn tools(fields: &Fields<'_>, problems: &mut Problems) -> Option<Vec<Mention>> {
    let words = words(fields, "tools", "\"server/tool\" ([] for no tools)", problems)?;
    Some(words.into_iter().filter_map(|(text, line)| mention(text, line, problems)).collect())
}

/// The words of a key that is a list, or one text with commas, each with its line. `None` where the
/// key is absent.
pub(super) fn words<'n>(
    fields: &Fields<'n>,
    key: &str,
    of_what: &str,
    problems: &mut Problems,
) -> Option<Vec<(&'n str, u64)>> {
    let node = fields.get(key)?;
    let mut words = Vec::new();
    match &node.value {
        Value::Text(text) => words.extend(text.split(',').map(|part| (part.trim(), node.line))),
        Value::List(items) => {
            for item in items {
                match &item.value {
                    Value::Text(text) => words.push((text.trim(), item.line)),
                    _ => problems.wrong(key, &format!("a list of {of_what}"), item),
                }
            }
        }
        _ => problems.wrong(key, &format!("a list of {of_what}"), node),
    }
    Some(words)
}

pub(super) fn mention(text: &str, line: u64, problems: &mut Problems) -> Option<Mention> {
    match ToolPattern::parse(text) {
        Ok(pattern) => Some(Mention { pattern, line }),
        Err(error) => {
            problems.at(line, error.to_string());
            None
        }
    }
}

const DOUBT: &str = "in_doubt";

/// Reads `in_doubt`: one rule, or a map of tool patterns and `default` to rules. The patterns are
/// added to `mentioned`.
pub(super) fn in_doubt(
    fields: &Fields<'_>,
    mentioned: &mut Vec<Mention>,
    problems: &mut Problems,
) -> (DoubtRule, PerTool<DoubtRule>) {
    let Some(node) = fields.get(DOUBT) else { return Default::default() };
    let entries = match &node.value {
        Value::Map(entries) if entries.iter().all(|entry| entry.key != "check") => entries,
        _ => {
            let rule = doubt(DOUBT, node, mentioned, problems).unwrap_or_default();
            return (rule.or(InDoubt::default()), PerTool::new());
        }
    };
    let mut default = HalfRule::default();
    let mut rules = BTreeMap::new();
    for entry in entries {
        let name = format!("{DOUBT}.{}", entry.key);
        if entry.key == "default" {
            default = doubt(&name, &entry.value, mentioned, problems).unwrap_or_default();
        } else if let Some(mention) = mention(&entry.key, entry.line, problems)
            && let Some(rule) = doubt(&name, &entry.value, mentioned, problems)
        {
            rules.insert(mention.pattern.clone(), rule);
            mentioned.push(mention);
        }
    }
    let default = default.or(InDoubt::default());
    let policy = default.policy;
    (default, rules.into_iter().map(|(pattern, rule)| (pattern, rule.or(policy))).collect())
}

/// A [`DoubtRule`] that may leave its policy to the agent's.
#[derive(Default)]
struct HalfRule {
    check: Option<ToolPattern>,
    policy: Option<InDoubt>,
}

impl HalfRule {
    fn or(self, policy: InDoubt) -> DoubtRule {
        DoubtRule { check: self.check, policy: self.policy.unwrap_or(policy) }
    }
}

/// One rule: a policy, or `{check: server/tool, else: policy}`.
fn doubt(
    name: &str,
    node: &Node,
    mentioned: &mut Vec<Mention>,
    problems: &mut Problems,
) -> Option<HalfRule> {
    const POLICIES: [(&str, InDoubt); 4] = [
        ("ask", InDoubt::Ask),
        ("retry", InDoubt::Retry),
        ("tell", InDoubt::Tell),
        ("fail", InDoubt::Fail),
    ];
    if !matches!(node.value, Value::Map(_)) {
        let policy = choice(name, &POLICIES, node, problems)?;
        return Some(HalfRule { check: None, policy: Some(policy) });
    }
    let fields = Fields::open(node, name, &["check", "else"], problems)?;
    let text = fields.text("check", problems);
    let Some((text, line)) = text.zip(fields.line("check")) else {
        if fields.get("check").is_none() {
            problems.at(node.line, format!("\"{name}\" has no \"check\": a tool that knows"));
        }
        return None;
    };
    let mention = mention(text, line, problems)?;
    if mention.pattern.tool().is_none() || [BUILT_IN, AGENT].contains(&mention.pattern.server()) {
        problems.at(line, format!("\"{name}.check\" must be one tool of a server, not {text:?}"));
        return None;
    }
    let check = Some(mention.pattern.clone());
    mentioned.push(mention);
    let policy = match fields.get("else") {
        Some(node) => Some(choice(&format!("{name}.else"), &POLICIES, node, problems)?),
        None => None,
    };
    Some(HalfRule { check, policy })
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
