//! What people are told of a task that did not come to its own end: what it had done by then, and
//! what nobody knows of.

use serde::Deserialize;

use super::doubt;
use super::live::Live;
use crate::journal::{
    Effect, Event, Failure, FailureKind, History, Payload, Step, StepKind, StepState,
};

/// Takes in the answers that have come and that the function was not told of any more: what a person
/// has said counts from the moment that it is written.
pub(super) fn take_answers(live: &Live) {
    let answered: Vec<_> = live.cursor(|cursor| {
        let (answers, open) = (live.answers.borrow(), cursor.history().questions());
        let answered =
            open.filter_map(|(key, _)| Some((key.to_owned(), answers.get(key)?.clone())));
        answered.collect()
    });
    for (key, answer) in answered {
        if let Ok(output) = Payload::of(&answer) {
            live.record(Event::StepCompleted { key, output });
        }
    }
}

/// Why a task was ended from outside and what it had done by then. `left` are completed steps that
/// have left something running elsewhere.
pub(super) fn last_word(live: &Live, why: String, left: &[String]) -> String {
    live.cursor(|cursor| {
        let Effects { took, may_have } = effects(live, cursor.history(), left);
        let mut message = why;
        for (what, steps) in [("took effect", took), ("may have taken effect", may_have)] {
            if !steps.is_empty() {
                message.push_str(&format!("; {what} before that: {}", steps.join(", ")));
            }
        }
        message
    })
}

/// The failure of a function that gave up while it had something under way, or because nobody knows
/// what became of a step: with what it had done by then.
pub(super) fn with_effects(live: &Live, failure: Failure, left: &[String]) -> Failure {
    let under_way = live.cursor(|cursor| {
        cursor
            .history()
            .steps()
            .any(|(_, step)| is_effect(step) && step.state == StepState::Started)
    });
    if !under_way && left.is_empty() && failure.kind != FailureKind::InDoubt {
        return failure;
    }
    Failure { message: last_word(live, failure.message, left), ..failure }
}

/// The steps with effects, as people are told of them.
struct Effects {
    took: Vec<String>,
    may_have: Vec<String>,
}

fn effects(live: &Live, history: &History, left: &[String]) -> Effects {
    let function = live.shared.functions.get(&live.task.function);
    let settled = function.map(|function| function.settled(history)).unwrap_or_default();
    let mut effects = Effects { took: Vec::new(), may_have: Vec::new() };
    for (key, step) in history.steps().filter(|(_, step)| is_effect(step)) {
        let is_left = left.iter().any(|left| left == key);
        let settled = settled.get(key).copied().or_else(|| doubt::settled(history, key, step));
        match (settled, &step.state) {
            (Some(true), _) => effects.took.push(label(key, step)),
            (Some(false), _) => {}
            (None, StepState::Completed(_)) if !is_left => effects.took.push(label(key, step)),
            (None, StepState::Completed(_) | StepState::Started) => {
                effects.may_have.push(label(key, step));
            }
            (None, StepState::Waiting { failure, .. } | StepState::Failed(failure)) => {
                if failure.kind == FailureKind::InDoubt {
                    effects.may_have.push(label(key, step));
                }
            }
        }
    }
    effects
}

fn is_effect(step: &Step) -> bool {
    step.effect != Effect::Pure && matches!(step.kind, StepKind::Run | StepKind::Tool)
}

/// A step as a person is told of it: a tool's call with the tool's name.
fn label(key: &str, step: &Step) -> String {
    #[derive(Deserialize)]
    struct Call {
        tool: String,
    }
    match step.shown.as_ref().map(Payload::read) {
        Some(Ok(Call { tool })) if step.kind == StepKind::Tool => format!("{key} ({tool})"),
        _ => key.to_owned(),
    }
}
