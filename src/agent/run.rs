//! The agent loop: ask the model, run the tools it wants, until it answers.
//!
//! It is one durable function. Every model call and every tool call is a step, so a crash anywhere
//! costs at most the step that was under way.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::budget::Spent;
use super::conversation::Conversation;
use super::model::{Finish, Models, Reply, Request, ToolSpec};
use super::tools::{Bench, Web};
use super::{Definition, Prices, Schema, Settings, Toolbox};
use crate::durable::{Context, Function, StartTask, TimeLimit};
use crate::journal::{Failure, FailureKind, Hash, Payload, StepKind};
use crate::limits;

/// The name under which the agent loop is registered with a [`Runtime`](crate::durable::Runtime).
pub const AGENT_FUNCTION: &str = "agent";

/// All that a run of an agent is pinned to when it starts: editing files changes new tasks only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pinned {
    /// The agent's file.
    pub agent: Definition,
    /// The models to try, in order.
    pub models: Vec<String>,
    /// What they cost.
    pub prices: Prices,
}

impl Pinned {
    /// The task that runs this agent with these arguments.
    pub fn start(&self, arguments: Payload) -> StartTask {
        let mut start = StartTask::new(AGENT_FUNCTION, self.agent.name(), arguments);
        // All of it came from text and has a JSON form.
        start.definition = Payload::of(self).ok();
        let set_by = Some("budget.wallTime".to_owned());
        start.time_limit = self.agent.budget().wall_time_ms.map(|ms| TimeLimit { ms, set_by });
        start
    }
}

/// The agent loop as a durable function.
pub struct AgentLoop {
    models: Arc<dyn Models>,
    toolbox: Arc<dyn Toolbox>,
    web: Arc<Web>,
}

impl AgentLoop {
    /// A loop that reaches models and tools through these.
    pub fn new(models: Arc<dyn Models>, toolbox: Arc<dyn Toolbox>) -> Self {
        Self { models, toolbox, web: Arc::new(Web::new(Box::new(|_| None))) }
    }

    /// The same, with what the `${VAR}`s of an agent's HTTP headers stand for.
    #[must_use]
    pub fn with_variables(
        self,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { web: Arc::new(Web::new(Box::new(variables))), ..self }
    }
}

impl Function for AgentLoop {
    fn run(&self, ctx: Context, input: Payload) -> BoxFuture<'static, Result<Payload, Failure>> {
        let (models, toolbox) = (Arc::clone(&self.models), Arc::clone(&self.toolbox));
        let web = Arc::clone(&self.web);
        Box::pin(async move {
            let pinned = ctx
                .definition()
                .ok_or_else(|| Failure::is_final("the task is pinned to no agent"))?;
            let Pinned { agent, models: names, prices } = pinned.read().map_err(|error| {
                let message = format!(
                    "this relight cannot read the agent that the task is pinned to: {error}"
                );
                Failure::new(FailureKind::Mismatch, message)
            })?;
            let agent = Arc::new(agent);
            let bench = Bench::set_up(&ctx, toolbox, web, Arc::clone(&agent)).await?;
            let run = Run::new(ctx, agent, names, prices, models, &bench);
            run.to_the_end(&bench, &input).await
        })
    }
}

struct Run {
    ctx: Context,
    agent: Arc<Definition>,
    models: Arc<dyn Models>,
    names: Vec<String>,
    prices: Prices,
    system: String,
    tools: Vec<ToolSpec>,
    /// The hash of what every request of this run has in common.
    base: Hash,
    output: Option<Schema>,
}

impl Run {
    fn new(
        ctx: Context,
        agent: Arc<Definition>,
        names: Vec<String>,
        prices: Prices,
        models: Arc<dyn Models>,
        bench: &Bench,
    ) -> Self {
        let tools = bench.specs();
        let mut system = agent.system_prompt().to_owned();
        let schema = agent.output_schema().and_then(|schema| schema.read::<Value>().ok());
        if let Some(schema) = &schema {
            system.push_str("\n\nGive your final answer as one JSON value that fits this JSON Schema, with nothing around it:\n");
            system.push_str(&schema.to_string());
        }
        let common = serde_json::to_vec(&tools).unwrap_or_default();
        Self {
            ctx,
            models,
            names,
            prices,
            system,
            tools,
            base: Hash::of(&common),
            output: schema.and_then(|schema| Schema::new(&schema).ok()),
            agent,
        }
    }

