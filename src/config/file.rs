//! Reads `relight.yaml` and `mcp.json`.

use std::io::Read;
use std::path::Path;

use super::{Error, Source};
use crate::agent::definition::document::{Fields, Node, Problems, Value};
use crate::agent::definition::servers::{self, Keys};
use crate::agent::models::PaceConfig;
use crate::agent::{ContextSizes, Price, Prices, Servers};
use crate::journal::Redaction;
use crate::limits;

/// What `relight.yaml` says.
#[derive(Debug)]
pub(super) struct SettingsFile {
    pub(super) model: Option<String>,
    pub(super) prices: Prices,
    pub(super) context: ContextSizes,
    pub(super) pace: Option<PaceConfig>,
    pub(super) ttl_ms: Option<u64>,
    pub(super) redaction: Redaction,
}

impl Default for SettingsFile {
    fn default() -> Self {
        let redaction = Redaction::usual();
        let (prices, context) = Default::default();
        Self { model: None, prices, context, pace: None, ttl_ms: None, redaction }
    }
}

impl SettingsFile {
    /// Reads the file.
    pub(super) fn load(path: &Path, from: &Source) -> Result<Self, Error> {
        let text = named(path, from)?;
        let mut problems = Problems::of_file(&path.display().to_string());
        let file = Node::read(&text, &mut problems).and_then(|node| match node.value {
            // A file of comments only.
            Value::Null => Some(Self::default()),
            _ => Self::of(&node, &mut problems),
        });
        Ok(problems.or(file)?)
    }

    fn of(node: &Node, problems: &mut Problems) -> Option<Self> {
        let keys = ["model", "models", "prices", "context", "ttl", "redact"];
        let fields = Fields::open(node, "", &keys, problems)?;
        Some(Self {
            model: fields.text("model", problems).map(str::to_owned),
            pace: fields.get("models").and_then(|node| pace(node, problems)),
            prices: fields.get("prices").map(|node| prices(node, problems)).unwrap_or_default(),
            context: fields.get("context").map(|node| context(node, problems)).unwrap_or_default(),
            ttl_ms: fields.duration_ms("ttl", problems),
            redaction: redaction(&fields, problems),
        })
    }
}

/// Reads `models`: bounds on the calls of each provider.
fn pace(node: &Node, problems: &mut Problems) -> Option<PaceConfig> {
    let fields = Fields::open(node, "models", &["concurrent", "perMinute"], problems)?;
    let concurrent = fields.whole("concurrent", 1..=limits::MODEL_CALLS_MAX as u64, problems);
    let most = u64::from(limits::MODEL_CALLS_PER_MINUTE_MAX);
    let per_minute = fields.whole("perMinute", 1..=most, problems);
    let default = PaceConfig::default();
    Some(PaceConfig {
        concurrent: concurrent
            .and_then(|calls| usize::try_from(calls).ok())
            .unwrap_or(default.concurrent),
        per_minute: per_minute.and_then(|calls| u32::try_from(calls).ok()),
    })
}

/// Reads `redact`: what is secret in an exported recording beside the usual.
fn redaction(fields: &Fields<'_>, problems: &mut Problems) -> Redaction {
    const KEY: &str = "redact";
    let mut rules = Redaction::usual();
    let Some(node) = fields.get(KEY) else { return rules };
    let Some(fields) = Fields::open(node, KEY, &["names", "patterns"], problems) else {
        return rules;
    };
    for (_, name) in texts(&fields, "names", "a list of names of values", problems) {
        rules = rules.and_name(name);
    }
    for (line, pattern) in texts(&fields, "patterns", "a list of regular expressions", problems) {
        match rules.clone().and_form(pattern) {
            Ok(more) => rules = more,
            Err(error) => problems.at(line, format!("\"{}\": {error}", fields.name("patterns"))),
        }
    }
    rules
}

/// A list of texts with their lines; empty where the key is absent.
fn texts<'n>(
    fields: &Fields<'n>,
    key: &str,
    what: &str,
    problems: &mut Problems,
) -> Vec<(u64, &'n str)> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let Value::List(items) = &node.value else {
        problems.wrong(&fields.name(key), what, node);
        return Vec::new();
    };
    let mut texts = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) if !text.is_empty() => texts.push((item.line, text.as_str())),
            _ => problems.wrong(&fields.name(key), what, item),
        }
    }
    texts
}

fn prices(node: &Node, problems: &mut Problems) -> Prices {
    let Value::Map(entries) = &node.value else {
        problems.wrong("prices", "a map of models to prices", node);
        return Prices::default();
    };
    entries
        .iter()
        .filter_map(|entry| Some((entry.key.clone(), price(&entry.key, &entry.value, problems)?)))
        .collect()
}

/// Reads `context`: how many tokens models can read.
fn context(node: &Node, problems: &mut Problems) -> ContextSizes {
    let Value::Map(entries) = &node.value else {
        problems.wrong("context", "a map of models to tokens", node);
        return ContextSizes::default();
    };
    let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let Some(fields) = Fields::open_any(node, "context", &[], problems) else {
        return ContextSizes::default();
    };
    let mut size = |key: &str| fields.whole(key, limits::CONTEXT_TOKENS_MIN..=u64::MAX, problems);
    keys.iter().filter_map(|key| Some(((*key).to_owned(), size(key)?))).collect()
}

/// Reads one price: dollars per million tokens, which are micro-dollars per token.
fn price(model: &str, node: &Node, problems: &mut Problems) -> Option<Price> {
    const WHAT: &str = "dollars per million tokens, such as 0.25";
    let path = format!("prices.{model}");
    let fields = Fields::open(node, &path, &["input", "output", "cached"], problems)?;
    for key in ["input", "output"] {
        if fields.get(key).is_none() {
            problems.at(node.line, format!("no \"{path}.{key}\"; add it: {WHAT}"));
        }
    }
    let input = fields.dollars("input", 0, WHAT, problems);
    let output = fields.dollars("output", 0, WHAT, problems);
    let cached = fields.dollars("cached", 0, WHAT, problems);
    Some(Price { input: input?, output: output?, cached: cached.or(input)? })
}

/// Reads the servers of an `mcp.json`, under `mcpServers` or, as VS Code has it, `servers`. Keys
/// that are not ours are for other clients.
pub(super) fn servers(path: &Path, from: &Source) -> Result<Servers, Error> {
    const KEYS: [&str; 2] = ["mcpServers", "servers"];
    let text = named(path, from)?;
    let mut problems = Problems::of_file(&path.display().to_string());
    let servers = Node::read(&text, &mut problems).and_then(|node| {
        let fields = Fields::open_any(&node, "", &KEYS, &mut problems)?;
        let found = KEYS.into_iter().find_map(|key| Some((key, fields.get(key)?)));
        let Some((key, node)) = found else {
            problems.missing("no \"mcpServers\"; put a map of server names to servers there");
            return None;
        };
        Some(servers::read_map(node, key, Keys::Shared, &mut problems))
    });
    Ok(problems.or(servers)?)
}

/// Reads a file that something named or found.
fn named(path: &Path, from: &Source) -> Result<String, Error> {
    read(path).map_err(|why| Error::Unreadable { path: path.to_owned(), why, from: from.clone() })
}

/// Reads a whole text file, up to the bound on one; or says why not.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let max = limits::AGENT_FILE_MAX_BYTES;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(max as u64 + 1).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() > max {
        return Err(format!("it has more than {max} bytes, the most that are taken"));
    }
    Ok(text)
}
