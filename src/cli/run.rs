//! `relight run`: one agent in the terminal.

use std::borrow::Cow;

use relight::agent::Schema;
use relight::config::{self, Environment, Setting, Settings, Source};
use relight::journal::{End, Payload, Status, Store, TaskId};
use serde_json::{Map, Value};

use super::asking::{Asker, is_terminal};
use super::follow::{Follower, Tells};
use super::host::{Host, Runs, pin, unusable};
use super::screen::{Screen, bold, dim};
use super::{Error, Interrupts, find_task};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The agent's name, or the path of its file
    #[arg(required_unless_present = "resume")]
    agent: Option<String>,
    /// What to do, for an agent that takes one text; or KEY=VALUE for each of its arguments
    input: Vec<String>,
    /// The arguments as one JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "input")]
    json_input: Option<String>,
    /// Go on with a task that was interrupted
    #[arg(long, value_name = "TASK", conflicts_with_all = ["agent", "input", "json_input"])]
    resume: Option<String>,
    /// Print the end as JSON, and no progress
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    args: Args,
    settings: &Settings,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Error> {
    let new = match &args.agent {
        Some(name) => {
            let agent = config::load_agent(settings, name)?;
            // Before there is a task that would fail.
            if let Some(why) = unusable(std::slice::from_ref(&agent), settings).pop() {
                return Err(Error::Usage(why));
            }
            let arguments = arguments(&args, agent.input_schema())?;
            let mut start = pin(agent, settings)?.start(arguments);
            start.ttl_ms = Some(settings.ttl_ms);
            Some(start)
        }
        None => None,
    };
    let host = Host::start(settings, environment, Runs::Own).await?;
    let task = match new {
        Some(start) => host.runtime.start(start).await.map_err(Error::from),
        None => adopt(&host, args.resume.as_deref().unwrap_or_default()).await,
    };
    let mut interrupts = Interrupts::new()?;
    let (task, result) = match task {
        Ok(task) => {
            let followed = follow(&host, task, settings, args.json, &mut interrupts, screen).await;
            (Some(task), followed)
        }
        Err(error) => (None, Err(error)),
    };
    tokio::select! {
        () = host.stop() => {}
        // Whoever asks twice does not wait for steps under way. Those are as after a crash.
        () = interrupts.next() => if let (Some(task), Err(Error::Interrupted)) = (task, &result) {
            screen.note(format!(
                "Stopped at once. The task is kept, and what was under way is seen to when it goes on:\n  {}",
                bold(resume_command(task, settings))
            ));
        },
    }
    result
}

async fn adopt(host: &Host, prefix: &str) -> Result<TaskId, Error> {
    let task = find_task(host.runtime.store().as_ref(), prefix).await?;
    host.runtime.adopt(task);
    Ok(task)
}

/// The call's arguments, checked against the agent's schema.
fn arguments(args: &Args, schema: &Payload) -> Result<Payload, Error> {
    let wrong = |why: String| Error::Usage(why);
    let schema: Value = schema.read().map_err(|error| wrong(error.to_string()))?;
    let properties =
        schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let one_text = properties.len() == 1 && properties.contains_key("task");
    let value = match &args.json_input {
        Some(json) => serde_json::from_str(json)
            .map_err(|error| wrong(format!("--json-input is not JSON: {error}")))?,
        None if one_text && !args.input.is_empty() => Value::Object(Map::from_iter([(
            "task".to_owned(),
            Value::String(args.input.join(" ")),
        )])),
        None => pairs(&args.input, &properties)?,
    };
    if let Some(complaints) = Schema::new(&schema).map_err(wrong)?.complaints(&value) {
        let takes = if one_text {
            "one text, which says what to do".to_owned()
        } else {
            properties.keys().map(|key| format!("{key}=...")).collect::<Vec<_>>().join(" ")
        };
        return Err(wrong(format!(
            "the arguments do not fit the agent: {complaints}; it takes {takes}"
        )));
    }
    Payload::of(&value).map_err(|error| wrong(error.to_string()))
}

