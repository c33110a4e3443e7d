//! An agent that asks people: a question, an approval, and two calls whose doubts are settled, one by
//! a check tool and one by a person who looked. Whatever dies where, each effect takes place once.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use relight::agent::models::{ModelsConfig, Registry};
use relight::agent::{
    AGENT_FUNCTION, AgentLoop, Called, Definition, Invocation, Pinned, Prices, Servers, Tool,
    ToolOutput, Toolbox,
};
use relight::durable::{Builder, StartTask};
use relight::journal::{Effect, Failure, Payload, TaskId};
use serde_json::{Value, json};

use crate::agent::Metered;
use crate::power::Site;
use crate::scratch::Scratch;
use crate::sweep::{Program, sweep};
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
        let tool = |name: &str| Tool {
            server: "shop".to_owned(),
            name: name.to_owned(),
            description: None,
            input_schema: Payload::from_json(r#"{"type":"object"}"#.to_owned()).unwrap(),
            effect: Effect::Once,
            destructive_hint: None,
            as_task: false,
        };
        Ok(["charge", "ship", "find"].map(tool).into())
    }

    async fn call(&self, call: Invocation<'_>) -> Result<Called, Failure> {
        let (tool, key) = (call.tool, call.idempotency_key);
        if tool == "find" {
            self.0.look("find").await;
            let happened = self.0.world.effects().contains_key(key);
            let text = json!({"happened": happened, "result": "charge done"}).to_string();
            return Ok(Called::Output(ToolOutput { text, ..ToolOutput::default() }));
        }
        self.0.effect(key).await;
        let text = format!("{tool} done");
        Ok(Called::Output(ToolOutput { text, ..ToolOutput::default() }))
    }
}

struct Shop;

impl Program for Shop {
    fn register(&self, builder: Builder, hand: Hand, scratch: &Scratch) -> Builder {
        fs::write(scratch.dir().join("replies.yaml"), REPLIES).unwrap();
        let config =
            ModelsConfig { script_dir: scratch.dir().to_owned(), ..ModelsConfig::default() };
        let models = Metered(Registry::new(config), hand.clone());
        let agents = AgentLoop::new(Arc::new(models), Arc::new(FakeToolbox(hand)));
        builder.register(AGENT_FUNCTION, Arc::new(agents))
    }

    fn start(&self) -> StartTask {
        let agent = Definition::parse("shop.md", AGENT).unwrap();
        let pinned = Pinned::new(agent, Vec::new(), &Prices::default());
        let mut start = pinned.start(Payload::of(&json!({"task": "a hat"})).unwrap());
        start.idempotency_key = Some("a hat".to_owned());
        start
    }

    fn children(&self) -> usize {
        0
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
    let sites = sweep(&Shop);
    let effects = sites.iter().filter(|site| matches!(site, Site::AfterEffect(_))).count();
    println!("{} sites, {effects} effects", sites.len());
    // Three model calls and two tool calls.
    assert_eq!(effects, 5);
}
