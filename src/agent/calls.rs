//! The tools of one run, and what becomes of a model's calls to them.
//!
//! The list of tools is journalled when the task starts, so a server that changes its tools changes
//! new tasks only. Every call is a step, the refused ones too, and every call has a text for the
//! model in the end: what a model gets wrong is told to it, and costs it a turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::definition::InDoubt;
use super::model::{ToolCall, ToolSpec};
use super::{Definition, Invocation, Tool, ToolOutput, Toolbox};
use crate::durable::{Context, Doubt, RetryPolicy};
use crate::journal::{Effect, Failure, FailureKind, Payload, StepKind};
use crate::limits;

/// The step that lists the tools of the agent's servers.
pub const LISTING_STEP: &str = "tools";

/// The tools that one run has.
pub(super) struct Bench {
    toolbox: Arc<dyn Toolbox>,
    agent: Arc<Definition>,
    /// By the name that the model is told.
    tools: BTreeMap<String, Offered>,
}

struct Offered {
    tool: Tool,
    /// The schema, ready to check arguments. `None` for one that is no valid schema: the server
    /// checks for itself then.
    schema: Option<jsonschema::Validator>,
}

impl Bench {
    /// Lists the tools of the agent's servers, once in the life of a task.
    ///
    /// # Errors
    /// When a server cannot be reached, or the agent's file names a tool that no server offers.
    pub(super) async fn set_up(
        ctx: &Context,
        toolbox: Arc<dyn Toolbox>,
        agent: Arc<Definition>,
    ) -> Result<Self, Failure> {
        let servers = agent.servers();
        let listed: Vec<Tool> = if servers.is_empty() {
            Vec::new()
        } else {
            ctx.pure(LISTING_STEP)
                .input(servers)
                .retry(agent.retry())
                .run(|_| toolbox.list(servers))
                .await?
        };
        let missing = agent.missing(&listed);
        if !missing.is_empty() {
            let offered: Vec<_> =
                listed.iter().map(|tool| format!("{}/{}", tool.server, tool.name)).collect();
            return Err(Failure::is_final(format!(
                "the agent's file names tools that no server offers: {}; the servers offer {}",
                missing.join(", "),
                offered.join(", ")
            )));
        }
        let allowed: Vec<Tool> =
            listed.into_iter().filter(|tool| agent.allows(&tool.server, &tool.name)).collect();
        let tools = named(allowed);
        Ok(Self { toolbox, agent, tools })
    }

