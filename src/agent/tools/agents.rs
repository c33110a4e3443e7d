//! Agents as tools of another agent. A call is a child task: it survives crashes by itself, is
//! cancelled with its caller, and draws on its caller's budget.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Call;
use crate::agent::budget::Purse;
use crate::agent::run::Answered;
use crate::agent::share::Spent;
use crate::agent::{AGENT_FUNCTION, Pinned, Share, Sizes, Tool};
use crate::durable::Child;
use crate::journal::{Effect, Failure, FailureKind, Payload, TaskId};
use crate::limits;

/// What stands in the place of the server before an agent: `agent/researcher`. No server can have
/// this name.
pub(crate) const AGENT: &str = "agent";

/// The agents that a run may call.
pub(in crate::agent) struct Callees {
    /// What the caller is pinned to.
    pinned: Arc<Pinned>,
    purse: Arc<Purse>,
    root: TaskId,
    places: Semaphore,
}

impl Callees {
    /// Those of this agent, whose run draws on this purse for the task `root`.
    pub(in crate::agent) fn new(pinned: Arc<Pinned>, purse: Arc<Purse>, root: TaskId) -> Self {
        Self { pinned, purse, root, places: Semaphore::new(limits::PARALLEL_CHILDREN) }
    }

    /// The sizes that the caller is pinned to.
    pub(super) fn sizes(&self) -> Sizes {
        self.pinned.sizes
    }

    /// Each as a tool. It follows from what the task is pinned to, and so needs no step.
    pub(super) fn tools(&self) -> impl Iterator<Item = Tool> {
        let agents = self.pinned.agent.agents().iter();
        agents.filter_map(|name| self.pinned.agents.get(name)).map(|agent| Tool {
            server: AGENT.to_owned(),
            name: agent.name().to_owned(),
            description: Some(agent.description().to_owned()),
            input_schema: agent.input_schema().clone(),
            // A child is started once and goes on by itself.
            effect: Effect::Idempotent,
            as_task: false,
            destructive_hint: Some(false),
        })
    }

    /// What the `nth` (from 0) of so many calls, side by side, may use up.
    pub(super) fn share(&self, nth: usize, calls: usize) -> Share {
        self.purse.share(self.root, nth, calls)
    }

    /// Runs the agent of this name. Its answer, or how it failed, is for the model.
    ///
    /// # Errors
    /// When there is no such agent, which is a mistake of ours.
    pub(super) async fn call(
        &self,
        call: Call<'_>,
        name: &str,
        share: Share,
    ) -> Result<String, Failure> {
        let Call { turn, step, arguments, .. } = call;
        let Some(pinned) = self.pinned.callee(name, share) else {
            return Err(Failure::is_final(format!("the task is pinned to no agent {name:?}")));
        };
        let child = Child {
            function: AGENT_FUNCTION.to_owned(),
            name: name.to_owned(),
            definition: Some(Payload::of(&pinned)?),
            time_limit: pinned.time_limit(),
        };
        // It is never closed.
        let _place = self.places.acquire().await;
        let answered = turn.child_as::<Answered>(&step, &child, arguments).await;
        let (spent, text) = match answered {
            Ok(Answered { answer, spent }) => (Some(spent), text(&answer)),
            Err(failure) => {
                let details = failure.details.as_ref();
                let spent = details.and_then(|details| details.read::<Spent>().ok());
                let how = match failure.kind {
                    FailureKind::Cancelled => "was stopped",
                    _ => "failed",
                };
                (spent, format!("The agent {name} {how}: {failure}"))
            }
        };
        self.purse.settle(&share, spent);
        Ok(text)
    }
}

/// An answer as a model reads it.
fn text(answer: &Payload) -> String {
    answer.read::<String>().unwrap_or_else(|_| answer.json().to_owned())
}
