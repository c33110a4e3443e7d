//! The keys that hold a JSON Schema: `input` and `output`.

use serde_json::json;

use super::document::{Fields, Node, Problems, Value};
use crate::journal::Payload;

/// Reads `input`. Where it is absent, an agent takes one text, `task`.
pub(super) fn input(fields: &Fields<'_>, problems: &mut Problems) -> Option<Payload> {
    let Some(node) = fields.get("input") else { return Payload::of(&task_only()).ok() };
    let schema = checked("input", node, problems)?;
    if schema.get("type").and_then(|kind| kind.as_str()) != Some("object") {
        problems.at(
            node.line,
            "\"input\" must say \"type: object\": a tool is called with named arguments",
        );
        return None;
    }
    Payload::of(&schema).ok()
}

/// Reads `output`, which may describe any value.
pub(super) fn output(fields: &Fields<'_>, problems: &mut Problems) -> Option<Payload> {
    let schema = checked("output", fields.get("output")?, problems)?;
    Payload::of(&schema).ok()
}

fn task_only() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "task": { "type": "string", "description": "What to do, in plain words" }
        },
        "required": ["task"],
        "additionalProperties": false
    })
}

/// The schema as JSON, where it is a schema.
fn checked(key: &str, node: &Node, problems: &mut Problems) -> Option<serde_json::Value> {
    if !matches!(node.value, Value::Map(_)) {
        problems.wrong(key, "a JSON Schema", node);
        return None;
    }
    let schema = node.json();
    match jsonschema::validator_for(&schema) {
        Ok(_) => Some(schema),
        Err(error) => {
            let pointer = error.instance_path().as_str();
            let at = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
            problems.at(
                node.line_at(pointer),
                format!("\"{key}\" is not a valid JSON Schema{at}: {error}"),
            );
            None
        }
    }
}
