//! What a run has used up by its journal, for one that ended without telling it: it was cancelled,
//! came to its deadline, or was stopped.
//!
//! It counts as [`Purse`] does while a run goes on. Of a call that was under way at the end only what
//! it read is sure: it was broken off with the run.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::Pinned;
use super::background::Awaited;
use super::budget::Purse;
use super::limit::Over;
use super::model::Outcome;
use super::run::Answered;
use super::share::Spent;
use crate::durable::Answer;
use crate::journal::{Event, History, Payload, Step, StepKind, StepState};

/// What a model call's step shows of it.
#[derive(Deserialize)]
struct Call {
    model: String,
    /// About how many tokens it reads.
    #[serde(default)]
    reads: u64,
    /// The most tokens that it may write.
    #[serde(default)]
    writes: Option<u32>,
}

/// What an agent that another one has called has used up; `below` is the same of agents that it has
/// called itself, by their steps, where their outcomes do not tell. All of its share while it has
/// not ended: it may use that up yet.
pub(super) fn of(history: &History, below: &HashMap<String, Payload>) -> Option<Spent> {
    let Some(Event::TaskCreated { definition: Some(definition), .. }) = history.created() else {
        return None;
    };
    let Pinned { agent, prices, share, .. } = definition.read().ok()?;
    let share = share?;
    let purse = Purse::new(&agent, Some(&share), prices, 0);
    let mut turns = HashSet::new();
    for (key, step) in history.steps() {
        match step.kind {
            StepKind::Model => {
                turns.insert(key.split('/').next());
                count_call(&purse, history, step);
            }
            StepKind::Child => purse.take_in(spent_below(step, below.get(key))),
            StepKind::Question => count_raise(&purse, key, step),
            _ => {}
        }
    }
    for _ in turns {
        purse.begin_turn();
    }
    if history.end().is_none() {
        purse.use_up(&share);
    }
    Some(purse.spent())
}

fn count_call(purse: &Purse, history: &History, step: &Step) {
    let Some(call) = step.shown.as_ref().and_then(|shown| shown.read::<Call>().ok()) else {
        return;
    };
    let Call { model, reads, writes } = call;
    let mut state = Some(&step.state);
    let mut outcome = outcome(step);
    if let Some(Outcome::Pending { pending }) = &outcome {
        let wait = wait_for(history, pending);
        (state, outcome) = (wait.map(|wait| &wait.state), wait.and_then(self::outcome));
    }
    match (outcome, state) {
        (Some(Outcome::Reply(reply)), _) => purse.commit(&model, reads, &reply),
        (Some(Outcome::TooLong { .. }), _) => {}
        (Some(Outcome::Lost { .. } | Outcome::Pending { .. }), _) => {
            purse.commit_lost(&model, reads, writes);
        }
        // A wait that has failed; the call itself would have had no effect.
        (None, Some(StepState::Failed(_))) if state != Some(&step.state) => {
            purse.commit_lost(&model, reads, writes);
        }
        (None, Some(StepState::Waiting { .. } | StepState::Failed(_))) => {}
        (None, Some(StepState::Started | StepState::Completed(_)) | None) => {
            purse.commit_lost(&model, reads, None);
        }
    }
}

fn outcome(step: &Step) -> Option<Outcome> {
    match &step.state {
        StepState::Completed(output) => output.read().ok(),
        _ => None,
    }
}

/// The step that waits for a call that its server goes on with by itself.
fn wait_for<'h>(history: &'h History, pending: &str) -> Option<&'h Step> {
    let waits = history.steps().filter(|(_, step)| step.kind == StepKind::Model);
    let mut waits = waits.filter(|(_, step)| {
        let awaited = step.shown.as_ref().and_then(|shown| shown.read::<Awaited>().ok());
        awaited.is_some_and(|awaited| awaited.response == pending)
    });
    waits.next().map(|(_, step)| step)
}

fn spent_below(step: &Step, told: Option<&Payload>) -> Option<Spent> {
    match &step.state {
        StepState::Completed(output) => Some(output.read::<Answered>().ok()?.spent),
        StepState::Failed(failure) => failure.details.as_ref().or(told)?.read().ok(),
        StepState::Started | StepState::Waiting { .. } => told?.read().ok(),
    }
}

/// A person may have let it use more than it had.
fn count_raise(purse: &Purse, key: &str, step: &Step) {
    let StepState::Completed(answer) = &step.state else { return };
    let Ok(Answer::Accept { content }) = answer.read() else { return };
    let name = key.rsplit('/').next().unwrap_or_default();
    let name = name.split('#').next().unwrap_or_default();
    if let Some((limit, by)) = Over::raised(name, &content) {
        purse.raise(limit, by, 0);
    }
}
