//! Which tools are meant: `server/tool`, `server/*`, or the name of a built-in tool.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::agent::BuiltIn;
use crate::agent::nearest::nearest;
use crate::agent::tools::BUILT_IN;

/// One tool of a server, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ToolPattern {
    server: String,
    /// `None` stands for `*`.
    tool: Option<String>,
}

/// A text that is no [`ToolPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} names no tool; write {write}")]
pub struct NoPattern {
    found: String,
    write: String,
}

impl ToolPattern {
    /// One tool of a server.
    pub fn one(server: &str, tool: &str) -> Self {
        Self { server: server.to_owned(), tool: Some(tool.to_owned()) }
    }

    /// All tools of a server.
    pub fn all_of(server: &str) -> Self {
        Self { server: server.to_owned(), tool: None }
    }

    /// Reads `server/tool`, `server/*`, or the name of a built-in tool. The server ends at the first
    /// slash: a tool's name may hold more of them.
    ///
    /// # Errors
    /// When there is no slash and no such built-in tool, or nothing on one side of the slash; the
    /// message says what to write.
    pub fn parse(text: &str) -> Result<Self, NoPattern> {
        match text.split_once('/') {
            None if BuiltIn::named(text).is_some() => Ok(Self::one(BUILT_IN, text)),
            Some((BUILT_IN, tool)) if tool != "*" && BuiltIn::named(tool).is_none() => {
                Err(NoPattern { found: text.to_owned(), write: instead_of(tool) })
            }
            Some((server, "*")) if !server.is_empty() => Ok(Self::all_of(server)),
            Some((server, tool)) if !server.is_empty() && !tool.is_empty() => {
                Ok(Self::one(server, tool))
            }
            _ => Err(NoPattern { found: text.to_owned(), write: instead_of(text) }),
        }
    }

    /// The server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The tool; `None` where all of the server's are meant.
    pub fn tool(&self) -> Option<&str> {
        self.tool.as_deref()
    }

    /// Whether this tool is meant.
    pub fn matches(&self, server: &str, tool: &str) -> bool {
        self.server == server && self.tool.as_deref().is_none_or(|own| own == tool)
    }
}

/// What to write in place of a text that is no pattern. Claude Code's `mcp__server__tool` is
/// turned into ours.
fn instead_of(text: &str) -> String {
    let claude = text.strip_prefix("mcp__").filter(|rest| !rest.is_empty());
    match claude.map(|rest| rest.split_once("__").unwrap_or((rest, "*"))) {
        Some((server, tool)) => format!("\"{server}/{tool}\""),
        None => {
            let names = BuiltIn::ALL.map(BuiltIn::name);
            match nearest(text, names) {
                Some(near) => format!("{near:?}"),
                None => format!(
                    "\"server/tool\", \"server/*\" for all tools of a server, or a built-in tool: {}",
                    names.join(", ")
                ),
            }
        }
    }
}

impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tool {
            Some(tool) if self.server == BUILT_IN => f.write_str(tool),
            tool => write!(f, "{}/{}", self.server, tool.as_deref().unwrap_or("*")),
        }
    }
}

impl From<ToolPattern> for String {
    fn from(pattern: ToolPattern) -> Self {
        pattern.to_string()
    }
}

impl TryFrom<String> for ToolPattern {
    type Error = NoPattern;

    fn try_from(text: String) -> Result<Self, NoPattern> {
        Self::parse(&text)
    }
}

/// What an agent's file says of single tools. `server/tool` wins over `server/*`.
pub(super) type PerTool<T> = BTreeMap<ToolPattern, T>;

/// What the file says of one tool.
pub(super) fn of_tool<'r, T>(rules: &'r PerTool<T>, server: &str, tool: &str) -> Option<&'r T> {
    rules.get(&ToolPattern::one(server, tool)).or_else(|| rules.get(&ToolPattern::all_of(server)))
}
