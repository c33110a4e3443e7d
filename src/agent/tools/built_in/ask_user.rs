//! `ask_user`: a model's question to a person, as a form with plain fields.
//!
//! The forms are those that MCP's elicitation has (2025-11-25, "Requested Schema"), less the choice
//! of several values at once. What is wrong with one is told to the model before anybody is asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use super::{BuiltIn, read};
use crate::agent::tools::Call;
use crate::agent::{Schema, Tool};
use crate::durable::Answer;
use crate::journal::Failure;
use crate::limits;

/// The field of a form whose caller names none.
const ANSWER: &str = "answer";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AskUser {
    /// The question, with all that a person needs to know who has not followed the work.
    message: String,
    /// The fields of the form to fill in, by name. Left out: one text.
    fields: Option<BTreeMap<String, Field>>,
    /// The fields that must be filled in. Left out: those without a default.
    required: Option<Vec<String>>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(inline)]
struct Field {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The texts to choose one of. For strings only.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    choices: Option<Vec<String>>,
    /// For strings without choices only.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    /// For strings without choices only.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_length: Option<u32>,
    /// For strings without choices only.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u32>,
    /// For numbers and integers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    minimum: Option<Number>,
    /// For numbers and integers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    maximum: Option<Number>,
    /// What the form has in it at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Kind {
    String,
    Number,
    Integer,
    Boolean,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Format {
    Email,
    Uri,
    Date,
    DateTime,
}

pub(super) fn tool() -> Tool {
    BuiltIn::AskUser.described::<AskUser>(
        "Asks the person for whom the work is done, and waits for the answer, for days if need be. \
         For what only they can know or decide. Questions that belong together go into one form; \
         several calls at once are several forms.",
    )
}

pub(super) async fn ask(call: Call<'_>) -> Result<String, Failure> {
    let asked: AskUser = read(call.arguments)?;
    let form = match form(&asked) {
        Ok(form) => form,
        Err(why) => return call.refuse(format!("{why} Nobody was asked.")).await,
    };
    let AskUser { message, fields, .. } = asked;
    Ok(match call.ask(call.turn, &call.step, message, &form).await? {
        Answer::Accept { content } if fields.is_none() => plain(&content),
        Answer::Accept { content } => Value::Object(content).to_string(),
        Answer::Decline => "The person declines to answer.".to_owned(),
        Answer::Cancel => "The person has put the question away without an answer.".to_owned(),
        Answer::Expired => "Nobody answered in time.".to_owned(),
    })
}

fn plain(content: &Map<String, Value>) -> String {
    let text = content.get(ANSWER).and_then(Value::as_str);
    text.unwrap_or("The person sent the form without an answer.").to_owned()
}

/// The form's schema, or what is wrong with it.
fn form(asked: &AskUser) -> Result<Value, String> {
    if asked.message.trim().is_empty() {
        return Err("The message is empty.".to_owned());
    }
    let Some(fields) = &asked.fields else {
        let properties = json!({ANSWER: {"type": "string", "minLength": 1}});
        return Ok(json!({"type": "object", "properties": properties, "required": [ANSWER]}));
    };
    let max = limits::FORM_FIELDS;
    if fields.is_empty() || fields.len() > max {
        return Err(format!("A form has 1 to {max} fields."));
    }
    let mut properties = Map::new();
    for (name, field) in fields {
        let schema = field.schema().map_err(|why| format!("Field {name:?}: {why}"))?;
        properties.insert(name.clone(), schema);
    }
    let required: Vec<&String> = match &asked.required {
        Some(required) => required.iter().collect(),
        None => fields.iter().filter(|(_, f)| f.default.is_none()).map(|(name, _)| name).collect(),
    };
    if let Some(unknown) = required.iter().find(|name| !fields.contains_key(**name)) {
        return Err(format!("\"required\" names {unknown:?}, which is no field."));
    }
    Ok(json!({"type": "object", "properties": properties, "required": required}))
}

impl Field {
    fn schema(&self) -> Result<Value, String> {
        let is_text = self.kind == Kind::String;
        let is_number = matches!(self.kind, Kind::Number | Kind::Integer);
        let choices = self.choices.is_some();
        let lengths = self.min_length.is_some() || self.max_length.is_some();
        let bounds = || self.minimum.iter().chain(&self.maximum);
        if choices && !is_text {
            return Err("only a string has an enum.".to_owned());
        }
        if self.choices.as_ref().is_some_and(Vec::is_empty) {
            return Err("the enum has nothing to choose.".to_owned());
        }
        if (self.format.is_some() || lengths) && (!is_text || choices) {
            return Err("only a string without an enum has a format or lengths.".to_owned());
        }
        if bounds().next().is_some() && !is_number {
            return Err("only a number or an integer has a minimum or maximum.".to_owned());
        }
        // JSON Schema takes 1.0 for an integer, and clients do not.
        let default = self.default.iter().filter_map(Value::as_number);
        if self.kind == Kind::Integer && bounds().chain(default).any(|number| !number.is_i64()) {
            return Err("an integer's minimum, maximum and default are integers.".to_owned());
        }
        let schema = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let form = Schema::of_form(&schema)?;
        match self.default.as_ref().and_then(|default| form.complaints(default)) {
            Some(complaints) => Err(format!("the default does not fit: {complaints}.")),
            None => Ok(schema),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: Value, expected: Result<Value, &str>) {
        let asked: AskUser = serde_json::from_value(asked).unwrap();
        assert_eq!(form(&asked), expected.map_err(str::to_owned));
    }

    fn wrong(field: Value, expected: &str) {
        let expected = format!("Field \"f\": {expected}");
        check(json!({"message": "m", "fields": {"f": field}}), Err(&expected));
    }

    #[test]
    fn a_form_is_what_its_fields_say() {
        check(
            json!({"message": "Who?"}),
            Ok(json!({
                "type": "object",
                "properties": {"answer": {"type": "string", "minLength": 1}},
                "required": ["answer"],
            })),
        );
        let fields = json!({
            "mail": {"type": "string", "format": "email", "title": "E-mail"},
            "size": {"type": "string", "enum": ["s", "m"], "default": "m"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
        });
        check(
            json!({"message": "m", "fields": fields}),
            Ok(json!({"type": "object", "properties": fields, "required": ["count", "mail"]})),
        );
        check(
            json!({"message": "m", "fields": fields, "required": []}),
            Ok(json!({"type": "object", "properties": fields, "required": []})),
        );
    }

    #[test]
    fn what_no_client_could_show_is_refused() {
        check(json!({"message": " "}), Err("The message is empty."));
        check(json!({"message": "m", "fields": {}}), Err("A form has 1 to 20 fields."));
        check(
            json!({"message": "m", "fields": {"f": {"type": "string"}}, "required": ["g"]}),
            Err("\"required\" names \"g\", which is no field."),
        );
        wrong(json!({"type": "number", "enum": ["a"]}), "only a string has an enum.");
        wrong(json!({"type": "string", "enum": []}), "the enum has nothing to choose.");
        wrong(
            json!({"type": "boolean", "format": "email"}),
            "only a string without an enum has a format or lengths.",
        );
        wrong(
            json!({"type": "string", "enum": ["a"], "minLength": 1}),
            "only a string without an enum has a format or lengths.",
        );
        wrong(
            json!({"type": "string", "minimum": 1}),
            "only a number or an integer has a minimum or maximum.",
        );
        wrong(
            json!({"type": "integer", "minimum": 0.5}),
            "an integer's minimum, maximum and default are integers.",
        );
        wrong(
            json!({"type": "integer", "default": 1.0}),
            "an integer's minimum, maximum and default are integers.",
        );
        wrong(
            json!({"type": "string", "enum": ["a", "b"], "default": "c"}),
            "the default does not fit: \"c\" is not one of \"a\" or \"b\".",
        );
    }
}
