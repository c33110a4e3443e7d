//! A replay that no longer matches its history, and the message that explains it.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use super::Ask;
use crate::journal::{Failure, FailureKind, Payload, Step};

/// Lines of a diff that a message shows. The whole inputs are in the journal.
const DIFF_LINES: usize = 40;

/// The code asked for something else than the history holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The step is there, with another kind, effect or input.
    Step {
        /// The step's key.
        key: String,
        /// What differs, as a diff of recorded (`-`) and asked (`+`).
        diff: String,
    },
    /// The function ended without asking for a step whose outcome is recorded.
    Unreached {
        /// The first such step.
        key: String,
    },
    /// Two steps of one name ran side by side, so that their keys would depend on timing.
    SameName {
        /// The name.
        key: String,
    },
}

impl Mismatch {
    pub(super) fn of_step(key: &str, recorded: &Step, asked: &Ask) -> Self {
        let diff = diff(
            &describe(
                recorded.kind,
                recorded.effect,
                &recorded.input.to_string(),
                recorded.shown.as_ref(),
            ),
            &describe(asked.kind, asked.effect, &asked.input.to_string(), asked.shown.as_ref()),
        );
        Self::Step { key: key.to_owned(), diff }
    }

    /// The failure that stops the task.
    pub fn failure(&self) -> Failure {
        let message = match self {
            Self::Step { key, diff } => format!(
                "step {key:?} does not match what the journal recorded for it \
                 (- recorded, + asked for now):\n{diff}\
                 The task stopped before doing anything else and its history is kept. The code, a \
                 definition or a setting changed under a running task: start relight with what the \
                 task began with, or start a new task."
            ),
            Self::Unreached { key } => format!(
                "the function ended without reaching step {key:?}, which the journal holds as done. \
                 The task stopped and its history is kept. The code changed under a running task: \
                 start relight with the code that the task began with, or start a new task."
            ),
            Self::SameName { key } => format!(
                "two steps named {key:?} run side by side; which is which would depend on timing. \
                 Give each branch a scope of its own: ctx.scope(\"...\")."
            ),
        };
        Failure::new(FailureKind::Mismatch, message)
    }
}

fn describe(
    kind: impl serde::Serialize,
    effect: impl serde::Serialize,
    hash: &str,
    shown: Option<&Payload>,
) -> String {
    let mut text = String::new();
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "kind: {}", word(serde_json::to_value(kind)));
    let _ = writeln!(text, "effect: {}", word(serde_json::to_value(effect)));
    let _ = writeln!(text, "input hash: {hash}");
    let value = shown.and_then(|shown| shown.read::<serde_json::Value>().ok());
    if let Some(pretty) = value.and_then(|value| serde_json::to_string_pretty(&value).ok()) {
        let _ = writeln!(text, "input: {pretty}");
    }
    text
}

fn diff(old: &str, new: &str) -> String {
    let mut text = String::new();
    for (n, change) in TextDiff::from_lines(old, new).iter_all_changes().enumerate() {
        if n == DIFF_LINES {
            text.push_str("  (more lines differ)\n");
            break;
        }
        text.push_str(match change.tag() {
            ChangeTag::Delete => "- ",
            ChangeTag::Insert => "+ ",
            ChangeTag::Equal => "  ",
        });
        text.push_str(change.value());
    }
    text
}
