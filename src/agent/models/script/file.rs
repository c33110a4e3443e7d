//! The file format of scripted replies: strict, so that a slip of the pen is found on loading, with
//! the line it stands on.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::agent::Usage;
use crate::journal::Failure;
use crate::limits;

use super::template;
use crate::agent::nearest::nearest;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    replies: Vec<Spanned<Entry>>,
}

/// One reply.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) when: Option<When>,
    #[serde(default)]
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) calls: Vec<Call>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    pub(super) latency_ms: Option<u64>,
    #[serde(default)]
    pub(super) error: Option<Error>,
}

/// When a reply is given at all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    pub(super) contains: String,
}

/// A tool call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) tool: String,
    #[serde(default)]
    pub(super) arguments: Value,
    #[serde(default)]
    pub(super) id: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    cached_tokens: u64,
}

/// A failure instead of, or before, a reply.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Error {
    #[serde(default)]
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) kind: Option<Kind>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) retry_after_ms: Option<u64>,
    #[serde(default)]
    pub(super) times: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Transient,
    Final,
    Stall,
}

impl Entry {
    /// What it says that it cost.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage.map(|tokens| Usage {
            input_tokens: tokens.input_tokens,
            output_tokens: tokens.output_tokens,
            cached_tokens: tokens.cached_tokens,
        })
    }

    /// What is wrong with it, beyond its shape.
    fn check(&self) -> Result<(), String> {
        let answers = self.text.is_some() || !self.calls.is_empty();
        match &self.error {
            None if !answers => {
                return Err("this reply says nothing: give it `text`, `calls` or `error`".into());
            }
            Some(error) if answers && error.times.is_none() => {
                return Err("this reply fails on every attempt, so that its `text` and `calls` \
                            are never given: add `times` to `error`"
                    .into());
            }
            Some(error) if !answers && error.times.is_some() => {
                return Err(
                    "this reply has nothing to say after it has failed for the last time: \
                            give it `text` or `calls`, or leave out `times`"
                        .into(),
                );
            }
            Some(error) => error.check()?,
            None => {}
        }
        let latency_ms = self.latency_ms.unwrap_or(0);
        if latency_ms > limits::SCRIPT_LATENCY_MAX_MS {
            return Err(format!(
                "latency_ms is {latency_ms}, and at most {} is taken",
                limits::SCRIPT_LATENCY_MAX_MS
            ));
        }
        let text = self.text.clone().map(Value::String);
        let values = self.calls.iter().map(|call| &call.arguments).chain(&text);
        values.into_iter().try_for_each(template::check).map_err(|error| error.to_string())?;
        self.calls.iter().try_for_each(Call::check)?;
        let mut ids = HashSet::new();
        match self.calls.iter().filter_map(|call| call.id.as_deref()).find(|id| !ids.insert(*id)) {
            Some(twice) => Err(format!("two calls of this reply have the id {twice:?}")),
            None => Ok(()),
        }
    }
}

impl Call {
    fn check(&self) -> Result<(), String> {
        match &self.arguments {
            Value::Null | Value::Object(_) | Value::String(_) => Ok(()),
            _ => Err(format!(
                "the arguments of {:?} are neither a mapping nor a text that is sent as it is",
                self.tool
            )),
        }
    }
}

impl Error {
    fn check(&self) -> Result<(), String> {
        match (self.status, self.kind) {
            (Some(400..=599), None) | (None, Some(_)) => Ok(()),
            (Some(status), None) => Err(format!("{status} is no HTTP status of an error")),
            _ => Err("an error has either a `status` or a `kind`".into()),
        }
    }
}

/// Reads the replies of a script.
///
/// # Errors
/// Final, naming the line, and what to write instead.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Failure> {
    let at = |location: Option<Location>, what: String| {
        let line = location.map(|at| at.line()).filter(|line| *line > 0);
        let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Failure::is_final(format!("{line}{what}"))
    };
    let file: File = serde_saphyr::from_str(text)
        .map_err(|error| at(error.location(), complaint(error.without_snippet())))?;
    for entry in &file.replies {
        entry.value.check().map_err(|what| at(Some(entry.defined), what))?;
    }
    if file.replies.is_empty() {
        return Err(at(None, "`replies` is empty: a script needs at least one reply".to_owned()));
    }
    Ok(file.replies.into_iter().map(|entry| entry.value).collect())
}

fn complaint(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as Yaml;
    match error {
        Yaml::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Yaml::SerdeUnknownVariant { variant, expected, .. } => unknown("kind", variant, expected),
        Yaml::SerdeMissingField { field, .. } => format!("`{field}` is missing here"),
        Yaml::Eof { .. } => "the file ends here, and `replies` is missing".to_owned(),
        Yaml::InvalidScalar { ty, .. } if ty.starts_with('u') => {
            "a whole number from 0 up is expected here".to_owned()
        }
        Yaml::Unexpected { expected: "sequence start", .. } => "a list is expected here".to_owned(),
        Yaml::Unexpected { expected: "mapping start", .. } => {
            "a mapping of keys to values is expected here".to_owned()
        }
        error => {
            // The place is already said.
            let text = error.to_string();
            text.split(" at line ").next().unwrap_or(&text).to_owned()
        }
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = nearest(name, known.iter().copied());
    let hint = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    format!("unknown {what} `{name}`{hint} (known here: {})", known.join(", "))
}
