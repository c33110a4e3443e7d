//! What tools are called before a model.

use std::collections::BTreeMap;

use crate::agent::Tool;

/// Names the tools for a model: by their own name, or `server_tool` where two servers have it. Model
/// APIs take letters, digits, `_` and `-`, and at most 64 of them.
pub(super) fn named(tools: Vec<Tool>) -> BTreeMap<String, Tool> {
    const NAME_MAX: usize = 64;
    let plain = |text: &str| -> String {
        let fits =
            |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
        text.chars().map(fits).take(NAME_MAX).collect()
    };
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for tool in &tools {
        *count.entry(plain(&tool.name)).or_default() += 1;
    }
    let mut named = BTreeMap::new();
    for tool in tools {
        let mut name = plain(&tool.name);
        if count.get(&name).is_some_and(|count| *count > 1) {
            name = plain(&format!("{}_{}", tool.server, tool.name));
        }
        let base = name.clone();
        let mut n = 2;
        while named.contains_key(&name) {
            let suffix = format!("_{n}");
            name = base.chars().take(NAME_MAX - suffix.len()).chain(suffix.chars()).collect();
            n += 1;
        }
        named.insert(name, tool);
    }
    named
}
