//! Values held against a JSON Schema: a call's arguments, an agent's answer, a filled-in form.

use jsonschema::Validator;
use serde_json::Value;

/// Complaints that are told at once. More would only repeat themselves.
const COMPLAINTS: usize = 5;

/// How much of one complaint is told. It repeats the value that it is about, whatever its length.
const COMPLAINT_CHARS: usize = 300;

/// A JSON Schema, compiled once.
#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::validator_for(schema).map(Self).map_err(|error| error.to_string())
    }

    /// Compiles the schema of a form. Its formats (`email`, `date`, ...) are asked for so that
    /// answers keep to them, while those of a tool's arguments are notes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_form(schema: &Value) -> Result<Self, String> {
        let built = jsonschema::options().should_validate_formats(true).build(schema);
        built.map(Self).map_err(|error| error.to_string())
    }

    /// What the schema has against a value, each complaint with the path (a JSON Pointer) to what
    /// it is about; `None` when the value fits.
    pub fn complaints(&self, value: &Value) -> Option<String> {
        let complaints: Vec<_> = self
            .0
            .iter_errors(value)
            .take(COMPLAINTS)
            .map(|error| match error.instance_path().as_str() {
                "" => cut(error.to_string()),
                path => format!("{path}: {}", cut(error.to_string())),
            })
            .collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
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
