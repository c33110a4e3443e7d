//! The real agent loop on a scripted model, with a reply that calls tools of all three effects at
//! once.

use std::collections::HashSet;

use async_trait::async_trait;
use relight::agent::{
    Called, Invocation, RemoteTask, Servers, TaskDialect, TaskNews, Tool, Toolbox,
};
use relight::durable::{Builder, Look, StartTask};
use relight::journal::{Effect, Failure, Payload, TaskId};

use crate::parts::{agents, answered, says, scripts, task, tool};
use crate::scratch::Scratch;
use crate::sweep::{Program, effects, sweep};
use crate::world::{Hand, World};

const AGENT: &str = "---
name: shop
description: Sells one thing.
model: script:replies.yaml
mcpServers:
  shop:
    command: never-started
in_doubt: tell
---
Sell it.
";

const REPLIES: &str = r#"
replies:
  - calls: [{tool: look_up}, {tool: reserve}, {tool: charge}]
    usage: {input_tokens: 10, output_tokens: 5}
  # Only where the charge is in doubt.
  - when: {contains: outcome of this call is unknown}
    calls: [{tool: look_up}]
  - calls: [{tool: ship}]
  - text: "{{results.look_up}}; {{results.reserve}}; {{results.charge}}; {{results.ship}}"
"#;

/// A toolbox whose tools take effect in the test's ledger. One goes on as a task.
pub(crate) struct FakeToolbox(pub(crate) Hand);

#[async_trait]
impl Toolbox for FakeToolbox {
    async fn list(&self, servers: &Servers) -> Result<Vec<Tool>, Failure> {
        self.0.look("tools").await;
        let server = servers.keys().next().unwrap();
        let tools = [
            ("look_up", Effect::Pure),
            ("reserve", Effect::Idempotent),
            ("charge", Effect::Once),
            ("ship", Effect::Once),
        ];
        Ok(tools.map(|(name, effect)| tool(server, name, effect)).into())
    }

    async fn call(&self, call: Invocation<'_>) -> Result<Called, Failure> {
        self.0.effect(call.idempotency_key).await;
        if call.tool == "ship" {
            let task = RemoteTask {
                server: call.server.to_owned(),
                id: call.idempotency_key.to_owned(),
                dialect: TaskDialect::Extension,
                poll_interval_ms: None,
                ttl_ms: None,
                session: None,
            };
            return Ok(Called::Task { task });
        }
        answered(format!("{} done", call.tool))
    }

    async fn look(
        &self,
        _: &Servers,
        task: &RemoteTask,
        _: &[String],
    ) -> Result<Look<TaskNews>, Failure> {
        self.0.look(&task.id).await;
        Ok(Look::Done(TaskNews::Output(says("ship done"))))
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

    fn judge(&self, answer: &Payload, task: TaskId, in_doubt: &HashSet<String>, world: &World) {
        let answer: String = answer.read().unwrap();
        let parts: Vec<_> = answer.splitn(4, "; ").collect();
        assert!(answer.starts_with("look_up done; reserve done; "), "{answer}");
        let effects = world.effects();
        let charge_key = format!("{task}/turn-1/tool-3");
        // A doubt about the charge costs a turn to look it up.
        let ship_turn = if in_doubt.contains(&charge_key) { 3 } else { 2 };
        let ship_key = format!("{task}/turn-{ship_turn}/tool-1");
        for (tool, key) in [("charge", charge_key), ("ship", ship_key)] {
            let runs = effects.get(&key).copied().unwrap_or(0);
            if in_doubt.contains(&key) {
                assert!(answer.contains("outcome of this call is unknown"), "{answer}");
            } else {
                assert!(answer.contains(&format!("{tool} done")), "{answer}");
                assert_eq!(runs, 1, "{tool}");
            }
        }
        assert!(parts.len() >= 3, "{answer}");
    }
}

#[test]
fn an_agent_survives_a_crash_at_every_site() {
    // Three model calls and four tool calls.
    assert_eq!(effects(&sweep(&Shop)), 7);
}
