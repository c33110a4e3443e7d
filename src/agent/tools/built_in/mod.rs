//! Tools that relight brings itself. To a model they look like any other.
//!
//! Each is made of steps: what it does survives a crash as a server's tool does, and what a model
//! gets wrong is told to it.

mod ask_user;
mod http_request;
mod time;

use std::borrow::Cow;

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;

pub(in crate::agent) use self::http_request::Web;
use super::{Bench, Call, server};
use crate::agent::Tool;
use crate::journal::{Effect, Failure, Payload};

/// What stands in the place of the server before a built-in tool: `relight/sleep` is `sleep`. No
/// server can have this name.
pub(crate) const BUILT_IN: &str = "relight";

/// A tool that relight brings itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// Waits for a time, for weeks if need be.
    Sleep,
    /// Waits until a time.
    WaitUntil,
    /// Asks a person.
    AskUser,
    /// Makes an HTTP request.
    HttpRequest,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sleep, Self::WaitUntil, Self::AskUser, Self::HttpRequest];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::WaitUntil => "wait_until",
            Self::AskUser => "ask_user",
            Self::HttpRequest => "http_request",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|built_in| built_in.name() == name)
    }

    /// The one that this tool is.
    pub(super) fn of(tool: &Tool) -> Option<Self> {
        if tool.server == BUILT_IN { Self::named(&tool.name) } else { None }
    }

    /// The tool as it is offered.
    pub(super) fn tool(self) -> Tool {
        match self {
            Self::Sleep => time::sleep_tool(),
            Self::WaitUntil => time::wait_until_tool(),
            Self::AskUser => ask_user::tool(),
            Self::HttpRequest => http_request::tool(),
        }
    }

    /// The tool with the schema of its arguments.
    fn described<T: JsonSchema>(self, description: &str) -> Tool {
        described::<T>(self.name(), description)
    }

    /// The tool as a call with these arguments uses it: what a request changes depends on its method.
    pub(super) fn of_call<'t>(self, tool: &'t Tool, arguments: &Payload) -> Cow<'t, Tool> {
        match self {
            Self::HttpRequest => Cow::Owned(http_request::of_call(tool, arguments)),
            Self::Sleep | Self::WaitUntil | Self::AskUser => Cow::Borrowed(tool),
        }
    }

    /// Does what the call asks for. The text is for the model.
    ///
    /// # Errors
    /// What the model has no say in: the task ends with it.
    pub(super) async fn call(
        self,
        bench: &Bench,
        call: Call<'_>,
        tool: &Tool,
    ) -> Result<String, Failure> {
        match self {
            Self::Sleep => time::sleep(call).await,
            Self::WaitUntil => time::wait_until(call).await,
            Self::AskUser => ask_user::ask(call).await,
            Self::HttpRequest => Box::pin(server::call(bench, call, tool)).await,
        }
    }
}

/// A tool of relight's own with the schema of its arguments.
pub(super) fn described<T: JsonSchema>(name: &str, description: &str) -> Tool {
    let mut schema = schema_for!(T);
    schema.remove("$schema");
    schema.remove("title");
    Tool {
        server: BUILT_IN.to_owned(),
        name: name.to_owned(),
        description: Some(description.to_owned()),
        // A schema is JSON already.
        input_schema: Payload::of(&schema).unwrap_or_else(|_| Payload::null()),
        effect: Effect::Pure,
        destructive_hint: None,
        as_task: false,
    }
}

/// The arguments, which have passed the tool's schema.
pub(super) fn read<T: DeserializeOwned>(arguments: &Payload) -> Result<T, Failure> {
    arguments.read().map_err(|error| {
        Failure::is_final(format!("arguments that fit their schema cannot be read: {error}"))
    })
}
