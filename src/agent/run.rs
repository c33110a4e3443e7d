//! The agent loop: ask the model, run the tools it wants, until it answers.
//!
//! It is one durable function. Every model call and every tool call is a step, so a crash anywhere
//! costs at most the step that was under way.

mod room;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::background::{self, Awaited};
use super::budget::Purse;
use super::compaction::{self, Plan, Window};
use super::conversation::Conversation;
use super::limit;
use super::model::{Finish, Message, Models, Outcome, Reply, Request, ToolSpec};
use super::share::Spent;
use super::tools::{self, Bench, Callees, Web};
use super::{Definition, Pinned, Schema, Settings, Sizes, Toolbox, usage};
use crate::durable::{Context, Function, Left, Past};
use crate::journal::{Failure, FailureKind, Hash, History, Payload, StepKind, TaskId};
use crate::limits;

/// The name under which the agent loop is registered with a [`Runtime`](crate::durable::Runtime).
pub const AGENT_FUNCTION: &str = "agent";

/// What a run without a model fails with, and what to do about it.
pub const NO_MODEL: &str = "no model is configured: set `model` in the agent's file, --model, \
                            RELIGHT_MODEL, or `model` in relight.yaml";

/// What an agent hands to the one that called it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answered {
    /// Its answer.
    pub answer: Payload,
    /// What it used up, its own callees' use included.
    pub spent: Spent,
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
            let pinned: Pinned = pinned.read().map_err(|error| {
                let message = format!(
                    "this relight cannot read the agent that the task is pinned to: {error}"
                );
                Failure::new(FailureKind::Mismatch, message)
            })?;
            let (share, prices) = (pinned.share, pinned.prices.clone());
            let began_at_ms = ctx.created_at_ms();
            let purse = Arc::new(Purse::new(&pinned.agent, share.as_ref(), prices, began_at_ms));
            let end = go(ctx, pinned, Arc::clone(&purse), models, toolbox, web, &input).await;
            match share {
                None => end,
                Some(_) => report(end, purse.spent()),
            }
        })
    }

    fn cancelled(&self, past: &Past) -> Option<Left> {
        let calls = tools::left(&self.toolbox, past);
        Left::both(calls, background::left(&self.models, past))
    }

    fn account(&self, history: &History, below: &HashMap<String, Payload>) -> Option<Payload> {
        usage::of(history, below).and_then(|spent| Payload::of(&spent).ok())
    }

    fn settled(&self, history: &History) -> HashMap<String, bool> {
        tools::settled(history)
    }
}

