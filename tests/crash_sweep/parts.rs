//! What the agents under test are made of: the agent loop, scripts with every call of them in the
//! ledger, and tools.

use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use relight::agent::models::{ModelsConfig, Registry};
use relight::agent::{
    AGENT_FUNCTION, AgentLoop, Called, Definition, Model, Models, OpenModel, Outcome, Pinned,
    Prices, Request, Tool, ToolOutput, Toolbox,
};
use relight::durable::{Builder, StartTask};
use relight::journal::{Effect, Failure, Payload};
use serde_json::json;

use crate::scratch::Scratch;
use crate::world::Hand;

/// A model, with every call of it in the ledger.
struct Metered<M>(M, Hand);

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

/// The models `script:NAME`, each a name and its replies.
pub(crate) fn scripts(
    scratch: &Scratch,
    hand: Hand,
    scripts: &[(&str, &str)],
) -> impl Models + use<> {
    for (name, replies) in scripts {
        fs::write(scratch.dir().join(name), replies).unwrap();
    }
    let script_dir = scratch.dir().to_owned();
    Metered(Registry::new(ModelsConfig { script_dir, ..ModelsConfig::default() }), hand)
}

/// Registers the agent loop.
pub(crate) fn agents(
    builder: Builder,
    models: impl Models + 'static,
    tools: impl Toolbox + 'static,
) -> Builder {
    builder.register(AGENT_FUNCTION, Arc::new(AgentLoop::new(Arc::new(models), Arc::new(tools))))
}

/// A task of the first of these agent files, which may call the others. Its words are its
/// idempotency key too.
pub(crate) fn task(files: &[&str], words: &str) -> StartTask {
    let mut agents = files.iter().map(|text| Definition::parse("agent.md", text).unwrap());
    let pinned = Pinned::new(agents.next().unwrap(), agents.collect(), &Prices::default());
    let mut start = pinned.start(Payload::of(&json!({"task": words})).unwrap());
    start.idempotency_key = Some(words.to_owned());
    start
}

/// A tool that takes any arguments.
pub(crate) fn tool(server: &str, name: &str, effect: Effect) -> Tool {
    Tool {
        server: server.to_owned(),
        name: name.to_owned(),
        description: None,
        input_schema: Payload::from_json(r#"{"type":"object"}"#.to_owned()).unwrap(),
        effect,
        destructive_hint: None,
        as_task: false,
    }
}

/// What a tool says.
pub(crate) fn says(text: impl Into<String>) -> ToolOutput {
    ToolOutput { text: text.into(), ..ToolOutput::default() }
}

/// A call that was answered with this text.
pub(crate) fn answered(text: impl Into<String>) -> Result<Called, Failure> {
    Ok(Called::Output(says(text)))
}
