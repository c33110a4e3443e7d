//! What a task's history says of its calls in doubt: which of them a check tool or a person has
//! settled since. It only reads; what follows from a doubt is for [`doubt`](super::doubt) to decide.

use std::collections::HashMap;

use super::doubt::Found;
use crate::durable::doubt::said;
use crate::journal::{FailureKind, History, Step, StepKind, StepState};

/// The calls that were in doubt and are not any more, by their steps' keys: whether each took effect.
pub(in crate::agent) fn settled(history: &History) -> HashMap<String, bool> {
    let calls = history.steps().filter(|(_, step)| step.kind == StepKind::Tool);
    let calls = calls.map(|(key, _)| key).filter(|key| is_call(key));
    calls.flat_map(|call| of_call(history, call)).collect()
}

/// Whether this is the first step of a model's call: `turn-1/tool-1`.
fn is_call(key: &str) -> bool {
    let name = key.split_once('/').map(|(_, name)| name);
    name.is_some_and(|name| name.starts_with("tool-") && !name.contains(['/', '#']))
}

/// Goes through the attempts at a call as they were made: each but the last was in doubt, and was
/// settled by the next check, or else by the next answer.
fn of_call(history: &History, call: &str) -> Vec<(String, bool)> {
    let mut checks = numbered(history, format!("{call}/check"));
    let mut answers = numbered(history, format!("{call}/doubt"));
    let attempt = |n: u32| match n {
        0 => call.to_owned(),
        n => format!("{call}/again-{n}"),
    };
    let mut settled = Vec::new();
    for n in 0.. {
        let Some((key, step)) = numbered(history, attempt(n)).last() else { break };
        if !may_be_in_doubt(step) {
            break;
        }
        let by_check = checks.next().and_then(|(_, step)| found(step));
        let happened = by_check.or_else(|| answers.next().and_then(|(_, step)| said(step)));
        settled.extend(happened.map(|happened| (key, happened)));
    }
    settled
}

/// The steps of this name, in the order in which they were asked for.
fn numbered(history: &History, name: String) -> impl Iterator<Item = (String, &Step)> {
    let key = move |n: u32| if n == 1 { name.clone() } else { format!("{name}#{n}") };
    (1..).map_while(move |n| {
        let key = key(n);
        history.step(&key).map(|step| (key, step))
    })
}

/// A call is in doubt by its own failure, or because its server has lost the task that it led to.
fn may_be_in_doubt(step: &Step) -> bool {
    match &step.state {
        StepState::Failed(failure) => failure.kind == FailureKind::InDoubt,
        StepState::Completed(_) => true,
        StepState::Started | StepState::Waiting { .. } => false,
    }
}

fn found(check: &Step) -> Option<bool> {
    let StepState::Completed(output) = &check.state else { return None };
    match output.read().ok()? {
        Found::Happened { .. } => Some(true),
        Found::DidNotHappen => Some(false),
        Found::Unclear { .. } => None,
    }
}
