//! The tools of one run, and what becomes of a model's calls to them.
//!
//! The list of tools is journalled when the task starts, so a server that changes its tools changes
//! new tasks only. Every call is a step, the refused ones too, and every call has a text for the
//! model in the end: what a model gets wrong is told to it, and costs it a turn.

mod agents;
mod approve;
mod built_in;
mod doubt;
mod downstream;
mod long;
mod naming;
mod server;
mod settled;
mod side_by_side;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::approve::Verdict;
use self::long::LongTexts;
use self::naming::named;
use self::side_by_side::all_or_first_failure;
use super::model::{ToolCall, ToolSpec};
use super::{
    Called, Definition, Invocation, People, Schema, Share, Tool, ToolOutput, ToolPattern, Toolbox,
    Unanswered,
};
use crate::durable::{Answer, Context, Question, RetryPolicy};
use crate::journal::{Effect, Failure, Payload, StepKind};

pub(super) use self::agents::{AGENT, Callees};
pub use self::built_in::BuiltIn;
pub(super) use self::built_in::{BUILT_IN, Web};
pub(super) use self::downstream::left;
pub(crate) use self::long::READ_MORE;
pub(super) use self::settled::settled;

/// The step that lists the tools of the agent's servers, and the built-in ones.
pub const LISTING_STEP: &str = "tools";

/// The tools that one run has.
pub(super) struct Bench {
    toolbox: Arc<dyn Toolbox>,
    web: Arc<Web>,
    agent: Arc<Definition>,
    callees: Callees,
    /// By the name that the model is told.
    tools: BTreeMap<String, Offered>,
    /// Those that may settle a doubt. The model need not have them.
    checks: BTreeMap<ToolPattern, Offered>,
    long: LongTexts,
    /// What reads on in them.
    read_more: (String, Offered),
}

struct Offered {
    tool: Tool,
    by: By,
}

/// Who does what a tool is for.
enum By {
    /// The server that offers it.
    Server,
    /// relight itself.
    BuiltIn(BuiltIn),
    /// An agent, as a child task.
    Agent,
    /// The run's [`LongTexts`].
    LongTexts,
}

impl Offered {
    fn new(tool: Tool) -> Self {
        let by = match BuiltIn::of(&tool) {
            Some(built_in) => By::BuiltIn(built_in),
            None if tool.server == AGENT => By::Agent,
            None => By::Server,
        };
        Self { tool, by }
    }

    /// The tool as a call with these arguments uses it.
    fn of_call(&self, arguments: &Payload) -> Cow<'_, Tool> {
        match self.by {
            By::BuiltIn(built_in) => built_in.of_call(&self.tool, arguments),
            By::Server | By::Agent | By::LongTexts => Cow::Borrowed(&self.tool),
        }
    }

    /// Reads a call's arguments, or says what is wrong with them.
    fn read(&self, text: &str) -> Result<Payload, String> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let arguments: Value = serde_json::from_str(text)
            .map_err(|error| format!("The arguments are not valid JSON ({error})."))?;
        // It is compiled here and not kept: most tools of a run are never called, and ready schemas
        // were most of what a task took in memory. What is no valid schema the server checks itself.
        let schema = self.tool.input_schema.read().ok().and_then(|text| Schema::new(&text).ok());
        match schema.and_then(|schema| schema.complaints(&arguments)) {
            Some(complaints) => {
                Err(format!("The arguments do not fit the tool's schema: {complaints}."))
            }
            None => Payload::of(&arguments).map_err(|error| error.to_string()),
        }
    }
}

/// What each of the calls of one reply may take.
#[derive(Clone, Copy)]
struct Room {
    /// Of what the model can read.
    shown_bytes: usize,
    /// Of the budget, for an agent.
    share: Share,
}

