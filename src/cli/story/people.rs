//! What people were asked, and what they said.

use anstyle::AnsiColor;
use relight::durable::Answer;
use relight::journal::Payload;
use serde_json::{Map, Value};

use super::Teller;
use super::page::{Page, Told};
use super::shown::{Shown, part};
use super::words::{duration, json};

impl Teller {
    /// A question was put.
    pub(super) fn asked(&self, key: &str, until: Option<i64>, page: &mut Page) {
        let message = Shown::of(&self.history, key).message;
        // Of the words around a call, the call is what is worth a line.
        let call = key.rsplit_once('/').and_then(|(call, _)| self.calls.get(call));
        let call = call.filter(|_| !page.whole());
        let call = call.map(|call| format!("{} {}", call.name, call.arguments));
        let (what, text) = match part(key) {
            "approve" => ("wants a yes:", call.unwrap_or(message)),
            "doubt" => ("asks what happened:", call.unwrap_or(message)),
            limit if limit.starts_with("raise-") => ("asks for more:", message),
            _ => ("asks:", message),
        };
        let after = until.map(|ms| format!("within {}", duration(ms))).unwrap_or_default();
        let colour = Some(AnsiColor::Yellow);
        page.step(&Told { key, what, text: &text, after: &after, colour });
    }

    /// A question has its answer.
    pub(super) fn answered(&self, key: &str, output: &Payload, took: &str, page: &mut Page) {
        let (what, text) = match output.read() {
            Ok(Answer::Accept { mut content }) => {
                self.leave_out_what_stayed(key, &mut content);
                accepted(part(key), &content, page.whole())
            }
            Ok(Answer::Decline) => ("a person declined", String::new()),
            Ok(Answer::Cancel) => ("a person put it away without an answer", String::new()),
            Ok(Answer::Expired) => ("nobody answered in time", String::new()),
            Err(_) => ("answered", output.json().to_owned()),
        };
        let after = if took.is_empty() { String::new() } else { format!("after {took}") };
        page.step(&Told { key, what, text: &text, after: &after, colour: None });
    }

    /// Arguments that a form came with, and that were sent back as they were, are no change.
    fn leave_out_what_stayed(&self, key: &str, content: &mut Map<String, Value>) {
        let schema = Shown::of(&self.history, key).schema;
        let stayed = schema.pointer("/properties/arguments/default") == content.get("arguments");
        if part(key) == "approve" && stayed {
            content.remove("arguments");
        }
    }
}

/// What the answer to a question of relight's own means; the filled-in form of any other.
fn accepted(question: &str, content: &Map<String, Value>, whole: bool) -> (&'static str, String) {
    let field = |name: &str| content.get(name).map(|it| json(it, whole)).unwrap_or_default();
    match (question, field("decision").as_str(), field("outcome").as_str()) {
        ("approve", "approve", _) if field("arguments").is_empty() => {
            ("a person approved it", String::new())
        }
        ("approve", "approve", _) => ("a person approved it with", field("arguments")),
        ("approve", ..) => ("a person refused it", field("reason")),
        ("doubt", _, "happened") => ("a person says that it happened", field("result")),
        ("doubt", _, "run") => ("a person says that it did not happen", String::new()),
        ("doubt", ..) => ("a person stopped the task", String::new()),
        (limit, ..) if limit.starts_with("raise-") => ("a person allowed", amount(content)),
        _ => ("a person answered", json(&Value::Object(content.clone()), whole)),
    }
}

/// `2 more turns`.
fn amount(content: &Map<String, Value>) -> String {
    let amounts: Vec<_> =
        content.iter().map(|(what, amount)| format!("{amount} more {what}")).collect();
    amounts.join(", ")
}
