//! An agent that calls two others side by side, on one budget: each of them has a card to charge.

use std::collections::HashSet;

use relight::durable::{Builder, StartTask};
use relight::journal::{Payload, TaskId};

use crate::agent::FakeToolbox;
use crate::parts::{agents, scripts, task};
use crate::scratch::Scratch;
use crate::sweep::{Program, effects, sweep};
use crate::world::{Hand, World};

const LEAD: &str = "---
name: lead
description: Has two cards charged.
model: script:lead.yaml
tools: []
agents: [clerk]
budget: {tokens: 9000}
---
Have it done.
";

const LEAD_REPLIES: &str = "
replies:
  - calls: [{tool: clerk, arguments: {task: one}, id: a}, {tool: clerk, arguments: {task: two}, id: b}]
    usage: {input_tokens: 10, output_tokens: 5}
  - {text: 'The clerk says: {{last}}', usage: {input_tokens: 10, output_tokens: 5}}
";

const CLERK: &str = "---
name: clerk
description: Charges a card.
model: script:clerk.yaml
tools: [shop/charge]
mcpServers: {shop: {command: never-started}}
in_doubt: tell
---
Charge it.
";

const CLERK_REPLIES: &str = "
replies:
  - {calls: [{tool: charge}], usage: {input_tokens: 10, output_tokens: 5}}
  - {text: '{{results.charge}}', usage: {input_tokens: 10, output_tokens: 5}}
";

struct Team;

impl Program for Team {
    fn register(&self, builder: Builder, hand: Hand, scratch: &Scratch) -> Builder {
        let replies = [("lead.yaml", LEAD_REPLIES), ("clerk.yaml", CLERK_REPLIES)];
        let models = scripts(scratch, hand.clone(), &replies);
        agents(builder, models, FakeToolbox(hand))
    }

    fn start(&self) -> StartTask {
        task(&[LEAD, CLERK], "both")
    }

    fn children(&self) -> usize {
        2
    }

    fn judge(&self, answer: &Payload, task: TaskId, in_doubt: &HashSet<String>, world: &World) {
        let answer: String = answer.read().unwrap();
        let effects = world.effects();
        let charges: Vec<_> =
            effects.iter().filter(|(key, _)| key.ends_with("/turn-1/tool-1")).collect();
        let doubts = in_doubt.iter().filter(|key| key.ends_with("/turn-1/tool-1")).count();
        assert!(charges.iter().all(|(_, runs)| **runs == 1), "{charges:?}");
        assert!(charges.len() + doubts >= 2, "{charges:?} {in_doubt:?}");
        assert!(!charges.iter().any(|(key, _)| key.starts_with(&task.to_string())));
        let said =
            answer.contains("charge done") || answer.contains("outcome of this call is unknown");
        assert!(said, "{answer}");
    }
}

#[test]
fn agents_that_call_agents_survive_a_crash_at_every_site() {
    // Two model calls of each of the three, and two charges.
    assert_eq!(effects(&sweep(&Team)), 8);
}
