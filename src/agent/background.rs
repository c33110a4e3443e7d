//! Model calls that the server goes on with by itself.
//!
//! The call's id is the outcome of the step that made it. Waiting is a step of its own, which only
//! looks: whoever runs the task after a crash looks again, and pays for nothing twice.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::model::{Models, Outcome};
use crate::durable::{Context, Left, Look, Past};
use crate::journal::{Failure, History, StepKind, StepState};
use crate::limits;

/// A call that is waited for, as the waiting step records it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Awaited {
    /// By the name in the agent's file.
    pub(super) model: String,
    /// The id at the server.
    pub(super) response: String,
}

/// Waits for the end of a call that the step `step` has made. Never pending.
///
/// # Errors
/// When the server cannot be asked any more, or the call has failed for good.
pub(super) async fn end(
    turn: &Context,
    step: &str,
    models: &dyn Models,
    call: &Awaited,
) -> Result<Outcome, Failure> {
    let mut wait_ms = limits::MODEL_POLL_FIRST_MS;
    let mut waited_ms = 0;
    turn.poll(&format!("{step}/reply"), StepKind::Model, call, || {
        let (after_ms, so_far_ms) = (wait_ms, waited_ms);
        wait_ms = wait_ms.saturating_mul(2).min(limits::MODEL_POLL_MAX_MS);
        waited_ms += after_ms;
        async move {
            let Awaited { model: name, response: id } = call;
            let model = models.open(name)?;
            match model.provider.fetch(&model.name, id).await? {
                Outcome::Pending { .. } if so_far_ms >= limits::MODEL_BACKGROUND_MS => {
                    model.provider.cancel(id).await?;
                    Err(Failure::is_final(format!(
                        "{name} was still at work after {so_far_ms} ms; the response {id} was cancelled"
                    )))
                }
                Outcome::Pending { .. } => {
                    Ok(Look::Again { after_ms: Some(after_ms), message: None })
                }
                ended => Ok(Look::Done(ended)),
            }
        }
    })
    .await
}

/// The calls of a cancelled task that servers still work on, and how those are told.
pub(super) fn left(models: &Arc<dyn Models>, past: &Past) -> Option<Left> {
    let unfinished = past.history(unfinished);
    if unfinished.is_empty() {
        return None;
    }
    let models = Arc::clone(models);
    let stop = async move {
        let cancels = unfinished.iter().map(async |Awaited { model, response }| {
            let stopped = match models.open(model) {
                Ok(model) => model.provider.cancel(response).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = stopped {
                warn!(model, response, %failure, "a response was not cancelled");
            }
        });
        join_all(cancels).await;
    };
    // Nothing that a model writes takes effect by itself.
    Some(Left { steps: Vec::new(), stop: stop.boxed() })
}

/// The calls whose end is not recorded.
fn unfinished(history: &History) -> Vec<Awaited> {
    #[derive(Deserialize)]
    struct Asked {
        model: String,
    }
    let completed = || {
        history.steps().filter_map(|(_, step)| match &step.state {
            StepState::Completed(output) if step.kind == StepKind::Model => Some((step, output)),
            _ => None,
        })
    };
    let failed = history.steps().map(|(_, step)| step);
    let failed = failed.filter(|step| matches!(step.state, StepState::Failed(_)));
    let ended: HashSet<Awaited> = completed()
        .map(|(step, _)| step)
        .chain(failed)
        .filter_map(|step| step.shown.as_ref()?.read().ok())
        .collect();
    completed()
        // Most outcomes are replies, which may be long.
        .filter(|(_, output)| output.json().starts_with("{\"pending\":"))
        .filter_map(|(step, output)| {
            let Asked { model } = step.shown.as_ref()?.read().ok()?;
            match output.read() {
                Ok(Outcome::Pending { pending }) => Some(Awaited { model, response: pending }),
                _ => None,
            }
        })
        .filter(|call| !ended.contains(call))
        .collect()
}
