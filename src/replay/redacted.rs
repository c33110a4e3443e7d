//! A recording without its secrets, that still replays.

use std::collections::HashMap;
use std::sync::Arc;

use super::offline;
use crate::agent::AGENT_FUNCTION;
use crate::durable::{Replayed, rehash};
use crate::journal::{Event, Hash, Recording, Redaction, Result, TaskId};

/// The recording without what is secret by these rules.
///
/// What a step was asked with is recorded as a hash, and a hash of a conversation is one of its
/// secrets too: so the agents of the recording are replayed on what is left of it, and the hashes
/// that come out take the place of the old ones.
///
/// # Errors
/// When the recording has a task whose history contradicts itself.
pub async fn redacted(recording: Recording, rules: &Redaction) -> Result<Recording> {
    let (recording, changed) = rules.apply(recording);
    if !changed {
        return Ok(recording);
    }
    let recording = Arc::new(recording);
    let agents = offline::agent_loop();
    let mut hashes: HashMap<TaskId, HashMap<String, Hash>> = HashMap::new();
    for task in recording.tasks() {
        let first = task.records.first().map(|record| &record.event);
        let is_agent = matches!(
            first, Some(Event::TaskCreated { function, .. }) if function == AGENT_FUNCTION
        );
        if is_agent {
            let (fitting, replayed) = rehash(&agents, &recording, task.id).await?;
            // Where it differed before, it is to differ still.
            if !matches!(replayed, Replayed::Mismatch(_)) {
                hashes.insert(task.id, fitting);
            }
        }
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
