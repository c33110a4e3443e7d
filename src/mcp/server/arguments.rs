//! The arguments of a tool call, checked against the tool's schema before a task is made of them.

use rmcp::model::ErrorData;
use serde_json::Value;

use crate::agent::Schema;

/// What a tool takes.
pub(super) struct Arguments(Schema);

impl Arguments {
    /// # Errors
    /// What is wrong with the schema.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        Schema::new(schema).map(Self)
    }

    /// # Errors
    /// -32602 with the schema's complaints, each with the path to what it is about.
    pub(super) fn check(&self, tool: &str, arguments: &Value) -> Result<(), ErrorData> {
        match self.0.complaints(arguments) {
            None => Ok(()),
            Some(complaints) => {
                let message = format!("invalid arguments for tool {tool:?}: {complaints}");
                Err(ErrorData::invalid_params(message, None))
            }
        }
    }
}
