//! Reads tool servers, in the form that `.mcp.json` and agent files share, and works out which of
//! them an agent has.
//!
//! `${VAR}` is never expanded here: the result is journalled, and secrets never are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::document::{Fields, Node, Problems, Value};
use super::rules::Mention;
use crate::agent::nearest::nearest;
use crate::agent::tools::{AGENT, BUILT_IN};
use crate::agent::{ServerConfig, Servers};

const KEYS: [&str; 7] = ["type", "command", "args", "env", "cwd", "url", "headers"];

/// Endings of the names of variables and headers that hold secrets.
const SECRET_NAMES: [&str; 7] =
    ["authorization", "cookie", "key", "password", "secret", "token", "credentials"];

/// Whether keys that are not ours are mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// In our own files they are.
    Ours,
    /// In `mcp.json` other clients have theirs.
    Shared,
}

/// Reads a map of server name to server.
pub(crate) fn read_map(node: &Node, path: &str, keys: Keys, problems: &mut Problems) -> Servers {
    let mut servers = Servers::new();
    let Value::Map(entries) = &node.value else {
        problems.wrong(path, "a map of server names to servers", node);
        return servers;
    };
    for entry in entries {
        check_name(&entry.key, entry.line, problems);
        let path = format!("{path}.{}", entry.key);
        if let Some(server) = read_one(&entry.value, &path, keys, problems) {
            servers.insert(entry.key.clone(), server);
        }
    }
    servers
}

fn check_name(name: &str, line: u64, problems: &mut Problems) {
    if name == BUILT_IN {
        problems
            .at(line, format!("{name:?} cannot name a server: the built-in tools have that name"));
    }
    if name == AGENT {
        problems.at(line, format!("{name:?} cannot name a server: agents as tools have that name"));
    }
    let bad = |c: char| c == '/' || c == ',' || c.is_control();
    if name.trim().is_empty() || name.contains(bad) {
        problems.at(line, format!("{name:?} cannot name a server; leave out \"/\" and \",\""));
    }
}

fn read_one(node: &Node, path: &str, keys: Keys, problems: &mut Problems) -> Option<ServerConfig> {
    let fields = match keys {
        Keys::Ours => Fields::open(node, path, &KEYS, problems)?,
        Keys::Shared => Fields::open_any(node, path, &KEYS, problems)?,
    };
    let kind = fields.text("type", problems);
    let (command, url) = (fields.get("command").is_some(), fields.get("url").is_some());
    match (kind, command, url) {
        (None | Some("stdio"), true, false) => Some(ServerConfig::Stdio {
            command: fields.text("command", problems)?.to_owned(),
            args: args(&fields, problems),
            env: texts(&fields, "env", problems),
            cwd: fields.text("cwd", problems).map(str::to_owned),
        }),
        (None | Some("http" | "streamable-http"), false, true) => Some(ServerConfig::Http {
            url: address(&fields, problems)?,
            headers: texts(&fields, "headers", problems),
        }),
        (Some("sse"), ..) => {
            problems.at(
                node.line_at("/type"),
                format!(
                    "{path:?} uses the old SSE transport, which relight does not speak; use the \
                     server's Streamable HTTP address with \"type: http\", or remove it"
                ),
            );
            None
        }
        (Some(kind), ..) if !["stdio", "http", "streamable-http"].contains(&kind) => {
            let line = node.line_at("/type");
            problems.at(line, format!("\"{path}.type\" must be stdio or http, not {kind:?}"));
            None
        }
        _ => {
            problems.at(
                node.line,
                format!(
                    "{path:?} must have either \"command\" (a program to start, type stdio) or \
                     \"url\" (a server to connect to, type http)"
                ),
            );
            None
        }
    }
}

fn address(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    let url = fields.text("url", problems)?;
    let known = ["http://", "https://", "${"].iter().any(|start| url.starts_with(start));
    if !known && let Some(node) = fields.get("url") {
        problems.wrong(
            &fields.name("url"),
            "an address that begins with http:// or https://",
            node,
        );
    }
    Some(url.to_owned())
}

fn args(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let Some(node) = fields.get("args") else { return Vec::new() };
    let Value::List(items) = &node.value else {
        problems.wrong(&fields.name("args"), "a list of texts", node);
        return Vec::new();
    };
    let mut args = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) => args.push(text.clone()),
            _ => problems.wrong(&fields.name("args"), "a list of texts (in quotes)", item),
        }
    }
    args
}

