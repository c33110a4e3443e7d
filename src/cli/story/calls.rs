//! Calls of tools, and what followed where the outcome of one was lost.

use anstyle::AnsiColor;
use relight::agent::{Asked, Called, LISTING_STEP, TaskNews, Tool, ToolOutput};
use relight::journal::Payload;
use serde_json::Value;

use super::Teller;
use super::page::{Page, Told};
use super::shown::{Shown, part};
use super::words::{json, text, value};

/// What became of a call, or of one of the steps that followed from it.
enum Came {
    Well(String),
    Wrong(String),
}

impl Teller {
    /// A step of a tool has ended well.
    pub(super) fn called(&self, key: &str, output: &Payload, after: &str, page: &mut Page) {
        let shown = Shown::of(&self.history, key);
        let (what, arguments) = self.call(key, &shown, page);
        page.step(&Told { key, what: &what, text: &arguments, after, colour: None });
        let (came, colour) = match came(key, &shown, output, page.whole()) {
            Came::Well(text) => (text, None),
            Came::Wrong(text) => (text, Some(AnsiColor::Red)),
        };
        page.below("-> ", &came, colour);
    }

    /// What a step of a tool does: in relight's words, and with what.
    pub(super) fn call(&self, key: &str, shown: &Shown, page: &Page) -> (String, String) {
        let whole = page.whole();
        let Shown { tool, arguments, refused, task, .. } = shown;
        if let Some(refused) = refused {
            return (format!("{tool}, not called"), text(refused, whole));
        }
        match (part(key), shown.remote_task(), task) {
            ("check", ..) => (format!("asked {tool} what happened"), json(arguments, whole)),
            (_, Some((id, server)), _) => (format!("task {id} of {server}"), String::new()),
            (_, None, Value::String(id)) => {
                (format!("the answer went to task {id}"), String::new())
            }
            (again, ..) if again.starts_with("again-") => {
                (format!("{tool}, called again"), json(arguments, whole))
            }
            _ => (tool.clone(), json(arguments, whole)),
        }
    }

    /// The tools were listed.
    pub(super) fn listed(&self, output: &Payload, took: &str, page: &mut Page) {
        let tools: Vec<Tool> = output.read().unwrap_or_default();
        let names: Vec<_> =
            tools.iter().map(|tool| format!("{}/{}", tool.server, tool.name)).collect();
        let names = names.join(", ");
        let what = if names.is_empty() { "none" } else { "" };
        page.step(&Told { key: LISTING_STEP, what, text: &names, after: took, colour: None });
    }
}

fn came(key: &str, shown: &Shown, output: &Payload, whole: bool) -> Came {
    if part(key) == "check" {
        return checked(output, whole);
    }
    match output.read() {
        Ok(Called::Output(output)) => answered(&output, whole),
        Ok(Called::Task { task }) => {
            Came::Well(format!("goes on as task {} of {}", task.id, task.server))
        }
        Ok(Called::Asks { asks }) => Came::Well(questions(&asks.questions)),
        Err(_) => match output.read() {
            Ok(TaskNews::Output(output)) => answered(&output, whole),
            Ok(TaskNews::Failed(why)) => Came::Wrong(format!("failed: {why}")),
            Ok(TaskNews::Lost(why)) => Came::Wrong(format!("lost: {why}")),
            Ok(TaskNews::Asks(asked)) => Came::Well(questions(&asked)),
            Err(_) if shown.refused.is_some() => Came::Wrong(value(output, whole)),
            Err(_) => Came::Well(value(output, whole)),
        },
    }
}

fn answered(output: &ToolOutput, whole: bool) -> Came {
    let said = text(&output.text, whole);
    if output.is_error { Came::Wrong(format!("error: {said}")) } else { Came::Well(said) }
}

/// What a check has found out about a call whose outcome was lost.
fn checked(output: &Payload, whole: bool) -> Came {
    let found: Value = output.read().unwrap_or_default();
    let said = |what: &str, key: &str| found.get(what).and_then(|it| it.get(key));
    if let Some(result) = said("happened", "result") {
        return Came::Well(format!("it happened: {}", json(result, whole)));
    }
    match said("unclear", "said") {
        Some(unclear) => Came::Wrong(format!("still in doubt: {}", json(unclear, whole))),
        None => Came::Well("it did not happen".to_owned()),
    }
}

fn questions(asked: &[Asked]) -> String {
    let messages: Vec<_> = asked.iter().map(|asked| asked.question.message.as_str()).collect();
    format!("asks first: {}", messages.join("; "))
}
