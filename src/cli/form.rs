//! A question's form, filled in from a line for each field, or from words of a command line. Where
//! lines come from, and what is done with the answer, is not known here.

use relight::agent::Schema;
use relight::durable::Question;
use serde_json::{Map, Value, json};

use super::screen::one_line;

/// What a person types instead of a field to answer no, or not at all.
const DECLINE: &str = "/decline";
const CANCEL: &str = "/cancel";

/// A form that is being filled in.
pub(super) struct Form {
    fields: Vec<Field>,
    /// The field that the next line is for.
    at: usize,
    filled_in: Map<String, Value>,
}

struct Field {
    name: String,
    schema: Value,
    required: bool,
}

/// What a line has led to.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// There are more fields.
    More,
    /// The line is no value for the field, and why.
    Wrong(String),
    /// An answer, as MCP's `ElicitResult`.
    Answer(Value),
}

/// An accepted form as MCP's `ElicitResult`.
pub(super) fn accepted(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

impl Form {
    /// The empty form. Fields that must be filled in come first.
    pub(super) fn of(question: &Question) -> Self {
        let schema: Value = question.schema.read().unwrap_or_default();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let field = |(name, schema): (String, Value)| {
            let required = required.iter().any(|required| *required == name.as_str());
            Field { name, schema, required }
        };
        let mut fields: Vec<_> = properties.into_iter().map(field).collect();
        fields.sort_by_key(|field| !field.required);
        Self { fields, at: 0, filled_in: Map::new() }
    }

    /// What the next line is for; `None` for a form without fields.
    pub(super) fn prompt(&self) -> Option<String> {
        self.fields.get(self.at).map(Field::prompt)
    }

    /// Takes the next line. An empty one stands for the default, or for nothing.
    pub(super) fn take(&mut self, line: &str) -> Taken {
        match line.trim() {
            DECLINE => return Taken::Answer(json!({"action": "decline"})),
            CANCEL => return Taken::Answer(json!({"action": "cancel"})),
            _ => {}
        }
        if let Some(field) = self.fields.get(self.at) {
            match field.read(line.trim()) {
                Ok(Some(value)) => {
                    self.filled_in.insert(field.name.clone(), value);
                }
                Ok(None) => {}
                Err(why) => return Taken::Wrong(why),
            }
            self.at += 1;
        }
        if self.at < self.fields.len() {
            return Taken::More;
        }
        Taken::Answer(accepted(Value::Object(std::mem::take(&mut self.filled_in))))
    }

    /// How a command line fills the form in: `name=... count=...`.
    pub(super) fn usage(&self) -> String {
        let words: Vec<_> = self.fields.iter().map(|field| format!("{}=...", field.name)).collect();
        words.join(" ")
    }

    /// A line for each field, for whoever fills the form in by a command line.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.fields.iter().map(Field::words)
    }
}

impl Field {
    fn text(&self, key: &str) -> Option<&str> {
        self.schema.get(key).and_then(Value::as_str)
    }

    /// `size (s, m): Which size?`
    fn words(&self) -> String {
        let texts = |texts: &Vec<Value>| {
            texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        };
        let kind = match self.schema.get("enum").and_then(Value::as_array) {
            Some(choices) => texts(choices),
            None => self.text("format").or(self.text("type")).unwrap_or_default().to_owned(),
        };
        let optional = if self.required { "" } else { ", may be left out" };
        let said: Vec<_> = [self.text("title"), self.text("description")].into();
        let said: Vec<_> = said.into_iter().flatten().collect();
        let said = if said.is_empty() { String::new() } else { format!(": {}", said.join(". ")) };
        // Whoever asks must not write lines that look like relight's own.
        one_line(&format!("{} ({kind}{optional}){said}", self.name))
    }

    fn prompt(&self) -> String {
        match self.schema.get("default") {
            Some(Value::String(default)) => format!("{} [{}]> ", self.words(), one_line(default)),
            Some(default) => format!("{} [{default}]> ", self.words()),
            None => format!("{}> ", self.words()),
        }
    }

    fn read(&self, text: &str) -> Result<Option<Value>, String> {
        if text.is_empty() {
            return match self.schema.get("default") {
                Some(default) => Ok(Some(default.clone())),
                None if self.required => Err(format!("{} is needed.", self.name)),
                None => Ok(None),
            };
        }
        let value = match self.text("type") {
            Some("boolean") => match text.to_lowercase().as_str() {
                "y" | "yes" | "true" => Value::Bool(true),
                "n" | "no" | "false" => Value::Bool(false),
                _ => return Err("Say yes or no.".to_owned()),
            },
            Some("string") => Value::String(text.to_owned()),
            _ => serde_json::from_str(text).map_err(|_| format!("{text:?} is no number."))?,
        };
        let complaints =
            Schema::of_form(&self.schema).ok().and_then(|form| form.complaints(&value));
        complaints.map_or(Ok(Some(value)), Err)
    }
}

#[cfg(test)]
mod tests {
    use relight::journal::Payload;

    use super::*;

    fn form(properties: Value, required: Value) -> Form {
        let schema = json!({"type": "object", "properties": properties, "required": required});
        Form::of(&Question::new("m", Payload::of(&schema).unwrap()))
    }

    #[test]
    fn fields_are_asked_for_one_by_one_those_that_are_needed_first() {
        let properties = json!({
            "count": {"type": "integer", "minimum": 1, "default": 1},
            "note": {"type": "string"},
            "size": {"type": "string", "enum": ["s", "m"], "description": "Which size?"},
            "sure": {"type": "boolean"},
        });
        let mut form = form(properties, json!(["size", "sure"]));
        assert_eq!(form.usage(), "size=... sure=... count=... note=...");
        assert_eq!(form.prompt().unwrap(), "size (s, m): Which size?> ");
        assert_eq!(form.take(""), Taken::Wrong("size is needed.".to_owned()));
        assert!(matches!(form.take("xl"), Taken::Wrong(why) if why.contains("not one of")));
        assert_eq!(form.take(" m "), Taken::More);
        assert_eq!(form.take("perhaps"), Taken::Wrong("Say yes or no.".to_owned()));
        assert_eq!(form.take("Yes"), Taken::More);
        assert_eq!(form.prompt().unwrap(), "count (integer, may be left out) [1]> ");
        assert_eq!(form.take("one"), Taken::Wrong("\"one\" is no number.".to_owned()));
        assert!(matches!(form.take("0"), Taken::Wrong(_)));
        assert_eq!(form.take(""), Taken::More);
        let content = json!({"size": "m", "sure": true, "count": 1});
        assert_eq!(form.take(""), Taken::Answer(accepted(content)));
    }

    #[test]
    fn a_person_can_say_no() {
        let mut form = form(json!({"a": {"type": "string"}}), json!([]));
        assert_eq!(form.take("/decline"), Taken::Answer(json!({"action": "decline"})));
        assert_eq!(form.take("/cancel"), Taken::Answer(json!({"action": "cancel"})));
    }

    #[test]
    fn a_form_without_fields_is_sent_by_an_empty_line() {
        let mut form = form(json!({}), json!([]));
        assert_eq!(form.prompt(), None);
        assert_eq!(form.take(""), Taken::Answer(accepted(json!({}))));
    }
}
