//! A recording without its secrets, that still replays.
//!
//! What a step was asked with is recorded as a hash, and a hash of what was taken out fits nothing any
//! more. Most steps' hashes are those of their shown input, and change with it; the others are made by
//! code, and only that code can make them again.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use super::Replay;
use crate::agent::AGENT_FUNCTION;
use crate::durable::{Replayed, child_input, rehash};
use crate::journal::{
    Event, Hash, RecordedTask, Recording, Redaction, Result, Step, StepKind, TaskId,
};

/// The recording without what is secret by these rules.
///
/// The agents of the recording are replayed on what is left of it, and the hashes that come out take
/// the place of the old ones. The code of other functions is not known here: see
/// [`Replay::redacted`], and [`own_hashes`] for where that matters.
///
/// # Errors
/// When the recording has a task whose history contradicts itself.
pub async fn redacted(recording: Recording, rules: &Redaction) -> Result<Recording> {
    Replay::of(recording).redacted(rules).await
}

/// The steps whose hash was set by the code of a durable function ([`input_hash`]), by their tasks:
/// where such a hash is of something secret, a recording without that replays only once it went
/// through [`Replay::redacted`] with the function.
///
/// [`input_hash`]: crate::durable::StepBuilder::input_hash
pub fn own_hashes(recording: &Recording) -> Vec<(TaskId, String)> {
    let functions = recording.tasks().iter().filter(|task| function(task) != Some(AGENT_FUNCTION));
    let of_task = |task: &RecordedTask| {
        let Ok(history) = task.history() else { return Vec::new() };
        let own = history.steps().filter(|(_, step)| is_own_hash(step));
        own.map(|(key, _)| (task.id, key.to_owned())).collect()
    };
    functions.flat_map(of_task).collect()
}

/// Whether the hash of a step's input is neither that of what is shown of it, nor of relight's making.
fn is_own_hash(step: &Step) -> bool {
    let by_code = matches!(step.kind, StepKind::Run | StepKind::Tool | StepKind::Model);
    by_code
        && match &step.shown {
            Some(shown) => step.input != shown.hash(),
            None => step.input != Hash::default(),
        }
}

fn function(task: &RecordedTask) -> Option<&str> {
    match task.records.first().map(|record| &record.event) {
        Some(Event::TaskCreated { function, .. }) => Some(function),
        _ => None,
    }
}

impl Replay {
    /// The recording without what is secret by these rules. The hashes of its steps come from its
    /// agents and from the functions that this was given ([`Replay::function`]), replayed on what is
    /// left.
    ///
    /// # Errors
    /// When the recording has a task whose history contradicts itself.
    pub async fn redacted(&self, rules: &Redaction) -> Result<Recording> {
        let (recording, changed) = rules.apply(self.recording.as_ref().clone());
        if !changed {
            return Ok(recording);
        }
        let recording = Arc::new(recording);
        let mut hashes: HashMap<TaskId, HashMap<String, Hash>> = HashMap::new();
        for task in recording.tasks() {
            let mut fitting = children(&self.recording, &recording, task);
            if let Some(code) = function(task).and_then(|name| self.functions.get(name)) {
                let (hashes, replayed) = rehash(code, &recording, task.id).await?;
                // Where it differed before, it is to differ still.
                if !matches!(replayed, Replayed::Mismatch(_)) {
                    fitting = hashes;
                }
            }
            hashes.insert(task.id, fitting);
        }
        Ok(Arc::unwrap_or_clone(recording).map(|task| {
            let mut records = task.records.clone();
            let fitting = hashes.get(&task.id);
            for record in &mut records {
                if let Event::StepStarted { key, input, .. } = &mut record.event
                    && let Some(hash) = fitting.and_then(|hashes| hashes.get(key))
                {
                    *input = *hash;
                }
            }
            records
        }))
    }
}

/// The hashes of the steps that start children: they follow from the children's own first events.
fn children(before: &Recording, after: &Recording, task: &RecordedTask) -> HashMap<String, Hash> {
    #[derive(Deserialize)]
    struct Shown {
        function: String,
    }
    let Ok(history) = task.history() else { return HashMap::new() };
    let children = history.steps().filter(|(_, step)| step.kind == StepKind::Child);
    let hash = |recording: &Recording, key: &str, shown: &Shown| {
        let child = recording.child(task.id, key)?;
        match child.records.first().map(|record| &record.event) {
            Some(Event::TaskCreated { input, .. }) => Some(child_input(&shown.function, input)),
            _ => None,
        }
    };
    children
        .filter_map(|(key, step)| {
            let shown: Shown = step.shown.as_ref()?.read().ok()?;
            let fitted = hash(before, key, &shown) == Some(step.input);
            let new = hash(after, key, &shown).filter(|_| fitted)?;
            Some((key.to_owned(), new))
        })
        .collect()
}
