//! The key `timeout`: how long a call of a tool may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::{Fields, Node, Problems, Value};
use super::pattern::PerTool;
use super::rules::{Mention, mention};
use crate::agent::duration::duration_ms;
use crate::limits;

/// What the file says of the time that calls may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timeouts {
    /// Of calls that nothing else is said of, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default_ms: Option<u64>,
    /// By tool, in milliseconds.
    #[serde(default, skip_serializing_if = "PerTool::is_empty")]
    pub(super) of_ms: PerTool<u64>,
}

impl Timeouts {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn of(&self, server: &str, tool: &str) -> Option<Duration> {
        let ms = super::of_tool(&self.of_ms, server, tool).copied().or(self.default_ms);
        ms.map(Duration::from_millis)
    }
}

/// Reads `timeout`: one duration, or a map of tool patterns and `default` to durations. The patterns
/// are added to `mentioned`.
pub(super) fn timeouts(
    fields: &Fields<'_>,
    mentioned: &mut Vec<Mention>,
    problems: &mut Problems,
) -> Timeouts {
    const KEY: &str = "timeout";
    let mut timeouts = Timeouts::default();
    let Some(node) = fields.get(KEY) else { return timeouts };
    let Value::Map(entries) = &node.value else {
        timeouts.default_ms = duration(KEY, node, problems);
        return timeouts;
    };
    for entry in entries {
        let name = format!("{KEY}.{}", entry.key);
        if entry.key == "default" {
            timeouts.default_ms = duration(&name, &entry.value, problems);
        } else if let Some(mention) = mention(&entry.key, entry.line, problems)
            && let Some(ms) = duration(&name, &entry.value, problems)
        {
            timeouts.of_ms.insert(mention.pattern.clone(), ms);
            mentioned.push(mention);
        }
    }
    timeouts
}

fn duration(name: &str, node: &Node, problems: &mut Problems) -> Option<u64> {
    let found = match &node.value {
        Value::Text(text) => duration_ms(text).filter(|ms| *ms <= limits::TOOL_CALL_MS),
        _ => None,
    };
    if found.is_none() {
        let minutes = limits::TOOL_CALL_MS / 60_000;
        problems.wrong(name, &format!("a duration of at most {minutes}m, such as 30s"), node);
    }
    found
}
