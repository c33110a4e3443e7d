//! The agent loop: ask the model, run the tools it wants, until it answers.
//!
//! It is one durable function. Every model call and every tool call is a step, so a crash anywhere
//! costs at most the step that was under way.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::budget::{Purse, Spent, Unaffordable};
use super::conversation::Conversation;
use super::limit::{Limit, Over};
use super::model::{Finish, Models, Reply, Request, ToolSpec};
use super::tools::{Bench, Callees};
use super::{AtLimit, Definition, Pinned, Schema, Settings, Toolbox};
use crate::durable::{Answer, Context, Function};
use crate::journal::{Failure, FailureKind, Hash, Payload, StepKind, TaskId};
use crate::limits;

/// The name under which the agent loop is registered with a [`Runtime`](crate::durable::Runtime).
pub const AGENT_FUNCTION: &str = "agent";

/// What an agent hands to the one that called it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) answer: Payload,
    pub(super) spent: Spent,
}

/// The agent loop as a durable function.
pub struct AgentLoop {
    models: Arc<dyn Models>,
    toolbox: Arc<dyn Toolbox>,
}

impl AgentLoop {
    /// A loop that reaches models and tools through these.
    pub fn new(models: Arc<dyn Models>, toolbox: Arc<dyn Toolbox>) -> Self {
        Self { models, toolbox }
    }
}

impl Function for AgentLoop {
    fn run(&self, ctx: Context, input: Payload) -> BoxFuture<'static, Result<Payload, Failure>> {
        let (models, toolbox) = (Arc::clone(&self.models), Arc::clone(&self.toolbox));
        Box::pin(async move {
            let pinned = ctx
                .definition()
                .ok_or_else(|| Failure::is_final("the task is pinned to no agent"))?;
            let pinned: Pinned = pinned.read().map_err(|error| {
                let message = format!(
                    "this relight cannot read the agent that the task is pinned to: {error}"
                );
                Failure::new(FailureKind::Mismatch, message)
            })?;
            let began_at_ms = ctx.created_at_ms();
            let share = pinned.share;
            let prices = pinned.prices.clone();
            let purse = Arc::new(Purse::new(&pinned.agent, share.as_ref(), prices, began_at_ms));
            let end = go(ctx, pinned, Arc::clone(&purse), models, toolbox, &input).await;
            match share {
                None => end,
                Some(_) => report(end, purse.spent()),
            }
        })
    }
}

async fn go(
    ctx: Context,
    pinned: Pinned,
    purse: Arc<Purse>,
    models: Arc<dyn Models>,
    toolbox: Arc<dyn Toolbox>,
    input: &Payload,
) -> Result<Payload, Failure> {
    let agent = Arc::new(pinned.agent.clone());
    let root = pinned.share.map_or_else(|| ctx.task_id(), |share| share.root);
    let names = pinned.models.clone();
    let callees = Callees::new(Arc::new(pinned), Arc::clone(&purse), root);
    let bench = Bench::set_up(&ctx, toolbox, Arc::clone(&agent), callees).await?;
    let run = Run::new(ctx, agent, names, purse, root, models, &bench);
    run.to_the_end(&bench, input).await
}

/// Tells the agent that called this one what was spent, whatever the end.
fn report(end: Result<Payload, Failure>, spent: Spent) -> Result<Payload, Failure> {
    match end {
        Ok(answer) => Ok(Payload::of(&Answered { answer, spent })?),
        Err(failure) => Err(Failure { details: Payload::of(&spent).ok(), ..failure }),
    }
}

