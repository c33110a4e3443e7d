//! What a run of an agent is pinned to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::run::AGENT_FUNCTION;
use super::{AtLimit, Definition, Prices, Share, Sizes};
use crate::durable::{StartTask, TimeLimit};
use crate::journal::Payload;

/// All that a run of an agent is pinned to when it starts: editing files changes new tasks only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pinned {
    /// The agent's file.
    pub agent: Definition,
    /// The models to try, in order.
    pub models: Vec<String>,
    /// What they cost, and what those of `agents` cost.
    pub prices: Prices,
    /// The agents that it may call, directly or through others, by their names. It is among them
    /// where they may call it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<String, Definition>,
    /// The sizes that its conversation is cut by.
    #[serde(default = "Sizes::unnamed", skip_serializing_if = "Sizes::are_unnamed")]
    pub sizes: Sizes,
    /// What the agent that calls this one lets it use up; `None` where a person calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

impl Pinned {
    /// An agent with those that it may call, directly or through others, and what of these prices
    /// they need.
    pub fn new(agent: Definition, callees: Vec<Definition>, prices: &Prices) -> Self {
        let all = std::iter::once(&agent).chain(&callees);
        let models: Vec<String> = all.flat_map(|agent| agent.models().iter().cloned()).collect();
        let agents = callees.into_iter().map(|agent| (agent.name().to_owned(), agent)).collect();
        let prices = prices.only(&models);
        let (models, sizes) = (agent.models().to_vec(), Sizes::default());
        Self { models, agent, prices, agents, sizes, share: None }
    }

    /// The task that runs this agent with these arguments.
    pub fn start(&self, arguments: Payload) -> StartTask {
        let mut start = StartTask::new(AGENT_FUNCTION, self.agent.name(), arguments);
        // All of it came from text and has a JSON form.
        start.definition = Payload::of(self).ok();
        start.time_limit = self.time_limit();
        start
    }

    /// The bound on a task's time that nothing raises: whatever is under way then is dropped. Where a
    /// person is to be asked for more, there is none, and the loop looks at the time itself.
    pub(super) fn time_limit(&self) -> Option<TimeLimit> {
        let budget = self.agent.budget();
        let ms = budget.wall_time_ms.filter(|_| budget.at_limit == AtLimit::End)?;
        Some(TimeLimit { ms, set_by: Some("budget.wallTime".to_owned()) })
    }

    /// What a run of an agent that this one calls is pinned to.
    pub(super) fn callee(&self, name: &str, share: Share) -> Option<Self> {
        let agent = self.agents.get(name)?.clone();
        let (models, share) = (agent.models().to_vec(), Some(share));
        Some(Self { models, agent, share, ..self.clone() })
    }
}
