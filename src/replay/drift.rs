//! Where a replay leaves its recording, and the likely reason.

use std::fmt::{self, Write as _};

use serde_json::Value;
use similar::TextDiff;

use crate::agent::Pinned;
use crate::durable::{Mismatch, Replayed};
use crate::journal::{End, Payload, RecordedTask, StepKind, TaskId};

/// Unchanged lines around a change in a diff of texts.
const CONTEXT_LINES: usize = 2;

/// The first place at which the replay of a task differs from its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The task.
    pub task: TaskId,
    /// The step, such as `turn-2/model`; `None` where the tasks' ends differ.
    pub key: Option<String>,
    /// The turn of the agent loop that the step belongs to.
    pub turn: Option<u32>,
    /// What differs, in a sentence.
    pub what: String,
    /// What was recorded (`-`) and what was asked for now (`+`), as a diff; empty where there is
    /// nothing to compare.
    pub diff: String,
    /// What has probably changed, most likely first.
    pub reasons: Vec<String>,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "task {}: {}", self.task, self.what)?;
        for reason in &self.reasons {
            writeln!(f, "  likely because {reason}")?;
        }
        for line in self.diff.lines() {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

/// Compares a replay with the recording. `changed` is what the agent was pinned to, and what it was
/// replayed with.
pub(super) fn of(
    task: &RecordedTask,
    replayed: Replayed,
    changed: Option<(&Pinned, &Pinned)>,
) -> Option<Drift> {
    let end = task.records.last().and_then(|record| record.event.end());
    let drift = |key: Option<String>, what: String, diff: String| Drift {
        task: task.id,
        turn: key.as_deref().and_then(turn),
        reasons: reasons(changed),
        diff,
        what,
        key,
    };
    match replayed {
        Replayed::Returned(result) => {
            let (recorded, now) = match (&end, result) {
                (Some(End::Completed(recorded)), Ok(now)) if *recorded == now => return None,
                (Some(End::Failed(recorded)), Err(now)) if recorded.message == now.message => {
                    return None;
                }
                (Some(End::Completed(recorded)), Ok(now)) => (pretty(recorded), pretty(&now)),
                (Some(End::Completed(recorded)), Err(now)) => (pretty(recorded), now.message),
                (Some(End::Failed(recorded)), Ok(now)) => (recorded.message.clone(), pretty(&now)),
                (Some(End::Failed(recorded)), Err(now)) => (recorded.message.clone(), now.message),
                // It was stopped from outside, or the recording ends before it did.
                (None | Some(End::Cancelled(_) | End::Stopped(_)), _) => return None,
            };
            Some(drift(None, "it ended otherwise".to_owned(), diff(&recorded, &now)))
        }
        Replayed::Unrecorded { key, ask, skipped } => {
            let ended_by_itself = matches!(end, Some(End::Completed(_) | End::Failed(_)));
            let what = match skipped {
                Some(skipped) => format!(
                    "it asks for step {key:?}, which is not recorded, and not for {skipped:?}, which is"
                ),
                None if ended_by_itself => {
                    format!("it asks for step {key:?} where the recording ends")
                }
                None => return None,
            };
            let asked = ask.shown.as_ref().map(pretty).unwrap_or_default();
            Some(drift(Some(key), what, diff("", &asked)))
        }
        Replayed::Mismatch(Mismatch::Step { key, diff: inputs }) => {
            let model = kind(task, &key) == Some(StepKind::Model);
            let what = if model {
                format!("step {key:?} asks the model something else")
            } else {
                format!("step {key:?} is asked for with another input")
            };
            // A model call is recorded by its hash: what differs in it shows in the definition.
            let diff = match changed {
                Some((then, now)) if model => definitions(then, now),
                _ => inputs,
            };
            Some(drift(Some(key), what, diff))
        }
        Replayed::Mismatch(mismatch) => {
            let (Mismatch::Unreached { ref key }
            | Mismatch::SameName { ref key }
            | Mismatch::Step { ref key, .. }) = mismatch;
            let what = match &mismatch {
                Mismatch::Unreached { .. } => {
                    format!("it ended without step {key:?}, which is recorded")
                }
                _ => mismatch.failure().message,
            };
            Some(drift(Some(key.clone()), what, String::new()))
        }
        Replayed::Panicked(why) => Some(drift(None, format!("it panicked: {why}"), String::new())),
        Replayed::Stalled => Some(drift(
            None,
            "it waits for something that is no step; all I/O must go through the context"
                .to_owned(),
            String::new(),
        )),
    }
}

fn kind(task: &RecordedTask, key: &str) -> Option<StepKind> {
    task.history().ok()?.step(key).map(|step| step.kind)
}

/// `turn-3/tool-1` is of turn 3.
fn turn(key: &str) -> Option<u32> {
    key.split('/').next()?.strip_prefix("turn-")?.parse().ok()
}

/// The parts of an agent in the order in which they are likely to matter, by their keys in the stored
/// definition.
const PARTS: [(&str, &str); 9] = [
    ("system_prompt", "the system prompt changed"),
    ("settings", "the model's settings changed"),
    ("output_schema", "the schema of the answer changed"),
    ("tools", "the list of allowed tools changed"),
    ("servers", "the tool servers changed"),
    ("effects", "the tools' effects changed"),
    ("budget", "the budget changed"),
    ("max_turns", "the bound on turns changed"),
    ("context_tokens", "the bound on what the model reads changed"),
];

fn reasons(changed: Option<(&Pinned, &Pinned)>) -> Vec<String> {
    let code = || vec!["the code changed since it was recorded".to_owned()];
    let Some((then, now)) = changed else { return code() };
    let (then_agent, now_agent) = (value(&then.agent), value(&now.agent));
    let mut reasons = Vec::new();
    if then.models != now.models {
        let (then, now) = (then.models.join(", "), now.models.join(", "));
        reasons.push(format!("the model changed from {then} to {now}"));
    }
    for (key, reason) in PARTS {
        if then_agent.get(key) != now_agent.get(key) {
            reasons.push(reason.to_owned());
        }
    }
    if reasons.is_empty() { code() } else { reasons }
}

fn definitions(then: &Pinned, now: &Pinned) -> String {
    let text = |pinned: &Pinned| {
        let mut agent = value(&pinned.agent);
        let prompt = agent.as_object_mut().and_then(|agent| agent.remove("system_prompt"));
        let prompt = prompt.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut text = format!("models: {}\n{prompt}\n", pinned.models.join(", "));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{agent:#}");
        text
    };
    diff(&text(then), &text(now))
}

fn value(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

pub(super) fn pretty(payload: &Payload) -> String {
    match payload.read::<Value>() {
        Ok(Value::String(text)) => text,
        Ok(value) => format!("{value:#}"),
        Err(_) => payload.json().to_owned(),
    }
}

/// What differs between two texts, as lines with `-` and `+`.
pub(super) fn diff(then: &str, now: &str) -> String {
    let diff = TextDiff::from_lines(then, now);
    let text = diff.unified_diff().context_radius(CONTEXT_LINES).to_string();
    // The places of hunks say nothing where the texts were put together from parts.
    text.lines().filter(|line| !line.starts_with("@@")).collect::<Vec<_>>().join("\n")
}