async fn go(
    ctx: Context,
    pinned: Pinned,
    purse: Arc<Purse>,
    models: Arc<dyn Models>,
    toolbox: Arc<dyn Toolbox>,
    web: Arc<Web>,
    input: &Payload,
) -> Result<Payload, Failure> {
    let agent = Arc::new(pinned.agent.clone());
    let root = pinned.share.map_or_else(|| ctx.task_id(), |share| share.root);
    let (names, sizes) = (pinned.models.clone(), pinned.sizes);
    let callees = Callees::new(Arc::new(pinned), Arc::clone(&purse), root);
    let bench = Bench::set_up(&ctx, toolbox, web, Arc::clone(&agent), callees).await?;
    let run = Run::new(ctx, agent, names, purse, root, models, &bench);
    run.to_the_end(&bench, sizes, input).await
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
    /// The tools, and last the one to read on with, which is offered only once a text was cut.
    tools: Vec<ToolSpec>,
    /// The hash of what every request of this run has in common: without that last tool, and with it.
    base: [Hash; 2],
    /// About how many tokens a model reads in the tools, likewise.
    tools_tokens: [u64; 2],
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
        let json = |tools| serde_json::to_vec::<[ToolSpec]>(tools).unwrap_or_default();
        let tools_json = [json(&tools[..tools.len().saturating_sub(1)]), json(&tools)];
        let base = tools_json.each_ref().map(|json| Hash::of(json));
        Self {
            ctx,
            models,
            names,
            purse,
            root,
            system,
            tools,
            base,
            tools_tokens: tools_json.map(|json| json.len() as u64 / limits::TOKEN_BYTES),
            output: schema.and_then(|schema| Schema::new(&schema).ok()),
            agent,
        }
    }

    async fn to_the_end(
        &self,
        bench: &Bench,
        sizes: Sizes,
        input: &Payload,
    ) -> Result<Payload, Failure> {
        let mut talk = Conversation::new(&self.system, self.agent.first_message(input));
        let mut window = Window::new(self.agent.context_tokens(), sizes);
        let mut empty_replies = 0;
        let mut n = 0;
        loop {
            n += 1;
            let turn = self.ctx.scope(format!("turn-{n}"));
            self.within_limits(&turn, n, &talk).await?;
            let reply = self.next_reply(&turn, n, bench, &mut talk, &mut window).await?;
            if !reply.calls.is_empty() {
                let names: Vec<_> = reply.calls.iter().map(|call| call.name.as_str()).collect();
                self.ctx.report(format!("turn {n}: {}; {}", names.join(", "), self.spent()));
                let results = bench.run(&turn, &reply.calls).await?;
                talk.calls(reply, results);
                continue;
            }
            match self.answer(&reply) {
                Ok(answer) => {
                    self.ctx.report(format!("answered in {}; {}", limit::turns(n), self.spent()));
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

    /// The reply to the conversation. It is shortened before it reaches what a model can read, and
    /// once more where a model says that it is too long.
    async fn next_reply(
        &self,
        turn: &Context,
        n: u32,
        bench: &Bench,
        talk: &mut Conversation,
        window: &mut Window,
    ) -> Result<Reply, Failure> {
        if let Some(plan) = window.plan(talk) {
            self.shorten(turn, n, talk, plan).await?;
        }
        let may_shorten = talk.cut(0).is_some();
        match self.ask(turn, n, &self.prompt(bench, talk), may_shorten).await? {
            Asked::Replied(reply) => return Ok(reply),
            Asked::TooLong(_) => window.shrink_below(talk),
        }
        if let Some(plan) = window.plan_any(talk) {
            self.shorten(turn, n, talk, plan).await?;
        }
        match self.ask(turn, n, &self.prompt(bench, talk), false).await? {
            Asked::Replied(reply) => Ok(reply),
            Asked::TooLong(why) => Err(Failure::is_final(why)),
        }
    }

    /// Puts a summary in the place of what the plan leaves out, or a note where there is none. Costs
    /// no turn.
    async fn shorten(
        &self,
        turn: &Context,
        n: u32,
        talk: &mut Conversation,
        plan: Plan,
    ) -> Result<(), Failure> {
        let prompt = Prompt {
            step: "compact",
            system: compaction::SYSTEM_PROMPT,
            messages: &plan.request,
            tools: &[],
            output_schema: None,
            max_output_tokens: Some(plan.summary_tokens),
            hash: plan.hash,
            tokens: plan.tokens,
        };
        let text = match self.ask(turn, n, &prompt, false).await {
            Ok(Asked::Replied(Reply { text: Some(text), .. })) if !text.trim().is_empty() => {
                compaction::summed_up(&text)
            }
            Ok(_) => compaction::left_out(&Failure::is_final("the summary was empty")),
            Err(failure) if failure.kind == FailureKind::Mismatch => return Err(failure),
            Err(failure) => compaction::left_out(&failure),
        };
        talk.sum_up(plan.cut, text);
        Ok(())
    }

    /// Asks the models in their order until one replies. That a conversation is too long is the end
    /// of it where it may be shortened, and otherwise what this one model has failed with.
    async fn ask(
        &self,
        turn: &Context,
        n: u32,
        prompt: &Prompt<'_>,
        may_shorten: bool,
    ) -> Result<Asked, Failure> {
        if self.names.is_empty() {
            return Err(Failure::is_final(NO_MODEL));
        }
        let mut failures = Vec::new();
        for (i, name) in self.names.iter().enumerate() {
            self.ctx.report(format!("turn {n}: asking {name}; {}", self.spent()));
            let step = prompt.step;
            let step = if i == 0 { step.to_owned() } else { format!("{step}-{}", i + 1) };
            // A budget that is used up is so for every model of the list.
            match self.ask_one(turn, &step, name, prompt).await? {
                Ok(Asked::Replied(Reply { finish: Finish::Filtered, .. })) => {
                    failures.push(format!("{name}: the provider withheld the reply"))
                }
                Ok(Asked::TooLong(why)) if !may_shorten => failures.push(format!("{name}: {why}")),
                Ok(asked) => return Ok(asked),
                Err(failure) => failures.push(format!("{name}: {failure}")),
            }
        }
        Err(Failure::is_final(failures.join("; ")))
    }

    /// Asks one model until it has replied, or failed for good. A call that the server took on and
    /// lost is made again, as often as the agent's retry policy has it, and what the lost one may
    /// have cost is counted first.
    ///
    /// # Errors
    /// At a limit that ends the run. How the model has failed is in the value.
    async fn ask_one(
        &self,
        turn: &Context,
        step: &str,
        name: &str,
        prompt: &Prompt<'_>,
    ) -> Result<Result<Asked, Failure>, Failure> {
        let retry = self.agent.retry();
        let mut times_lost = 0;
        loop {
            let settings = self.reserve(turn, name, prompt).await?;
            let lost = || self.purse.commit_lost(name, prompt.tokens, settings.max_output_tokens);
            let mut outcome = self.call(turn, step, name, &settings, prompt).await;
            if let Ok(Outcome::Pending { pending }) = outcome {
                let call = Awaited { model: name.to_owned(), response: pending };
                outcome = background::end(turn, step, self.models.as_ref(), &call).await;
                if outcome.is_err() {
                    lost();
                }
            }
            match outcome {
                Ok(Outcome::Reply(reply)) => {
                    self.purse.commit(name, prompt.tokens, &reply);
                    return Ok(Ok(Asked::Replied(reply)));
                }
                Ok(Outcome::Lost { lost: why }) => {
                    lost();
                    times_lost += 1;
                    if times_lost >= retry.attempts {
                        return Ok(Err(why));
                    }
                    let wait_ms = retry.backoff_ms(times_lost);
                    turn.sleep(&format!("{step}/again"), Duration::from_millis(wait_ms)).await?;
                }
                Ok(Outcome::TooLong { too_long }) => return Ok(Ok(Asked::TooLong(too_long))),
                Ok(Outcome::Pending { pending }) => {
                    return Ok(Err(Failure::is_final(format!("{name} has not ended {pending}"))));
                }
                Err(failure) => return Ok(Err(failure)),
            }
        }
    }

    /// Makes one call of a model, as a step.
    async fn call(
        &self,
        turn: &Context,
        step: &str,
        name: &str,
        settings: &Settings,
        prompt: &Prompt<'_>,
    ) -> Result<Outcome, Failure> {
        let hash = prompt.hash.then(name.as_bytes()).then(&settings_bytes(settings));
        // What was reserved for it stands there for an account of a run that ends in the middle.
        let (messages, reads) = (prompt.messages.len(), prompt.tokens);
        let mut shown = json!({"model": name, "messages": messages, "reads": reads});
        if let Some(writes) = settings.max_output_tokens {
            shown["writes"] = json!(writes);
        }
        let shown = Payload::of(&shown).ok();
        turn.idempotent(step)
            .kind(StepKind::Model)
            .input_hash(hash, shown)
            .retry(self.agent.retry())
            .admit(|| self.place(name).boxed())
            .run(|attempt| async move {
                let model = self.models.open(name)?;
                let request = Request {
                    model: model.name,
                    system: prompt.system.to_owned(),
                    messages: prompt.messages.to_vec(),
                    tools: prompt.tools.to_vec(),
                    settings: settings.clone(),
                    output_schema: prompt.output_schema.cloned(),
                    idempotency_key: attempt.idempotency_key,
                };
                model.provider.call(&request).await
            })
            .await
    }

    /// What the agent's next turn asks.
    fn prompt<'a>(&'a self, bench: &Bench, talk: &'a Conversation) -> Prompt<'a> {
        let more = usize::from(bench.offers_read_more());
        let tools = &self.tools[..self.tools.len().saturating_sub(1) + more];
        let beside = if talk.is_counted() { 0 } else { self.tools_tokens[more] };
        Prompt {
            step: "model",
            system: &self.system,
            messages: talk.messages(),
            tools,
            output_schema: self.agent.output_schema(),
            max_output_tokens: self.agent.settings().max_output_tokens,
            hash: self.base[more].then(talk.hash().bytes()),
            tokens: talk.estimated_tokens() + beside,
        }
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

/// What came of asking.
enum Asked {
    Replied(Reply),
    /// The conversation is longer than the model can read; by the server's own words.
    TooLong(String),
}

/// What a model is asked, whichever of the list it is.
struct Prompt<'a> {
    /// The name of the step that asks the first model of the list.
    step: &'static str,
    system: &'a str,
    messages: &'a [Message],
    tools: &'a [ToolSpec],
    output_schema: Option<&'a Payload>,
    /// Bound on the tokens of the reply.
    max_output_tokens: Option<u32>,
    /// Of all of the above.
    hash: Hash,
    /// About how many tokens a model reads in it.
    tokens: u64,
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
