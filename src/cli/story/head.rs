//! What a task is, before what it did.

use jiff::Timestamp;
use relight::agent::{AGENT_FUNCTION, Pinned};
use relight::journal::{Event, Record, Task};

use super::page::Manner;
use super::shown::model_name;
use super::words::cut;
use crate::cli::screen::dim;

/// The width of the names before the values.
const NAMES: usize = 10;

/// A line for each thing that is known of a task but for its name, id and status.
pub(in crate::cli) fn head(task: &Task, records: &[Record], manner: Manner) -> Vec<String> {
    let mut lines = Vec::new();
    let room = manner.columns.saturating_sub(NAMES + 2);
    let mut line = |name: &str, value: &str| {
        lines.push(format!("  {}{}", dim(format!("{name:NAMES$}")), cut(value, room)));
    };
    if let Some(Event::TaskCreated { definition, .. }) = records.first().map(|it| &it.event) {
        let pinned = definition.as_ref().and_then(|it| it.read::<Pinned>().ok());
        match pinned {
            Some(pinned) if task.function == AGENT_FUNCTION => {
                line("agent", pinned.agent.description());
                let models: Vec<_> = pinned.models.iter().map(|it| model_name(it)).collect();
                line("model", &models.join(", then "));
            }
            _ => line("function", &task.function),
        }
    }
    if let Some(owner) = &task.owner {
        line("owner", owner);
    }
    if let Some(parent) = &task.parent {
        line("called by", &format!("task {}, {}", parent.task, parent.key));
    }
    if let Some(Event::TaskForked { task, at }) = records.get(1).map(|it| &it.event) {
        line("fork of", &format!("task {task}, at {at}"));
    }
    line("created", &time(task.created_at_ms));
    if let (Some(wake_at_ms), false) = (task.wake_at_ms, task.status.is_ended()) {
        line("due", &time(wake_at_ms));
    }
    if let (Some(message), false) = (&task.message, task.status.is_ended()) {
        line("at", message);
    }
    lines
}

fn time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at:.0}"))
}