impl Bench {
    /// Lists the agent's tools, once in the life of a task.
    ///
    /// # Errors
    /// When a server cannot be reached, or the agent's file names a tool that no server offers.
    pub(super) async fn set_up(
        ctx: &Context,
        toolbox: Arc<dyn Toolbox>,
        web: Arc<Web>,
        agent: Arc<Definition>,
        callees: Callees,
    ) -> Result<Self, Failure> {
        let (servers, built_ins) = (agent.servers(), agent.built_ins());
        let mut listed: Vec<Tool> = if servers.is_empty() && built_ins.is_empty() {
            Vec::new()
        } else {
            ctx.pure(LISTING_STEP)
                .input(servers)
                .retry(agent.retry())
                .run(|_| async {
                    let mut tools = toolbox.list(servers).await?;
                    tools.extend(built_ins.iter().map(|built_in| built_in.tool()));
                    Ok(tools)
                })
                .await?
        };
        listed.extend(callees.tools());
        let missing = agent.missing(&listed);
        if !missing.is_empty() {
            let offered: Vec<_> = listed.iter().map(|tool| tool.pattern().to_string()).collect();
            return Err(Failure::is_final(format!(
                "the agent's file names tools that no server offers: {}; the servers offer {}",
                missing.join(", "),
                offered.join(", ")
            )));
        }
        let check = |tool: &&Tool| agent.checks().any(|check| *check == tool.pattern());
        let checks = listed.iter().filter(check);
        let checks = checks.map(|tool| (tool.pattern(), Offered::new(tool.clone()))).collect();
        let allowed: Vec<Tool> =
            listed.into_iter().filter(|tool| agent.allows(&tool.server, &tool.name)).collect();
        let tools = named(allowed).into_iter().map(|(name, tool)| (name, Offered::new(tool)));
        let tools: BTreeMap<_, _> = tools.collect();
        let long = LongTexts::new(agent.context_tokens(), callees.sizes(), |name| {
            tools.contains_key(name)
        });
        let tool = long.tool();
        let read_more = (tool.name.clone(), Offered { by: By::LongTexts, ..Offered::new(tool) });
        Ok(Self { toolbox, web, agent, callees, tools, checks, long, read_more })
    }

    /// The tools as the model is told of them, and last the one to read on with.
    pub(super) fn specs(&self) -> Vec<ToolSpec> {
        let (name, read_more) = &self.read_more;
        let spec = |(name, Offered { tool, .. }): (&String, &Offered)| ToolSpec {
            name: name.clone(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
        };
        self.tools.iter().chain([(name, read_more)]).map(spec).collect()
    }

    /// Whether the last of [`Bench::specs`] is to be offered: once a text was shown cut.
    pub(super) fn offers_read_more(&self) -> bool {
        self.long.is_offered()
    }

    /// Calls whoever a tool belongs to, once. A server may ask these people meanwhile.
    ///
    /// # Errors
    /// As [`Toolbox::call`].
    async fn reach(&self, call: Invocation<'_>, people: &dyn People) -> Result<Called, Failure> {
        match self.agent.http() {
            Some(rules) if call.server == BUILT_IN => {
                self.web.call(rules, call).await.map(Called::Output)
            }
            _ => self.toolbox.call_with(call, people).await,
        }
    }

    /// Runs a reply's calls side by side. The results are in the order of the calls.
    ///
    /// # Errors
    /// When a person or the agent's policy ends the task over one of them. The others are dropped as
    /// they are.
    pub(super) async fn run(
        &self,
        turn: &Context,
        calls: &[ToolCall],
    ) -> Result<Vec<String>, Failure> {
        let shown_bytes = self.long.shown_bytes(calls.len());
        let of_agents = calls.iter().filter(|call| self.is_of_agent(call)).count();
        let mut nth = 0;
        let steps = calls.iter().enumerate().map(|(n, call)| {
            let room = Room { shown_bytes, share: self.callees.share(nth, of_agents) };
            nth += usize::from(self.is_of_agent(call));
            self.call(turn, format!("tool-{}", n + 1), call, room)
        });
        let results = all_or_first_failure(steps).await?;
        // Together, and not each when it ends: what the next turn can read on must not depend on
        // which call was faster.
        Ok(self.long.show(results))
    }

    fn is_of_agent(&self, call: &ToolCall) -> bool {
        self.tools.get(&call.name).is_some_and(|offered| matches!(offered.by, By::Agent))
    }

    async fn call(
        &self,
        turn: &Context,
        step: String,
        call: &ToolCall,
        room: Room,
    ) -> Result<String, Failure> {
        let (offered, arguments) = match self.check(call) {
            Ok(found) => found,
            Err(complaint) => return refuse(turn, step, call, complaint).await,
        };
        let agent = self.agent.as_ref();
        let call = Call { agent, turn, step, call, arguments: &arguments };
        if !agent.wants_approval(&offered.of_call(&arguments)) {
            return self.make(call, offered, room).await;
        }
        match Box::pin(approve::ask(&call, offered)).await? {
            Verdict::Approved => self.make(call, offered, room).await,
            Verdict::Changed(arguments) => {
                let call = Call { arguments: &arguments, ..call };
                let text = self.make(call, offered, room).await?;
                let arguments = arguments.json();
                Ok(format!("A person changed the arguments to {arguments}.\n{text}"))
            }
            Verdict::Refused(why) => call.refuse(why).await,
        }
    }

    /// Makes a call that nothing stands against any more. Each kind is boxed by itself: a task that
    /// sleeps is not to hold the room that the largest kind needs.
    async fn make(&self, call: Call<'_>, offered: &Offered, room: Room) -> Result<String, Failure> {
        match offered.by {
            By::Server => Box::pin(server::call(self, call, &offered.tool)).await,
            By::BuiltIn(built_in) => {
                let tool = offered.of_call(call.arguments);
                Box::pin(built_in.call(self, call, &tool)).await
            }
            By::Agent => Box::pin(self.callees.call(call, &offered.tool.name, room.share)).await,
            By::LongTexts => Box::pin(self.long.read_on(call, room.shown_bytes)).await,
        }
    }

    /// Finds the tool and reads the arguments, or says what is wrong with the call.
    fn check(&self, call: &ToolCall) -> Result<(&Offered, Payload), String> {
        let (name, read_more) = &self.read_more;
        let read_more = (call.name == *name && self.long.is_offered()).then_some(read_more);
        let Some(offered) = self.tools.get(&call.name).or(read_more) else {
            let names: Vec<_> = self.tools.keys().map(String::as_str).collect();
            let known = match names.is_empty() {
                true => "There are none.".to_owned(),
                false => format!("The tools are: {}.", names.join(", ")),
            };
            return Err(format!("There is no tool {:?}. {known}", call.name));
        };
        match offered.read(&call.arguments) {
            Ok(arguments) => Ok((offered, arguments)),
            Err(complaint) => Err(format!("{complaint} The tool was not called.")),
        }
    }
}

/// A model's call of a tool that is there, with arguments that fit.
struct Call<'a> {
    agent: &'a Definition,
    turn: &'a Context,
    /// The name of its step; what it needs beside that one is in [`Call::scope`].
    step: String,
    call: &'a ToolCall,
    /// An object.
    arguments: &'a Payload,
}

