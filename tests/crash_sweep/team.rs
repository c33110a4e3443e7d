//! An agent that calls two others side by side, on one budget: each of them has a card to charge.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use relight::agent::models::{ModelsConfig, Registry};
use relight::agent::{AGENT_FUNCTION, AgentLoop, Definition, Pinned, Prices};
use relight::durable::{Builder, StartTask};
use relight::journal::{Payload, TaskId};

use crate::agent::{FakeToolbox, Metered};
use crate::power::Site;
use crate::scratch::Scratch;
use crate::sweep::{Program, sweep};
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
        fs::write(scratch.dir().join("lead.yaml"), LEAD_REPLIES).unwrap();
        fs::write(scratch.dir().join("clerk.yaml"), CLERK_REPLIES).unwrap();
        let config =
            ModelsConfig { script_dir: scratch.dir().to_owned(), ..ModelsConfig::default() };
        let models = Metered(Registry::new(config), hand.clone());
        let agents = AgentLoop::new(Arc::new(models), Arc::new(FakeToolbox(hand)));
        builder.register(AGENT_FUNCTION, Arc::new(agents))
    }

    fn start(&self) -> StartTask {
        let [lead, clerk] = [LEAD, CLERK].map(|text| Definition::parse("agent.md", text).unwrap());
        let pinned = Pinned::new(lead, vec![clerk], &Prices::default());
        let mut start = pinned.start(Payload::of(&serde_json::json!({"task": "both"})).unwrap());
        start.idempotency_key = Some("both".to_owned());
        start
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
    let sites = sweep(&Team);
    let effects = sites.iter().filter(|site| matches!(site, Site::AfterEffect(_))).count();
    println!("{} sites, {effects} effects", sites.len());
    // Two model calls of each of the three, and two charges.
    assert_eq!(effects, 8);
}
