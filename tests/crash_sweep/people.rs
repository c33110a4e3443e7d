//! An agent that asks people: a question, an approval, and two calls whose doubts are settled, one by
//! a check tool and one by a person who looked. Whatever dies where, each effect takes place once.

use std::collections::HashSet;

use async_trait::async_trait;
use relight::agent::{Called, Invocation, Servers, Tool, Toolbox};
use relight::durable::{Builder, StartTask};
use relight::journal::{Effect, Failure, Payload, TaskId};
use serde_json::{Value, json};

use crate::parts::{agents, answered, scripts, task, tool};
use crate::scratch::Scratch;
use crate::sweep::{Program, effects, sweep};
use crate::world::{Hand, World};

const AGENT: &str = "---
name: shop
description: Sells one thing.
model: script:replies.yaml
tools: [shop/charge, shop/ship, ask_user]
mcpServers:
  shop:
    command: never-started
approve: [shop/charge]
in_doubt: { default: ask, shop/charge: { check: shop/find } }
---
Sell it.
";

const REPLIES: &str = r#"
replies:
  - calls: [{tool: ask_user, arguments: {message: Who?}}, {tool: charge}]
  - calls: [{tool: ship}]
  - text: "{{results.ask_user}}; {{results.charge}}; {{results.ship}}"
"#;

/// A toolbox whose tools take effect in the test's ledger, but for the one that looks there.
struct FakeToolbox(Hand);

#[async_trait]
impl Toolbox for FakeToolbox {
    async fn list(&self, _: &Servers) -> Result<Vec<Tool>, Failure> {
        Ok(["charge", "ship", "find"].map(|name| tool("shop", name, Effect::Once)).into())
    }

    async fn call(&self, call: Invocation<'_>) -> Result<Called, Failure> {
        let (tool, key) = (call.tool, call.idempotency_key);
        if tool == "find" {
            self.0.look("find").await;
            let happened = self.0.world.effects().contains_key(key);
            let found = json!({"happened": happened, "result": "charge done"});
            return answered(found.to_string());
        }
        self.0.effect(key).await;
        answered(format!("{tool} done"))
    }
}

struct Shop;

impl Program for Shop {
    fn register(&self, builder: Builder, hand: Hand, scratch: &Scratch) -> Builder {
        let models = scripts(scratch, hand.clone(), &[("replies.yaml", REPLIES)]);
        agents(builder, models, FakeToolbox(hand))
    }

    fn start(&self) -> StartTask {
        task(&[AGENT], "a hat")
    }

    fn answer(&self, task: TaskId, key: &str, world: &World) -> Value {
        let content = match key {
            "turn-1/tool-1" => json!({"answer": "Ada"}),
            "turn-1/tool-2/approve" => json!({"decision": "approve"}),
            "turn-2/tool-1/doubt" => {
                match world.effects().contains_key(&format!("{task}/turn-2/tool-1")) {
                    true => json!({"outcome": "happened", "result": "ship done"}),
                    false => json!({"outcome": "run"}),
                }
            }
            other => panic!("nobody should be asked {other:?}"),
        };
        json!({"action": "accept", "content": content})
    }

    fn judge(&self, answer: &Payload, task: TaskId, _: &HashSet<String>, world: &World) {
        assert_eq!(answer.read::<String>().unwrap(), "Ada; charge done; ship done");
        let effects = world.effects();
        for key in ["turn-1/tool-2", "turn-2/tool-1"] {
            assert_eq!(effects.get(&format!("{task}/{key}")), Some(&1), "{key}");
        }
    }
}

#[test]
fn an_agent_that_asks_people_survives_a_crash_at_every_site() {
    // Three model calls and two tool calls.
    assert_eq!(effects(&sweep(&Shop)), 5);
}