impl Call<'_> {
    /// Where the further steps of this call are.
    fn scope(&self) -> Context {
        self.turn.scope(&self.step)
    }

    /// Asks a person, for as long as the agent's file says.
    ///
    /// # Errors
    /// When nobody answered in time and the file says that the task fails then.
    async fn ask(
        &self,
        ctx: &Context,
        name: &str,
        message: String,
        form: &Value,
    ) -> Result<Answer, Failure> {
        let asking = self.agent.questions();
        let schema = Payload::of(form)?;
        let question = Question { message, schema, expire_ms: asking.expire_ms };
        let answer = ctx.ask(name, &question).await?;
        in_time(self.agent, &question, answer)
    }

    /// Does nothing but tell the model what is wrong.
    async fn refuse(self, complaint: String) -> Result<String, Failure> {
        refuse(self.turn, self.step, self.call, complaint).await
    }
}

/// The answer to a question, unless nobody gave one in time and the agent's file says that the task
/// fails then.
fn in_time(agent: &Definition, question: &Question, answer: Answer) -> Result<Answer, Failure> {
    if answer == Answer::Expired && agent.questions().then == Unanswered::Fail {
        let message = format!("nobody answered in time: {}", question.message);
        return Err(Failure::is_final(message));
    }
    Ok(answer)
}

/// A refusal is a step too, so that its text stays what it was whatever later versions say.
async fn refuse(
    turn: &Context,
    step: String,
    call: &ToolCall,
    complaint: String,
) -> Result<String, Failure> {
    let refused = turn
        .step(step, Effect::Pure)
        .kind(StepKind::Tool)
        .input(&json!({"tool": call.name, "refused": call.arguments}))
        .retry(RetryPolicy::none())
        .run(|_| std::future::ready(Ok(Refused::Now(complaint.clone()))))
        .await?;
    Ok(match refused {
        Refused::Now(complaint) => complaint,
        Refused::Made(output) => output.text,
    })
}

/// What is recorded of a call that is refused now.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Refused {
    /// What was wrong with it.
    Now(String),
    /// Its answer: it was made by the task that this one is a fork of, whose agent had the tool.
    Made(ToolOutput),
}
