//! Puts a reply together from the chunks of its stream. No I/O, no clock.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::agent::{Finish, Reply, ToolCall, Usage};

use super::wire::{CALL_FIELDS, CallDelta, Chunk, Delta};

/// A reply in the making.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    text: String,
    calls: Vec<Call>,
    finish: Option<String>,
    usage: Option<Usage>,
    model: Option<String>,
    extra: Map<String, Value>,
}

/// A tool call in the making.
#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    extra: Map<String, Value>,
}

impl Assembly {
    /// Takes in the next chunk.
    pub(super) fn push(&mut self, chunk: Chunk) {
        if !chunk.model.is_empty() {
            self.model = Some(chunk.model);
        }
        // Servers that send usage with every chunk count up: the last one holds.
        self.usage = usage(&chunk.usage).or(self.usage);
        for choice in chunk.choices.into_iter().filter(|choice| choice.index == 0) {
            self.push_delta(choice.delta);
            let reason = choice.finish_reason.filter(|reason| !reason.is_empty());
            self.finish = reason.or(self.finish.take());
        }
    }

    fn push_delta(&mut self, delta: Delta) {
        push_text(&mut self.text, &delta.content);
        for fragment in delta.tool_calls {
            self.push_call(fragment);
        }
        merge(&mut self.extra, delta.extra, &["role"]);
    }

    fn push_call(&mut self, fragment: CallDelta) {
        let known = self.calls.iter().rposition(|call| call.is_continued_by(&fragment));
        let call = match known {
            Some(at) => &mut self.calls[at],
            None => {
                self.calls.push(Call { index: fragment.index, ..Call::default() });
                let last = self.calls.len() - 1;
                &mut self.calls[last]
            }
        };
        if call.id.is_empty() {
            call.id = fragment.id;
        }
        // Some servers repeat the name with every fragment, some send it in pieces.
        if call.name != fragment.function.name {
            call.name.push_str(&fragment.function.name);
        }
        match fragment.function.arguments {
            Value::Null => {}
            Value::String(piece) => call.arguments.push_str(&piece),
            whole => call.arguments.push_str(&whole.to_string()),
        }
        merge(&mut call.extra, fragment.extra, &["type"]);
    }

    /// Why the server says that it stopped, once it has.
    pub(super) fn finish_reason(&self) -> Option<&str> {
        self.finish.as_deref()
    }

    /// Whether nothing was said at all.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.calls.is_empty()
    }

    /// Whether a call has no name. Such a reply is of no use, and could not be sent back either.
    pub(super) fn has_nameless_call(&self) -> bool {
        self.calls.iter().any(|call| call.name.is_empty())
    }

    /// The reply. `turn` is its place in the conversation, from 1; ids that the server left out or
    /// gave twice are made from it, so that they are the same on every reading of this stream.
    pub(super) fn into_reply(self, turn: usize) -> Reply {
        let Self { mut text, calls, finish, usage, model, mut extra } = self;
        // A refusal is what the model has to say.
        if let (true, Some(Value::String(refusal))) = (text.is_empty(), extra.get("refusal")) {
            text.clone_from(refusal);
            extra.remove("refusal");
        }
        let mut taken: HashSet<String> = calls.iter().map(|call| call.id.clone()).collect();
        let mut given = HashSet::new();
        let mut fields = Map::new();
        let calls = calls
            .into_iter()
            .enumerate()
            .map(|(place, call)| {
                let mut id = call.id;
                if id.is_empty() || given.contains(&id) {
                    id = format!("call_{turn}_{}", place + 1);
                    while !taken.insert(id.clone()) {
                        id.push('_');
                    }
                }
                given.insert(id.clone());
                if !call.extra.is_empty() {
                    fields.insert(id.clone(), Value::Object(call.extra));
                }
                // A tool without parameters is often called with no text at all, which servers
                // then refuse to read back.
                let empty = call.arguments.trim().is_empty();
                let arguments = if empty { "{}".to_owned() } else { call.arguments };
                ToolCall { id, name: call.name, arguments }
            })
            .collect();
        if !fields.is_empty() {
            extra.insert(CALL_FIELDS.to_owned(), Value::Object(fields));
        }
        let finish = match finish.as_deref() {
            Some("length") => Finish::Length,
            Some("content_filter") => Finish::Filtered,
            _ => Finish::Stop,
        };
        let text = (!text.is_empty()).then_some(text);
        Reply { text, calls, finish, usage, model, extra }
    }
}

impl Call {
    /// Whether a fragment belongs to this call. The index decides; servers that send none, or 0
    /// for every call, begin a new call with a new id, or with a name where there are no ids.
    fn is_continued_by(&self, fragment: &CallDelta) -> bool {
        let other_id = !fragment.id.is_empty() && !self.id.is_empty() && fragment.id != self.id;
        let begins = fragment.index.is_none()
            && fragment.id.is_empty()
            && !fragment.function.name.is_empty();
        self.index == fragment.index && !other_id && !begins
    }
}

/// A text, or the texts in a list of parts.
fn push_text(text: &mut String, content: &Value) {
    match content {
        Value::String(piece) => text.push_str(piece),
        Value::Array(parts) => {
            for part in parts {
                if let Some(piece) = part.get("text").and_then(Value::as_str) {
                    text.push_str(piece);
                }
            }
        }
        _ => {}
    }
}

/// `None` where the server said nothing of use: a call of no tokens at all does not exist.
fn usage(value: &Value) -> Option<Usage> {
    let count = |key: &str| value.get(key).and_then(Value::as_u64);
    let cached = value.get("prompt_tokens_details").and_then(|of| of.get("cached_tokens"));
    let usage = Usage {
        input_tokens: count("prompt_tokens").unwrap_or(0),
        output_tokens: count("completion_tokens").unwrap_or(0),
        cached_tokens: cached.and_then(Value::as_u64).unwrap_or(0),
    };
    (usage.input_tokens > 0 || usage.output_tokens > 0).then_some(usage)
}

/// Fields whose text is a label, repeated from chunk to chunk, and not a piece of a longer one.
const LABELS: [&str; 6] = ["type", "id", "format", "name", "channel", "signature"];

/// Adds the fields of a chunk to those before: texts are joined, lists grow, and entries of a list
/// that carry an `index` go on where that entry stands.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>, left_out: &[&str]) {
    for (key, value) in from {
        if value.is_null() || left_out.contains(&key.as_str()) {
            continue;
        }
        match (into.get_mut(&key), value) {
            (Some(Value::String(text)), Value::String(more)) if !LABELS.contains(&key.as_str()) => {
                text.push_str(&more);
            }
            (Some(Value::Object(object)), Value::Object(more)) => merge(object, more, &[]),
            (Some(Value::Array(list)), Value::Array(more)) => merge_list(list, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn merge_list(list: &mut Vec<Value>, more: Vec<Value>) {
    for item in more {
        let index = item.get("index").cloned();
        let same =
            list.iter_mut().find(|old| index.is_some() && old.get("index") == index.as_ref());
        match (same, item) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new, &[]),
            (_, item) => list.push(item),
        }
    }
}