/// `KEY=VALUE` words as an object. A value is JSON where the schema wants no string.
pub(super) fn pairs(words: &[String], properties: &Map<String, Value>) -> Result<Value, Error> {
    let mut object = Map::new();
    for word in words {
        let (key, text) = word.split_once('=').ok_or_else(|| {
            let keys: Vec<_> = properties.keys().map(String::as_str).collect();
            Error::Usage(format!(
                "expected KEY=VALUE, found {word:?}; the keys are {}",
                keys.join(", ")
            ))
        })?;
        let wants_text = properties
            .get(key)
            .and_then(|schema| schema.get("type"))
            .is_some_and(|kind| kind == "string");
        let plain = || Value::String(text.to_owned());
        let value = if wants_text {
            plain()
        } else {
            serde_json::from_str(text).unwrap_or_else(|_| plain())
        };
        object.insert(key.to_owned(), value);
    }
    Ok(Value::Object(object))
}

async fn follow(
    host: &Host,
    task: TaskId,
    settings: &Settings,
    json: bool,
    interrupts: &mut Interrupts,
    screen: &Screen,
) -> Result<(), Error> {
    let store = host.runtime.store();
    let asker = Asker::new(task, answer_command(task, settings), !json && is_terminal());
    let tells = if json { Tells::Nothing } else { Tells::Progress };
    let mut follower = Follower::new(task, tells, Some(asker), screen);
    let end = tokio::select! {
        end = follower.follow(store.as_ref(), screen) => end?,
        () = interrupts.next() => {
            screen.note(format!(
                "\nThe task is kept and goes on where it was:\n  {}\nor by itself while `relight serve` runs.",
                bold(resume_command(task, settings))
            ));
            return Err(Error::Interrupted);
        }
    };
    say_end(store.as_ref(), task, &end, json, settings, screen).await
}

/// What to type to go on with a task, from the same place.
fn resume_command(task: TaskId, settings: &Settings) -> String {
    format!("relight run --resume {}{}", short_id(task), journal_flag(settings))
}

/// What to type to answer a question of a task, from the same place.
pub(super) fn answer_command(task: TaskId, settings: &Settings) -> String {
    format!("relight tasks answer {}{}", short_id(task), journal_flag(settings))
}

/// What to type to be told what a task did, from the same place.
fn show_command(task: TaskId, settings: &Settings) -> String {
    format!("relight tasks show {}{}", short_id(task), journal_flag(settings))
}

/// The journal's flag, where this command line has it.
fn journal_flag(settings: &Settings) -> String {
    match &settings.journal {
        Setting { value, from: Source::Flag(flag) } => {
            format!(" {flag} {}", quoted(&value.display().to_string()))
        }
        _ => String::new(),
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''")).into()
    }
}

/// A clear last word: the answer on stdout, everything else on stderr. What else a task ends with,
/// its story has told just before.
pub(super) async fn say_end(
    store: &dyn Store,
    task: TaskId,
    end: &End,
    json: bool,
    settings: &Settings,
    screen: &Screen,
) -> Result<(), Error> {
    if json {
        screen.line(super::tasks::end_json(task, end));
    } else {
        let mut spent = None;
        if let End::Completed(output) = end {
            match output.read::<String>() {
                Ok(text) => screen.text(&format!("{text}\n")),
                Err(_) => screen.text(&format!("{}\n", output.json())),
            }
            spent = store.task(task).await?.and_then(|task| task.message);
        }
        let spent = spent.map(|spent| format!("{spent}; ")).unwrap_or_default();
        screen.note(dim(format!("{spent}{}", show_command(task, settings))));
    }
    if Status::from(end) == Status::Completed { Ok(()) } else { Err(Error::Said) }
}

/// Enough of an id to type.
pub(super) fn short_id(task: TaskId) -> String {
    task.to_string().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_typed_as_a_shell_reads_it() {
        assert_eq!(quoted("/tmp/a-b/j.db"), "/tmp/a-b/j.db");
        assert_eq!(quoted("my tasks/j.db"), "'my tasks/j.db'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