    async fn to_the_end(&self, bench: &Bench, input: &Payload) -> Result<Payload, Failure> {
        let mut talk = Conversation::new(&self.system, self.agent.first_message(input));
        let mut spent = Spent::default();
        let mut empty_replies = 0;
        for n in 1..=self.agent.max_turns() {
            let turn = self.ctx.scope(format!("turn-{n}"));
            let reply = self.ask(&turn, n, &talk, &mut spent).await?;
            if !reply.calls.is_empty() {
                let names: Vec<_> = reply.calls.iter().map(|call| call.name.as_str()).collect();
                self.ctx.report(format!("turn {n}: {}; {}", names.join(", "), spent.words()));
                let results = bench.run(&turn, &reply.calls).await?;
                talk.calls(reply, results);
                continue;
            }
            match self.answer(&reply) {
                Ok(answer) => {
                    self.ctx.report(format!("answered in {n} turns; {}", spent.words()));
                    return Ok(answer);
                }
                Err(complaint) => {
                    empty_replies = if reply.text.is_some() { 0 } else { empty_replies + 1 };
                    if empty_replies >= limits::EMPTY_REPLIES_MAX {
                        return Err(Failure::is_final(format!(
                            "the model said nothing {empty_replies} times in a row"
                        )));
                    }
                    talk.reply(reply);
                    talk.say(complaint);
                }
            }
        }
        let turns = self.agent.max_turns();
        Err(Failure::is_final(format!(
            "no answer after {turns} turns; raise `maxTurns` in the agent's file for new tasks"
        )))
    }

    /// Asks the models in their order until one replies.
    async fn ask(
        &self,
        turn: &Context,
        n: u32,
        talk: &Conversation,
        spent: &mut Spent,
    ) -> Result<Reply, Failure> {
        if self.names.is_empty() {
            return Err(Failure::is_final(
                "no model is configured: set `model` in the agent's file, --model, RELIGHT_MODEL, or `model` in relight.yaml",
            ));
        }
        let mut failures = Vec::new();
        for (i, name) in self.names.iter().enumerate() {
            self.ctx.report(format!("turn {n}: asking {name}; {}", spent.words()));
            let step = if i == 0 { "model".to_owned() } else { format!("model-{}", i + 1) };
            // A budget that is used up is so for every model of the list.
            let settings = self.reserve(name, talk, spent)?;
            match self.ask_one(turn, step, name, settings, talk, spent).await {
                Ok(Reply { finish: Finish::Filtered, .. }) => {
                    failures.push(format!("{name}: the provider withheld the reply"))
                }
                Ok(reply) => return Ok(reply),
                Err(failure) => failures.push(format!("{name}: {failure}")),
            }
        }
        Err(Failure::is_final(failures.join("; ")))
    }

    /// The settings of the next call: it may write no more than the budget has left.
    fn reserve(&self, name: &str, talk: &Conversation, spent: &Spent) -> Result<Settings, Failure> {
        let mut settings = self.agent.settings().clone();
        let (reads, wanted) = (talk.estimated_tokens(), settings.max_output_tokens);
        settings.max_output_tokens =
            spent.reserve(&self.agent.budget(), &self.prices, name, reads, wanted)?;
        Ok(settings)
    }

    async fn ask_one(
        &self,
        turn: &Context,
        step: String,
        name: &str,
        settings: Settings,
        talk: &Conversation,
        spent: &mut Spent,
    ) -> Result<Reply, Failure> {
        let hash = self
            .base
            .then(talk.hash().bytes())
            .then(name.as_bytes())
            .then(&settings_bytes(&settings));
        let shown = Payload::of(&json!({"model": name, "messages": talk.messages().len()})).ok();
        let reply: Reply = turn
            .idempotent(step)
            .kind(StepKind::Model)
            .input_hash(hash, shown)
            .retry(self.agent.retry())
            .run(|attempt| {
                let settings = settings.clone();
                async move {
                    let model = self.models.open(name)?;
                    let request = Request {
                        model: model.name,
                        system: self.system.clone(),
                        messages: talk.messages().to_vec(),
                        tools: self.tools.clone(),
                        settings,
                        idempotency_key: attempt.idempotency_key,
                    };
                    model.provider.call(&request).await
                }
            })
            .await?;
        spent.add(&self.prices, name, talk.estimated_tokens(), &reply);
        Ok(reply)
    }

    /// The run's result, or what to tell the model about its reply.
    fn answer(&self, reply: &Reply) -> Result<Payload, String> {
        let text = reply.text.as_deref().unwrap_or_default().trim();
        if text.is_empty() {
            return Err("Your reply was empty. Answer, or call a tool.".to_owned());
        }
        let Some(schema) = &self.output else {
            return Payload::of(text).map_err(|error| error.to_string());
        };
        let value: Value = serde_json::from_str(unfenced(text)).map_err(|error| {
            format!("Your answer is not valid JSON ({error}). Give it again as JSON alone.")
        })?;
        if let Some(complaints) = schema.complaints(&value) {
            return Err(format!(
                "Your answer does not fit the schema: {complaints}. Give it again."
            ));
        }
        Payload::of(&value).map_err(|error| error.to_string())
    }
}

fn settings_bytes(settings: &Settings) -> Vec<u8> {
    serde_json::to_vec(settings).unwrap_or_default()
}

/// Models like to put JSON into a code fence, whatever they are told.
fn unfenced(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else {
        return text;
    };
    inside.split_once('\n').map_or(inside, |(_, body)| body)
}
