//! Waits for a model call that the server goes on with by itself.
//!
//! The call's id is the outcome of the step that made it. Waiting is a step of its own, which only
//! asks: whoever runs the task after a crash asks again, and pays for nothing twice.

use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Handle;

use super::model::{Model, Models, Outcome};
use crate::durable::{Context, RetryPolicy};
use crate::journal::{Failure, StepKind};

/// The end of the call with this id, which the step `step` has made. Never pending.
///
/// # Errors
/// When the server cannot be asked any more, or the call has failed for good.
pub(super) async fn end(
    turn: &Context,
    step: &str,
    models: &dyn Models,
    name: &str,
    id: &str,
    retry: RetryPolicy,
) -> Result<Outcome, Failure> {
    turn.pure(format!("{step}/reply"))
        .kind(StepKind::Model)
        .input(&json!({"model": name, "response": id}))
        .retry(retry)
        .run(|_| async move {
            let model = models.open(name)?;
            let provider = Arc::clone(&model.provider);
            let mut call = Awaited { turn, provider, id, ended: false };
            let outcome = model.provider.fetch(&model.name, id).await;
            call.ended = true;
            match outcome? {
                Outcome::Pending { .. } => Err(Failure::transient(format!(
                    "the provider of {name} gave up waiting for the response {id}"
                ))),
                ended => Ok(ended),
            }
        })
        .await
}

/// A call that is waited for. Dropped because the task is cancelled, it is stopped at the server;
/// dropped because the process stops, it is left to work on for the next one.
struct Awaited<'a> {
    turn: &'a Context,
    provider: Arc<dyn Model>,
    id: &'a str,
    ended: bool,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if self.ended || !self.turn.is_being_cancelled() {
            return;
        }
        // Nobody waits for it: a cancel is to end the task at once, whatever the server does.
        if let Ok(runtime) = Handle::try_current() {
            let (provider, id) = (Arc::clone(&self.provider), self.id.to_owned());
            runtime.spawn(async move { provider.cancel(&id).await });
        }
    }
}
