//! The schema of an answer as OpenAI's APIs want to be told of it.
//!
//! With `strict` a server holds the model to the schema to the letter, but takes only schemas of a
//! certain kind and refuses the others. Without it the schema is a wish. So `strict` is asked for
//! where the schema is of that kind, and nowhere else.

use serde::Serialize;
use serde_json::Value;

use crate::journal::Payload;

/// What may stand in a strict schema (OpenAI, "Structured model outputs", supported schemas).
const STRICT_KEYS: [&str; 22] = [
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "definitions",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
];

/// A JSON Schema by a name.
#[derive(Debug, Serialize)]
pub(super) struct Format<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a Payload,
}

impl<'a> Format<'a> {
    /// `None` for a schema that is not of an object: the APIs take no other.
    pub(super) fn of(schema: &'a Payload) -> Option<Self> {
        let read: Value = schema.read().ok()?;
        let is_object = read.get("type").is_some_and(|kind| kind == "object");
        is_object.then(|| Self { name: "answer", strict: is_strict(&read), schema })
    }
}

/// Whether the whole schema is of the strict kind: no keys but the known ones, and every object
/// closed, with all of its properties required.
fn is_strict(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return false };
    let named = |key: &str| schema.get(key).and_then(Value::as_object);
    let is_object = named("properties").is_some()
        || match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
            kind => kind.is_some_and(|kind| kind == "object"),
        };
    let closed = || schema.get("additionalProperties") == Some(&Value::Bool(false));
    let required = |name: &String| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|required| required == name))
    };
    let all_required =
        || named("properties").is_none_or(|properties| properties.keys().all(required));
    schema.keys().all(|key| STRICT_KEYS.contains(&key.as_str()))
        && (!is_object || closed() && all_required())
        && ["properties", "$defs", "definitions"]
            .iter()
            .all(|key| named(key).is_none_or(|schemas| schemas.values().all(is_strict)))
        && schema.get("items").is_none_or(is_strict)
        && schema
            .get("anyOf")
            .is_none_or(|any| any.as_array().is_some_and(|any| any.iter().all(is_strict)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(schema: &str) -> Option<bool> {
        let schema = Payload::from_json(schema.to_owned()).unwrap();
        Format::of(&schema).map(|format| format.strict)
    }

    #[test]
    fn a_closed_schema_with_all_required_is_strict() {
        let closed = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}"#;
        assert_eq!(strict(closed), Some(true));
        let list = closed
            .replace(r#"{"type":"integer"}"#, &format!(r#"{{"type":"array","items":{closed}}}"#));
        assert_eq!(strict(&list), Some(true));
    }

    #[test]
    fn any_other_is_not() {
        for open in [
            r#"{"type":"object"}"#,
            r#"{"type":"object","properties":{"n":{}},"additionalProperties":false}"#,
            r#"{"type":"object","properties":{"n":{"type":["object","null"]}},"required":["n"],"additionalProperties":false}"#,
            r#"{"type":"object","properties":{},"additionalProperties":false,"not":{}}"#,
            r#"{"type":"object","properties":{"n":{"items":{"oneOf":[]}}},"required":["n"],"additionalProperties":false}"#,
        ] {
            assert_eq!(strict(open), Some(false), "{open}");
        }
    }

    #[test]
    fn only_objects_are_asked_for() {
        assert_eq!(strict(r#"{"type":"string"}"#), None);
        assert_eq!(strict(r#"{"anyOf":[{"type":"object"}]}"#), None);
    }
}
