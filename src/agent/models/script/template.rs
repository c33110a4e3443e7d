//! Placeholders in scripted replies: `{{input.amount}}`, `{{last}}`, `{{results.charge.id}}`.
//!
//! Two opening braces always begin a placeholder. There are no expressions, on purpose.

use std::collections::HashMap;

use serde_json::Value;

use crate::agent::Message;

/// What placeholders can refer to, in the words of a message.
const SOURCES: &str = "{{input}}, {{last}} or {{results.TOOL}}, each with fields after a dot";

/// A placeholder that cannot be read, or that stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the placeholder {0:?} has no closing braces")]
    Open(String),
    #[error("{{{{{0}}}}} is no placeholder: write {SOURCES}")]
    Unknown(String),
    #[error("{{{{{slot}}}}} stands for nothing: {why}")]
    Nothing { slot: String, why: String },
}

/// What a conversation holds for placeholders to quote.
#[derive(Debug, Default)]
pub(super) struct Scene<'a> {
    input: Option<&'a str>,
    last: Option<&'a str>,
    results: HashMap<&'a str, &'a str>,
}

impl<'a> Scene<'a> {
    /// The first thing said by the user, the last tool result, and each tool's last result.
    pub(super) fn of(messages: &'a [Message]) -> Self {
        let mut scene = Self::default();
        let mut tools = HashMap::new();
        for message in messages {
            match message {
                Message::Summary { .. } => {}
                Message::User { text } => scene.input = scene.input.or(Some(text)),
                Message::Assistant(reply) => {
                    tools.extend(reply.calls.iter().map(|call| (&*call.id, &*call.name)));
                }
                Message::Tool { call_id, text } => {
                    scene.last = Some(text);
                    if let Some(tool) = tools.get(call_id.as_str()) {
                        scene.results.insert(tool, text);
                    }
                }
            }
        }
        scene
    }

    fn value(&self, slot: &Slot<'_>) -> Result<Value, Error> {
        let nothing = |why| Error::Nothing { slot: slot.text.to_owned(), why };
        let (said, missing) = match slot.source {
            Source::Input => (self.input, "the conversation has no user message".to_owned()),
            Source::Last => (self.last, "no tool has answered yet".to_owned()),
            Source::Result(tool) => {
                (self.results.get(tool).copied(), format!("{tool:?} has not answered yet"))
            }
        };
        let said = said.ok_or_else(|| nothing(missing))?;
        let mut value =
            serde_json::from_str(said).unwrap_or_else(|_not_json| Value::String(said.to_owned()));
        for field in &slot.fields {
            let found = match &mut value {
                Value::Object(object) => object.remove(*field),
                Value::Array(list) => {
                    let place = field.parse().ok().filter(|place| *place < list.len());
                    place.map(|place: usize| list.swap_remove(place))
                }
                _ => None,
            };
            value = found.ok_or_else(|| nothing(format!("there is no {field:?} in it")))?;
        }
        Ok(value)
    }
}

/// One placeholder.
#[derive(Debug)]
struct Slot<'t> {
    text: &'t str,
    source: Source<'t>,
    fields: Vec<&'t str>,
}

#[derive(Debug)]
enum Source<'t> {
    Input,
    Last,
    Result(&'t str),
}

impl<'t> Slot<'t> {
    fn parse(text: &'t str) -> Result<Self, Error> {
        let text = text.trim();
        let unknown = || Error::Unknown(text.to_owned());
        let mut names = text.split('.');
        let source = match names.next() {
            Some("input") => Source::Input,
            Some("last") => Source::Last,
            Some("results") => Source::Result(names.next().ok_or_else(unknown)?),
            _ => return Err(unknown()),
        };
        let fields: Vec<_> = names.collect();
        let empty = fields.contains(&"") || matches!(source, Source::Result(""));
        if empty { Err(unknown()) } else { Ok(Self { text, source, fields }) }
    }
}

/// The parts of a text, in order: plain text, and the placeholder that follows it.
fn parts(mut text: &str) -> Result<Vec<(&str, Option<Slot<'_>>)>, Error> {
    let mut parts = Vec::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let (slot, after) = rest.split_once("}}").ok_or_else(|| Error::Open(rest.to_owned()))?;
        parts.push((before, Some(Slot::parse(slot)?)));
        text = after;
    }
    parts.push((text, None));
    Ok(parts)
}

/// Checks the placeholders of all texts in a value.
pub(super) fn check(value: &Value) -> Result<(), Error> {
    match value {
        Value::String(text) => parts(text).map(drop),
        Value::Array(list) => list.iter().try_for_each(check),
        Value::Object(object) => object.values().try_for_each(check),
        _ => Ok(()),
    }
}

/// Fills the placeholders of a text. A value that is no text is written as JSON.
pub(super) fn fill_text(text: &str, scene: &Scene<'_>) -> Result<String, Error> {
    let mut filled = String::new();
    for (before, slot) in parts(text)? {
        filled.push_str(before);
        match slot.map(|slot| scene.value(&slot)).transpose()? {
            None => {}
            Some(Value::String(text)) => filled.push_str(&text),
            Some(value) => filled.push_str(&value.to_string()),
        }
    }
    Ok(filled)
}

/// Fills the placeholders of all texts in a value. A text that is one placeholder and nothing else
/// becomes its value, so that a number stays a number.
pub(super) fn fill(value: &Value, scene: &Scene<'_>) -> Result<Value, Error> {
    Ok(match value {
        Value::String(text) => match parts(text)?.as_slice() {
            [("", Some(slot)), ("", None)] => scene.value(slot)?,
            _ => Value::String(fill_text(text, scene)?),
        },
        Value::Array(list) => {
            Value::Array(list.iter().map(|item| fill(item, scene)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let filled = object.iter().map(|(key, item)| Ok((key.clone(), fill(item, scene)?)));
            Value::Object(filled.collect::<Result<_, Error>>()?)
        }
        value => value.clone(),
    })
}
