//! What a client sends, checked against its schema: a tool's arguments before a task is made of
//! them, a form before it answers a question.

use jsonschema::Validator;
use rmcp::model::ErrorData;
use serde_json::Value;

/// Complaints that are told at once. More would only repeat themselves.
const COMPLAINTS: usize = 5;

/// How much of one complaint is told. It repeats the value that it is about, whatever its length.
const COMPLAINT_CHARS: usize = 300;

/// A schema, compiled once.
pub(super) struct Arguments(Validator);

impl Arguments {
    /// # Errors
    /// What is wrong with the schema.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema).map(Self).map_err(|error| error.to_string())
    }

    /// # Errors
    /// -32602 with the schema's complaints, each with the path to what it is about.
    pub(super) fn check(&self, tool: &str, arguments: &Value) -> Result<(), ErrorData> {
        let complaints = self.complaints(arguments);
        if complaints.is_empty() {
            return Ok(());
        }
        let message = format!("invalid arguments for tool {tool:?}: {complaints}");
        Err(ErrorData::invalid_params(message, None))
    }

    /// What the schema has against a value; empty when it is right.
    pub(super) fn complaints(&self, value: &Value) -> String {
        let complaints: Vec<_> = self
            .0
            .iter_errors(value)
            .take(COMPLAINTS)
            .map(|error| match error.instance_path().as_str() {
                "" => cut(error.to_string()),
                path => format!("{path}: {}", cut(error.to_string())),
            })
            .collect();
        complaints.join("; ")
    }
}

/// A complaint that is too long without its middle: what is wrong stands at the end.
fn cut(complaint: String) -> String {
    let chars: Vec<char> = complaint.chars().collect();
    if chars.len() <= COMPLAINT_CHARS {
        return complaint;
    }
    let (head, tail) = (&chars[..COMPLAINT_CHARS / 2], &chars[chars.len() - COMPLAINT_CHARS / 2..]);
    head.iter().chain(&['.'; 3]).chain(tail).collect()
}
