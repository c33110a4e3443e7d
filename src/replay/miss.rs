//! What a run asked for and the recording does not hold, told so that a person sees at once what was
//! recorded instead.

use std::fmt;

use serde_json::Value;

use crate::limits;

/// Something that a run asked of the world and that its recording has no answer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The agent that asked, by its name.
    pub agent: String,
    /// The step, such as `turn-2/tool-1`.
    pub key: String,
    /// What it asked, in a sentence without its subject: `calls till/charge_card with {…}`.
    pub asked: String,
    /// Why the recording does not answer it.
    pub why: String,
    /// What was recorded that is nearest to it, the nearest first.
    pub nearest: Vec<String>,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, key, asked, why, nearest } = self;
        write!(f, "the agent {agent} {asked} (step {key:?}), and {why}")?;
        for near in nearest {
            write!(f, "\n  recorded: {near}")?;
        }
        Ok(())
    }
}

/// A value of JSON as it is shown, shortened.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    clip(&text)
}

/// A text as it is shown, shortened.
pub(super) fn clip(text: &str) -> String {
    let end = text.floor_char_boundary(limits::REPLAY_SHOWN_BYTES);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

/// A few of these, the most similar to `wanted` first, each once.
pub(super) fn near<'a>(wanted: &str, all: Vec<&'a Value>) -> Vec<&'a Value> {
    let start =
        |text: &str| text[..text.floor_char_boundary(limits::REPLAY_SHOWN_BYTES)].to_owned();
    let wanted = start(wanted);
    let mut rated: Vec<(f64, &Value)> = Vec::new();
    for value in all {
        if !rated.iter().any(|(_, known)| *known == value) {
            let likeness =
                strsim::normalized_damerau_levenshtein(&wanted, &start(&value.to_string()));
            rated.push((likeness, value));
        }
    }
    rated.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    rated.into_iter().take(limits::REPLAY_NEAREST).map(|(_, value)| value).collect()
}
