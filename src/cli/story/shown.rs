//! What the journal shows of a step's input, whatever kind of step it is.

use relight::journal::{History, Payload};
use serde::Deserialize;
use serde_json::Value;

/// The fields that steps of relight's own have. A step of a library's user may have any.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    /// Of a call: `server/tool`.
    pub(super) tool: String,
    pub(super) arguments: Value,
    /// The arguments of a call that was not made.
    pub(super) refused: Option<String>,
    /// Of a step about a tool server's own task: its handle, or its id.
    pub(super) task: Value,
    /// Of a model call.
    pub(super) model: String,
    /// Of a child: what it is called, and what runs it.
    pub(super) name: String,
    pub(super) function: String,
    /// Of a question.
    pub(super) message: String,
    pub(super) schema: Value,
}

impl Shown {
    pub(super) fn of(history: &History, key: &str) -> Self {
        let shown = history.step(key).and_then(|step| step.shown.as_ref());
        shown.map(Payload::read).and_then(Result::ok).unwrap_or_default()
    }

    /// A model's name without the directory of its script.
    pub(super) fn model(&self) -> &str {
        model_name(&self.model)
    }

    /// What a child is called.
    pub(super) fn child(&self) -> &str {
        if self.name.is_empty() { &self.function } else { &self.name }
    }

    /// The id of a tool server's task, and its server.
    pub(super) fn remote_task(&self) -> Option<(&str, &str)> {
        let text = |key: &str| self.task.get(key).and_then(Value::as_str);
        Some((text("id")?, text("server")?))
    }
}

/// A model's name without the directory of its script.
pub(super) fn model_name(model: &str) -> &str {
    match model.strip_prefix("script:") {
        Some(path) => path.rsplit('/').next().unwrap_or(path),
        None => model,
    }
}

/// The last part of a step's key, without the number of a name that was asked for again:
/// `turn-1/tool-1/approve#2` is an `approve`.
pub(in crate::cli) fn part(key: &str) -> &str {
    let last = key.rsplit('/').next().unwrap_or(key);
    last.split('#').next().unwrap_or(last)
}

/// `turn-3/tool-1` is of turn 3.
pub(super) fn turn(key: &str) -> Option<u32> {
    key.split('/').next()?.strip_prefix("turn-")?.parse().ok()
}
