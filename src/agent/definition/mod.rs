//! What an agent is: one Markdown file, YAML front matter and then the system prompt.
//!
//! Parsing is a pure function of the text; files are read above this room. A
//! definition is complete in itself: it is journalled with every task it starts, so that a task
//! goes on as it began, whatever the files say by then. Nothing in it is secret: `${VAR}` stays as
//! it is written.

mod asking;
mod callees;
mod context;
pub(crate) mod document;
mod front_matter;
mod http;
mod parse;
mod pattern;
mod policy;
mod rules;
mod schema;
pub(crate) mod servers;
mod timeouts;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use document::{Error, Problem};
pub use http::{HttpMethod, HttpRules};
pub use pattern::{NoPattern, ToolPattern};
pub use policy::{Asking, AtLimit, Budget, InDoubt, Unanswered};

use self::context::ContextTokens;
use self::pattern::{PerTool, of_tool};
use self::policy::{Approve, DoubtRule};
use self::timeouts::Timeouts;
use super::tools::{AGENT, BUILT_IN};
use super::{BuiltIn, ContextSizes, Servers, Settings, Tool};
use crate::durable::RetryPolicy;
use crate::journal::{Effect, Payload};

/// An agent as its file describes it, with nothing left to look up elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    name: String,
    description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    models: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<ToolPattern>>,
    #[serde(default, skip_serializing_if = "Servers::is_empty")]
    servers: Servers,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    agents: Vec<String>,
    max_turns: u32,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    context_tokens: ContextTokens,
    #[serde(default)]
    budget: Budget,
    #[serde(default)]
    in_doubt: DoubtRule,
    #[serde(default, skip_serializing_if = "PerTool::is_empty")]
    in_doubt_of: PerTool<DoubtRule>,
    #[serde(default, skip_serializing_if = "Approve::is_nothing")]
    approve: Approve,
    #[serde(default)]
    questions: Asking,
    #[serde(default, skip_serializing_if = "PerTool::is_empty")]
    effects: PerTool<Effect>,
    #[serde(default)]
    retry: RetryPolicy,
    #[serde(default, skip_serializing_if = "Timeouts::is_nothing")]
    timeouts: Timeouts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<HttpRules>,
    input_schema: Payload,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_schema: Option<Payload>,
    system_prompt: String,
}

impl Definition {
    /// Reads an agent file that describes all of its servers itself. `path` is what messages call
    /// the file.
    ///
    /// # Errors
    /// Everything that is wrong with the file, with lines and what to write instead.
    pub fn parse(path: &str, text: &str) -> Result<Self, Error> {
        Self::parse_in_project(path, text, &Servers::new())
    }

    /// Reads an agent file of a project that has these servers in its `mcp.json`. Those that the
    /// agent uses become part of the definition.
    ///
    /// # Errors
    /// Everything that is wrong with the file, with lines and what to write instead.
    pub fn parse_in_project(path: &str, text: &str, project: &Servers) -> Result<Self, Error> {
        parse::parse(path, text, project)
    }

    /// The agent with these models where its file names none.
    #[must_use]
    pub fn or_models(mut self, models: &[String]) -> Self {
        if self.models.is_empty() {
            self.models = models.to_vec();
        }
        self
    }

    /// The agent with as large a context as its models have, where its file does not say how large.
    #[must_use]
    pub fn or_context_of(mut self, sizes: &ContextSizes) -> Self {
        self.context_tokens = self.context_tokens.or(sizes.of_all(&self.models));
        self
    }

    /// The agent's name, and the name of the tool that it is served as: `[A-Za-z0-9_-]{1,64}`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does, for whoever chooses a tool.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The models to try, in this order, as the file writes them (`openai:NAME`, `script:PATH`).
    /// Empty where neither the file nor the configuration names one.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// The servers that its tools come from.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The names of the agents that it may call. Each is a tool of its model.
    pub fn agents(&self) -> &[String] {
        &self.agents
    }

    /// How many turns a task's own conversation may have; at least 1. What it and its callees may
    /// have together is [`Budget::turns`].
    pub fn max_turns(&self) -> u32 {
        self.max_turns
    }

    /// Sampling.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many tokens its models can read. Near it the conversation is shortened.
    pub fn context_tokens(&self) -> u64 {
        self.context_tokens.get()
    }