    /// The tools as the model is told of them.
    pub(super) fn specs(&self) -> Vec<ToolSpec> {
        let spec = |(name, Offered { tool, .. }): (&String, &Offered)| ToolSpec {
            name: name.clone(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
        };
        self.tools.iter().map(spec).collect()
    }

    /// Runs a reply's calls side by side. The results are in the order of the calls.
    ///
    /// # Errors
    /// When the outcome of a call is in doubt and the agent's policy is to fail.
    pub(super) async fn run(
        &self,
        turn: &Context,
        calls: &[ToolCall],
    ) -> Result<Vec<String>, Failure> {
        let steps = calls
            .iter()
            .enumerate()
            .map(|(n, call)| self.call(turn, format!("tool-{}", n + 1), call));
        join_all(steps).await.into_iter().collect()
    }

    async fn call(&self, turn: &Context, step: String, call: &ToolCall) -> Result<String, Failure> {
        let (offered, arguments) = match self.check(call) {
            Ok(checked) => checked,
            Err(complaint) => return refuse(turn, step, call, complaint).await,
        };
        let tool = &offered.tool;
        let doubt = self.agent.in_doubt_of(&tool.server, &tool.name);
        let servers = self.agent.servers();
        let outcome: Result<ToolOutput, Failure> = turn
            .step(step, self.agent.effect_of(tool))
            .kind(StepKind::Tool)
            .input(
                &json!({"tool": format!("{}/{}", tool.server, tool.name), "arguments": arguments}),
            )
            .retry(self.agent.retry())
            .in_doubt(if doubt == InDoubt::Retry { Doubt::Rerun } else { Doubt::Fail })
            .run(|attempt| {
                let arguments = &arguments;
                async move {
                    let (server, tool) = (tool.server.as_str(), tool.name.as_str());
                    let idempotency_key = attempt.idempotency_key.as_str();
                    self.toolbox
                        .call(Invocation { servers, server, tool, arguments, idempotency_key })
                        .await
                }
            })
            .await;
        match outcome {
            Ok(output) if output.is_error => {
                Ok(shown(&format!("The tool reports an error: {}", output.text)))
            }
            Ok(output) => Ok(shown(&output.text)),
            Err(failure) if failure.kind == FailureKind::Mismatch => Err(failure),
            Err(failure) if failure.kind == FailureKind::InDoubt => match doubt {
                InDoubt::Fail => Err(Failure::in_doubt(format!(
                    "the outcome of {}/{} is unknown and the agent's in_doubt policy is to fail: {failure}",
                    tool.server, tool.name
                ))),
                InDoubt::Tell | InDoubt::Retry => Ok(format!(
                    "The outcome of this call is unknown: it was sent and may have taken effect, and its \
                     answer was lost. Do not simply repeat it. Find out first whether it took effect. ({failure})"
                )),
            },
            Err(failure) => Ok(shown(&format!("The call failed: {failure}"))),
        }
    }

    /// Finds the tool and reads the arguments, or says what is wrong with the call.
    fn check(&self, call: &ToolCall) -> Result<(&Offered, Payload), String> {
        let Some(offered) = self.tools.get(&call.name) else {
            let names: Vec<_> = self.tools.keys().map(String::as_str).collect();
            return Err(format!(
                "There is no tool {:?}. The tools are: {}.",
                call.name,
                names.join(", ")
            ));
        };
        let text = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        let arguments: Value = serde_json::from_str(text)
            .map_err(|error| format!("The arguments are not valid JSON ({error}). Call the tool again with a JSON object."))?;
        if let Some(schema) = &offered.schema {
            let complaints: Vec<_> = schema
                .iter_errors(&arguments)
                .map(|error| {
                    let path = error.instance_path().to_string();
                    if path.is_empty() { error.to_string() } else { format!("at {path}: {error}") }
                })
                .collect();
            if !complaints.is_empty() {
                return Err(format!(
                    "The arguments do not fit the tool's schema: {}. The tool was not called.",
                    complaints.join("; ")
                ));
            }
        }
        let arguments = Payload::of(&arguments).map_err(|error| error.to_string())?;
        Ok((offered, arguments))
    }
}

/// A refusal is a step too, so that its text stays what it was whatever later versions say.
async fn refuse(
    turn: &Context,
    step: String,
    call: &ToolCall,
    complaint: String,
) -> Result<String, Failure> {
    turn.step(step, Effect::Pure)
        .kind(StepKind::Tool)
        .input(&json!({"tool": call.name, "refused": call.arguments}))
        .retry(RetryPolicy::none())
        .run(|_| std::future::ready(Ok(complaint.clone())))
        .await
}

/// Names the tools for a model: by their own name, or `server_tool` where two servers have it. Model
/// APIs take letters, digits, `_` and `-`, and at most 64 of them.
fn named(tools: Vec<Tool>) -> BTreeMap<String, Offered> {
    const NAME_MAX: usize = 64;
    let plain = |text: &str| -> String {
        let fits =
            |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
        text.chars().map(fits).take(NAME_MAX).collect()
    };
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for tool in &tools {
        *count.entry(plain(&tool.name)).or_default() += 1;
    }
    let mut named = BTreeMap::new();
    for tool in tools {
        let mut name = plain(&tool.name);
        if count.get(&name).is_some_and(|count| *count > 1) {
            name = plain(&format!("{}_{}", tool.server, tool.name));
        }
        let base = name.clone();
        let mut n = 2;
        while named.contains_key(&name) {
            let suffix = format!("_{n}");
            name = base.chars().take(NAME_MAX - suffix.len()).chain(suffix.chars()).collect();
            n += 1;
        }
        let schema = tool
            .input_schema
            .read::<Value>()
            .ok()
            .and_then(|schema| jsonschema::validator_for(&schema).ok());
        named.insert(name, Offered { tool, schema });
    }
    named
}

/// A tool's text as the model sees it: cut where it is very long. The journal keeps all of it.
fn shown(text: &str) -> String {
    let max = limits::TOOL_TEXT_SHOWN_BYTES;
    if text.len() <= max {
        return text.to_owned();
    }
    let cut = text.floor_char_boundary(max);
    format!("{}\n[cut: the first {cut} of {} bytes]", &text[..cut], text.len())
}
