//! Tools that relight brings itself. To a model they look like any other.
//!
//! Each is made of steps: what it does survives a crash as a server's tool does, and what a model
//! gets wrong is told to it.

mod ask_user;
mod time;

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;

use super::Call;
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
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sleep, Self::WaitUntil, Self::AskUser];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::WaitUntil => "wait_until",
            Self::AskUser => "ask_user",
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
        }
    }

    /// The tool with the schema of its arguments.
    fn described<T: JsonSchema>(self, description: &str) -> Tool {
        described::<T>(self.name(), description)
    }

    /// Does what the call asks for. The text is for the model.
    ///
    /// # Errors
    /// What the model has no say in: the task ends with it.
    pub(super) async fn call(self, call: Call<'_>) -> Result<String, Failure> {
        match self {
            Self::Sleep => time::sleep(call).await,
            Self::WaitUntil => time::wait_until(call).await,
            Self::AskUser => ask_user::ask(call).await,
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