struct Run {
    ctx: Context,
    agent: Arc<Definition>,
    models: Arc<dyn Models>,
    names: Vec<String>,
    purse: Arc<Purse>,
    /// The task at the top, for which all of this is done.
    root: TaskId,
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
        purse: Arc<Purse>,
        root: TaskId,
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
        purse.expect_more((common.len() / 4) as u64);
        Self {
            ctx,
            models,
            names,
            purse,
            root,
            system,
            tools,
            base: Hash::of(&common),
            output: schema.and_then(|schema| Schema::new(&schema).ok()),
            agent,
        }
    }

    async fn to_the_end(&self, bench: &Bench, input: &Payload) -> Result<Payload, Failure> {
        let mut talk = Conversation::new(&self.system, self.agent.first_message(input));
        let mut empty_replies = 0;
        let mut n = 0;
        loop {
            n += 1;
            let turn = self.ctx.scope(format!("turn-{n}"));
            self.within_limits(&turn, n, &talk).await?;
            let reply = self.ask(&turn, n, &talk).await?;
            if !reply.calls.is_empty() {
                let names: Vec<_> = reply.calls.iter().map(|call| call.name.as_str()).collect();
                self.ctx.report(format!("turn {n}: {}; {}", names.join(", "), self.spent()));
                let results = bench.run(&turn, &reply.calls).await?;
                talk.calls(reply, results);
                continue;
            }
            match self.answer(&reply) {
                Ok(answer) => {
                    self.ctx.report(format!("answered in {n} turns; {}", self.spent()));
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
    }

    /// What is used up so far, in a few words.
    fn spent(&self) -> String {
        self.purse.spent().words()
    }

    /// Returns when turn `n` may begin.
    async fn within_limits(
        &self,
        turn: &Context,
        n: u32,
        talk: &Conversation,
    ) -> Result<(), Failure> {
        loop {
            let over = match self.purse.check_turn(n) {
                Ok(()) if self.purse.is_timed() => {
                    self.purse.check_time(self.ctx.now_ms().await?).err()
                }
                checked => checked.err(),
            };
            let Some(over) = over else { return Ok(()) };
            self.at_limit(turn, &over, talk).await?;
        }
    }

    /// Has the limit raised by a person, or ends the run, as the agent's file says.
    async fn at_limit(
        &self,
        turn: &Context,
        over: &Over,
        talk: &Conversation,
    ) -> Result<(), Failure> {
        let end = || over.failure(talk.last_words());
        if self.agent.budget().at_limit == AtLimit::End {
            return Err(end());
        }
        self.ctx.report(format!("{}; asking for more", over.words()));
        let answer = turn.ask(over.step(), &over.question(self.agent.name())?).await?;
        let Answer::Accept { content } = answer else { return Err(end()) };
        let by = over.amount(&content).ok_or_else(end)?;
        // Time that the question took is no time of the agent's.
        let now_ms = if over.limit == Limit::Time { self.ctx.now_ms().await? } else { 0 };
        self.purse.raise(over.limit, by, now_ms);
        Ok(())
    }

    /// Waits until a call of this model may begin.
    async fn place(&self, name: &str) -> Box<dyn Send> {
        let Some(pace) = self.models.pace(name) else { return Box::new(()) };
        if let Some(place) = pace.try_enter() {
            return Box::new(place);
        }
        let waiting = format!("waiting for a place at {name}; {}", self.spent());
        self.ctx.report_now(waiting).await;
        let place = pace.enter(self.root).await;
        self.ctx.report(format!("asking {name}; {}", self.spent()));
        Box::new(place)
    }

    /// Asks the models in their order until one replies.
    async fn ask(&self, turn: &Context, n: u32, talk: &Conversation) -> Result<Reply, Failure> {
        if self.names.is_empty() {
            return Err(Failure::is_final(
                "no model is configured: set `model` in the agent's file, --model, RELIGHT_MODEL, or `model` in relight.yaml",
            ));
        }
        let mut failures = Vec::new();
        for (i, name) in self.names.iter().enumerate() {
            self.ctx.report(format!("turn {n}: asking {name}; {}", self.spent()));
            let step = if i == 0 { "model".to_owned() } else { format!("model-{}", i + 1) };
            // A budget that is used up is so for every model of the list.
            let settings = self.reserve(turn, name, talk).await?;
            match self.ask_one(turn, step, name, settings, talk).await {
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
    async fn reserve(
        &self,
        turn: &Context,
        name: &str,
        talk: &Conversation,
    ) -> Result<Settings, Failure> {
        let mut settings = self.agent.settings().clone();
        let (reads, wanted) = (talk.estimated_tokens(), settings.max_output_tokens);
        loop {
            match self.purse.reserve(name, reads, wanted) {
                Ok(most) => {
                    settings.max_output_tokens = most;
                    return Ok(settings);
                }
                Err(Unaffordable::Over(over)) => self.at_limit(turn, &over, talk).await?,
                Err(Unaffordable::Unpriced(failure)) => return Err(failure),
            }
        }
    }

    async fn ask_one(
        &self,
        turn: &Context,
        step: String,
        name: &str,
        settings: Settings,
        talk: &Conversation,
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
            .admit(|| self.place(name).boxed())
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
        self.purse.commit(name, talk.estimated_tokens(), &reply);
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
