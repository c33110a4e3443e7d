//! The real agent loop on a scripted model, with a reply that calls tools of all three effects at
//! once.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use relight::agent::models::{ModelsConfig, Registry};
use relight::agent::{
    AGENT_FUNCTION, AgentLoop, Called, Definition, Invocation, Model, Models, OpenModel, Outcome,
    Pinned, Prices, RemoteTask, Request, Servers, TaskDialect, TaskNews, Tool, ToolOutput, Toolbox,
};
use relight::durable::{Builder, Look, StartTask};
use relight::journal::{Effect, Failure, Payload, TaskId};

use crate::power::Site;
use crate::scratch::Scratch;
use crate::sweep::{Program, sweep};
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
        let tool = |(name, effect): (&str, Effect)| Tool {
            server: server.clone(),
            name: name.to_owned(),
            description: None,
            input_schema: Payload::from_json(r#"{"type":"object"}"#.to_owned()).unwrap(),
            effect,
            destructive_hint: None,
            as_task: false,
        };
        let tools = [
            ("look_up", Effect::Pure),
            ("reserve", Effect::Idempotent),
            ("charge", Effect::Once),
            ("ship", Effect::Once),
        ];
        Ok(tools.map(tool).into())
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
        let text = format!("{} done", call.tool);
        Ok(Called::Output(ToolOutput { text, ..ToolOutput::default() }))
    }

    async fn look(
        &self,
        _: &Servers,
        task: &RemoteTask,
        _: &[String],
    ) -> Result<Look<TaskNews>, Failure> {
        self.0.look(&task.id).await;
        let output = ToolOutput { text: "ship done".to_owned(), ..ToolOutput::default() };
        Ok(Look::Done(TaskNews::Output(output)))
    }
}

/// The scripted model, with every call of it in the ledger.
pub(crate) struct Metered<M>(pub(crate) M, pub(crate) Hand);

impl Models for Metered<Registry> {
    fn open(&self, model: &str) -> Result<OpenModel, Failure> {
        let OpenModel { provider, name } = self.0.open(model)?;
        Ok(OpenModel { provider: Arc::new(Metered(provider, self.1.clone())), name })
    }
}

#[async_trait]
impl Model for Metered<Arc<dyn Model>> {
    async fn call(&self, request: &Request) -> Result<Outcome, Failure> {
        let outcome = self.0.call(request).await?;
        self.1.effect(&request.idempotency_key).await;
        Ok(outcome)
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
        let mut start = pinned.start(Payload::of(&serde_json::json!({"task": "a hat"})).unwrap());
        start.idempotency_key = Some("a hat".to_owned());
        start
    }

    fn children(&self) -> usize {
        0
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
    let sites = sweep(&Shop);
    let effects = sites.iter().filter(|site| matches!(site, Site::AfterEffect(_))).count();
    println!("{} sites, {effects} effects", sites.len());
    // Three model calls and four tool calls.
    assert_eq!(effects, 7);
}