/// Reads a map of texts. A secret that stands in it openly is a problem: the servers are
/// journalled as they are written.
fn texts(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> BTreeMap<String, String> {
    let Some(node) = fields.get(key) else { return BTreeMap::new() };
    let name = fields.name(key);
    let Value::Map(entries) = &node.value else {
        problems.wrong(&name, "a map of names to texts", node);
        return BTreeMap::new();
    };
    let mut texts = BTreeMap::new();
    for entry in entries {
        let name = format!("{name}.{}", entry.key);
        match &entry.value.value {
            Value::Text(text) if is_open_secret(&entry.key, text) => problems.at(
                entry.line,
                format!(
                    "\"{name}\" holds a secret, which would be stored in the journal; put it in \
                     an environment variable and write \"${{VARIABLE}}\" here"
                ),
            ),
            Value::Text(text) => {
                texts.insert(entry.key.clone(), text.clone());
            }
            _ => problems.wrong(&name, "text (in quotes)", &entry.value),
        }
    }
    texts
}

fn is_open_secret(name: &str, value: &str) -> bool {
    let name = name.to_lowercase();
    let named = SECRET_NAMES.iter().any(|ending| name.ends_with(ending));
    named && !value.is_empty() && !value.contains("${")
}

/// What an agent's file says under `mcpServers`.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Those it describes itself.
    own: Servers,
    /// Those of `mcp.json` that it names, with the lines.
    named: Vec<(String, u64)>,
    /// Whether some could not be read, so that a name without a server may be one of them.
    broken: bool,
}

/// Reads `mcpServers` of an agent's file: a map as in `mcp.json`, or a list of names of servers
/// there and of such maps.
pub(super) fn wanted(node: &Node, problems: &mut Problems) -> Wanted {
    const PATH: &str = "mcpServers";
    let before = problems.count();
    let mut wanted = Wanted::default();
    match &node.value {
        Value::List(items) => {
            for item in items {
                match &item.value {
                    Value::Text(name) => wanted.named.push((name.clone(), item.line)),
                    _ => wanted.own.extend(read_map(item, PATH, Keys::Ours, problems)),
                }
            }
        }
        _ => wanted.own = read_map(node, PATH, Keys::Ours, problems),
    }
    wanted.broken = problems.count() > before;
    wanted
}

/// The servers that an agent has.
///
/// With `mcpServers`, those; without, all of the project. A server of the project that a pattern
/// in `tools` names is there in either case, and one that `tools` does not name is in neither. An
/// agent's own server hides one of the project by the same name. The patterns of other keys, in
/// `mentioned`, bring no server, but the ones that they name must exist.
pub(super) fn resolve(
    wanted: Option<Wanted>,
    tools: Option<&[Mention]>,
    mentioned: &[Mention],
    project: &Servers,
    problems: &mut Problems,
) -> Servers {
    let everything = wanted.is_none() && tools.is_none();
    let Wanted { own: mut servers, mut named, broken } = wanted.unwrap_or_default();
    for mention in tools.unwrap_or_default() {
        if is_ours(mention.pattern.server()) {
            continue;
        }
        named.push((mention.pattern.server().to_owned(), mention.line));
    }
    let own: BTreeSet<String> = servers.keys().cloned().collect();
    for (name, line) in named {
        match project.get(&name) {
            _ if own.contains(&name) => {}
            Some(server) => {
                servers.insert(name, server.clone());
            }
            None if broken => {}
            None => unknown(&name, line, &servers, project, problems),
        }
    }
    for Mention { pattern, line } in mentioned {
        let name = pattern.server();
        if !is_ours(name) && !broken && !own.contains(name) && !project.contains_key(name) {
            unknown(name, *line, &servers, project, problems);
        }
    }
    if everything {
        let others = project.iter().filter(|(_, server)| !is_relight(server));
        servers.extend(others.map(|(name, server)| (name.clone(), server.clone())));
    }
    if let Some(tools) = tools {
        servers.retain(|name, _| tools.iter().any(|tool| tool.pattern.server() == name));
    }
    servers
}

/// Whether this stands for what comes from no server.
fn is_ours(name: &str) -> bool {
    name == BUILT_IN || name == AGENT
}

/// Complains of a server that is configured nowhere.
fn unknown(name: &str, line: u64, own: &Servers, project: &Servers, problems: &mut Problems) {
    let known: BTreeSet<&str> = own.keys().chain(project.keys()).map(String::as_str).collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "describe it under \"mcpServers\" here or in .mcp.json".to_owned(),
    };
    problems.at(line, format!("no server {name:?} is configured; {hint}"));
}

/// Whether this is relight itself. People register it in the same `.mcp.json` that its agents get
/// their tools from; an agent that took it in without asking would start a server that starts a
/// server, without end.
fn is_relight(server: &ServerConfig) -> bool {
    let ServerConfig::Stdio { command, args, .. } = server else { return false };
    let program = Path::new(command).file_stem();
    program.is_some_and(|program| program == "relight") && args.iter().any(|arg| arg == "serve")
}
