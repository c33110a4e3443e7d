//! The text of a recording: written, and read with every mistake named by its line.
//!
//! A field or a kind of event that may be missing is no new version. What a reader of this one would
//! take for something else is: then the number goes up by one, [`Recording::read`] looks at it first and
//! turns the lines of each older version into the events of the next, and a fixture of that version
//! stays in `tests/recordings/vN/` for ever.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{RecordedTask, Recording};
use crate::journal::{Event, History, Record, TaskId};
use crate::limits;

/// The newest version that this relight writes and reads.
const VERSION: u32 = 1;

/// A text that is no recording, or a damaged one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// Something is wrong with a line.
    #[error("line {line}: {why}")]
    Line {
        /// From 1.
        line: usize,
        /// What, and what was expected.
        why: String,
    },
    /// It was written by a later relight.
    #[error(
        "it is a recording of version {found}, and this relight reads up to {VERSION}: use a newer relight"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It ends too early.
    #[error("it ends after line {lines}, and {missing}: the file was cut")]
    Cut {
        /// How many lines there are.
        lines: usize,
        /// What is missing.
        missing: String,
    },
    /// It is larger than what is read.
    #[error("it has {bytes} bytes, and at most {max_bytes} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound: [`limits::RECORDING_MAX_BYTES`].
        max_bytes: usize,
    },
    /// Its tasks do not belong together.
    #[error("{0}")]
    Tasks(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    relight_recording: u32,
    tasks: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskHead {
    task: TaskId,
    events: usize,
}

#[derive(Serialize)]
struct WrittenEvent<'a> {
    seq: u64,
    at_ms: i64,
    event: &'a Event,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadEvent {
    seq: u64,
    at_ms: i64,
    event: Event,
}

impl Recording {
    /// The text, a line for each event, with a newline at its end.
    pub fn write(&self) -> String {
        let mut text = String::new();
        line(&mut text, &Head { relight_recording: VERSION, tasks: self.tasks.len() });
        for RecordedTask { id, records } in &self.tasks {
            line(&mut text, &TaskHead { task: *id, events: records.len() });
            for Record { seq, at_ms, event } in records {
                line(&mut text, &WrittenEvent { seq: *seq, at_ms: *at_ms, event });
            }
        }
        text
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// Where it is no recording, is of a later version, was cut, or holds events that cannot have
    /// happened in this order.
    pub fn read(text: &str) -> Result<Self, RecordingError> {
        let (bytes, max_bytes) = (text.len(), limits::RECORDING_MAX_BYTES);
        if bytes > max_bytes {
            return Err(RecordingError::TooLarge { bytes, max_bytes });
        }
        let mut lines = Lines { lines: text.lines(), read: 0 };
        let head = lines.next("the first line of a recording")?;
        let head = match serde_json::from_str::<Version>(head) {
            Ok(Version { relight_recording }) if relight_recording > VERSION => {
                return Err(RecordingError::Newer { found: relight_recording });
            }
            _ => lines.read::<Head>(head, "{\"relight_recording\":1,\"tasks\":…}")?,
        };
        let mut tasks = Vec::new();
        for n in 1..=head.tasks {
            tasks.push(task(&mut lines, &format!("task {n} of {} is missing", head.tasks))?);
        }
        if lines.lines.next().is_some() {
            let line = lines.read + 1;
            let why = format!("nothing was expected after {} tasks", head.tasks);
            return Err(RecordingError::Line { line, why });
        }
        Self::checked(tasks).map_err(RecordingError::Tasks)
    }
}

/// What a head of any version has.
#[derive(Deserialize)]
struct Version {
    relight_recording: u32,
}

fn task(lines: &mut Lines<'_>, missing: &str) -> Result<RecordedTask, RecordingError> {
    let head = lines.next(missing)?;
    let TaskHead { task: id, events } = lines.read(head, "{\"task\":…,\"events\":…}")?;
    if events == 0 {
        return Err(lines.wrong("a task has at least one event"));
    }
    let mut history = History::default();
    let mut records = Vec::new();
    for n in 0..events {
        let text = lines.next(&format!("event {n} of {events} of task {id} is missing"))?;
        let ReadEvent { seq, at_ms, event } = lines.read(text, "an event")?;
        let record = Record { seq, at_ms, event };
        history.apply(record.clone()).map_err(|error| {
            lines.wrong(format!("event {seq} of task {id} cannot follow: {}", error.why))
        })?;
        records.push(record);
    }
    Ok(RecordedTask { id, records })
}

struct Lines<'t> {
    lines: std::str::Lines<'t>,
    read: usize,
}

impl<'t> Lines<'t> {
    fn next(&mut self, missing: &str) -> Result<&'t str, RecordingError> {
        let cut = || RecordingError::Cut { lines: self.read, missing: missing.to_owned() };
        let line = self.lines.next().ok_or_else(cut)?;
        self.read += 1;
        Ok(line)
    }

    fn read<T: Deserialize<'t>>(&self, text: &'t str, what: &str) -> Result<T, RecordingError> {
        serde_json::from_str(text).map_err(|error| self.wrong(format!("not {what}: {error}")))
    }

    fn wrong(&self, why: impl Into<String>) -> RecordingError {
        RecordingError::Line { line: self.read, why: why.into() }
    }
}

fn line(text: &mut String, value: &impl Serialize) {
    // Events are made of strings, numbers and JSON: they have a JSON form.
    let json = serde_json::to_string(value).unwrap_or_default();
    // A payload that came as text may hold line breaks between its tokens, and only there.
    let _ = writeln!(text, "{}", json.replace(['\n', '\r'], " "));
}