    /// What a task may use up.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// How often a failed call is tried again.
    pub fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// JSON Schema of the arguments it is called with; always of type `object`.
    pub fn input_schema(&self) -> &Payload {
        &self.input_schema
    }

    /// JSON Schema of its answer, where the file has one.
    pub fn output_schema(&self) -> Option<&Payload> {
        self.output_schema.as_ref()
    }

    /// The system prompt.
    pub fn system_prompt(&self) -> &str {
        &self.system_prompt
    }

    /// Whether the agent may use this tool.
    pub fn allows(&self, server: &str, tool: &str) -> bool {
        if server == AGENT {
            return self.agents.iter().any(|name| name == tool);
        }
        self.tools
            .as_ref()
            .is_none_or(|tools| tools.iter().any(|pattern| pattern.matches(server, tool)))
    }

    /// Where it may go over HTTP; `None` where it has no `http_request`.
    pub fn http(&self) -> Option<&HttpRules> {
        self.http.as_ref()
    }

    /// The built-in tools that it has: those that `tools` names, or all. `http_request` is there only
    /// where the file says what it may do.
    pub fn built_ins(&self) -> Vec<BuiltIn> {
        let has = |built_in: &BuiltIn| {
            self.allows(BUILT_IN, built_in.name())
                && (*built_in != BuiltIn::HttpRequest || self.http.is_some())
        };
        BuiltIn::ALL.into_iter().filter(has).collect()
    }

    /// What the file names in `tools` or as a check and what is none of these tools.
    pub fn missing(&self, offered: &[Tool]) -> Vec<String> {
        let unmatched = |pattern: &&ToolPattern| {
            !offered.iter().any(|tool| pattern.matches(&tool.server, &tool.name))
        };
        let named = self.tools.iter().flatten().chain(self.checks());
        named.filter(unmatched).map(ToString::to_string).collect()
    }

    /// What calling this tool twice would do: by the agent's file, or else by the tool's own
    /// annotations.
    pub fn effect_of(&self, tool: &Tool) -> Effect {
        of_tool(&self.effects, &tool.server, &tool.name).copied().unwrap_or(tool.effect)
    }

    /// How long one attempt at a call of this tool may take; `None` where the file does not say.
    pub fn timeout_of(&self, tool: &Tool) -> Option<Duration> {
        self.timeouts.of(&tool.server, &tool.name)
    }

    /// What becomes of a call of this tool whose outcome is unknown, and which no check settles.
    pub fn in_doubt_of(&self, server: &str, tool: &str) -> InDoubt {
        self.doubt_rule(server, tool).policy
    }

    /// The tool that is asked first what became of such a call.
    pub fn check_of(&self, server: &str, tool: &str) -> Option<&ToolPattern> {
        self.doubt_rule(server, tool).check.as_ref()
    }

    /// All tools that some doubt may be settled by.
    pub fn checks(&self) -> impl Iterator<Item = &ToolPattern> {
        let rules = std::iter::once(&self.in_doubt).chain(self.in_doubt_of.values());
        rules.filter_map(|rule| rule.check.as_ref())
    }

    fn doubt_rule(&self, server: &str, tool: &str) -> &DoubtRule {
        of_tool(&self.in_doubt_of, server, tool).unwrap_or(&self.in_doubt)
    }

    /// Whether a call of this tool waits for a person's yes. A tool that only reads destroys
    /// nothing; of any other the protocol assumes the worst unless its annotations say better.
    pub fn wants_approval(&self, tool: &Tool) -> bool {
        let Approve { tools, destructive } = &self.approve;
        let destroys = self.effect_of(tool) != Effect::Pure && tool.destructive_hint != Some(false);
        (*destructive && destroys)
            || tools.iter().any(|pattern| pattern.matches(&tool.server, &tool.name))
    }

    /// How long its questions wait for people.
    pub fn questions(&self) -> Asking {
        self.questions
    }

    /// The conversation's first message: the text itself where `task` is the only argument, else
    /// all arguments as indented JSON.
    pub fn first_message(&self, arguments: &Payload) -> String {
        let Ok(value) = arguments.read::<serde_json::Value>() else {
            return arguments.json().to_owned();
        };
        if let Some(object) = value.as_object()
            && object.len() == 1
            && let Some(task) = object.get("task").and_then(|task| task.as_str())
        {
            return task.to_owned();
        }
        format!("{value:#}")
    }
}
