//! `relight tasks answer`.

use relight::agent::OpenQuestions;
use relight::durable::Question;
use relight::journal::{Store, TaskId};
use serde_json::{Value, json};

use super::super::asking::{is_terminal, lines, pass_on, prompt, put};
use super::super::form::{Form, Taken, accepted};
use super::super::run::{pairs, short_id};
use super::super::screen::{Screen, dim};
use super::super::{Error, find_task};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// The form's fields as KEY=VALUE. Without any, at a terminal, the form is asked for
    fields: Vec<String>,
    /// Which question, where there are several
    #[arg(long, value_name = "KEY")]
    question: Option<String>,
    /// The form's fields as one JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "fields")]
    json_input: Option<String>,
    /// Answer no
    #[arg(long, conflicts_with_all = ["fields", "json_input"])]
    decline: bool,
    /// Put the question away without an answer
    #[arg(long, conflicts_with_all = ["fields", "json_input", "decline"])]
    cancel: bool,
    /// Only show what the task asks
    #[arg(long, conflicts_with_all = ["fields", "json_input", "decline", "cancel", "question"])]
    list: bool,
    /// With --list, as a JSON array
    #[arg(long, requires = "list")]
    json: bool,
}

pub(super) async fn answer(args: &Args, store: &dyn Store, screen: &Screen) -> Result<(), Error> {
    let task = find_task(store, &args.task).await?;
    let open = OpenQuestions::of(store, task).await?;
    if args.list {
        list(&open, args.json, screen);
        return Ok(());
    }
    let (key, question) = choose(&open, args.question.as_deref(), task)?;
    let answer = match (&args.json_input, args.decline, args.cancel) {
        (_, true, _) => json!({"action": "decline"}),
        (_, _, true) => json!({"action": "cancel"}),
        (Some(text), ..) => accepted(
            serde_json::from_str(text)
                .map_err(|error| Error::Usage(format!("--json-input is not JSON: {error}")))?,
        ),
        (None, ..) if !args.fields.is_empty() => {
            let schema: Value = question.schema.read().unwrap_or_default();
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            accepted(pairs(&args.fields, &properties)?)
        }
        (None, ..) if is_terminal() => ask(key, question, screen).await?,
        (None, ..) => {
            let usage = Form::of(question).usage();
            return Err(Error::Usage(format!(
                "say the answer to {key}: {usage} or --decline; `relight tasks answer {} --list` shows the question",
                short_id(task)
            )));
        }
    };
    pass_on(store, task, key, answer, screen).await?;
    let id = short_id(task);
    screen.line(format!("Answered {key} of task {id}."));
    screen.note(dim(format!(
        "It goes on where `relight serve` runs, or by `relight run --resume {id}`."
    )));
    Ok(())
}

fn list(open: &OpenQuestions, as_json: bool, screen: &Screen) {
    if as_json {
        let question = |(key, question): (&str, &Question)| json!({"key": key, "message": question.message, "schema": question.schema});
        screen.line(Value::Array(open.iter().map(question).collect()));
        return;
    }
    for (key, question) in open.iter() {
        screen.line(key);
        for line in question.message.lines().map(str::to_owned).chain(Form::of(question).lines()) {
            screen.line(format!("  {line}"));
        }
    }
}

/// The question that is meant: the one of this key, or the only one.
fn choose<'q>(
    open: &'q OpenQuestions,
    wanted: Option<&str>,
    task: TaskId,
) -> Result<(&'q str, &'q Question), Error> {
    let keys: Vec<_> = open.iter().map(|(key, _)| key).collect();
    match (wanted, open.iter().next()) {
        (_, None) => Err(Error::NoQuestion(format!("task {} asks nothing now", short_id(task)))),
        (Some(wanted), _) => open.iter().find(|(key, _)| *key == wanted).ok_or_else(|| {
            Error::NoQuestion(format!("no open question {wanted:?}; open are {}", keys.join(", ")))
        }),
        (None, Some(question)) if keys.len() == 1 => Ok(question),
        (None, _) => Err(Error::Usage(format!(
            "say which question is answered, by --question KEY; open are {}",
            keys.join(", ")
        ))),
    }
}

/// Asks for the form at the terminal.
async fn ask(key: &str, question: &Question, screen: &Screen) -> Result<Value, Error> {
    let mut lines = lines();
    let mut form = put(key, question, screen);
    loop {
        let line = lines.recv().await.ok_or(Error::Interrupted)?;
        match form.take(&line) {
            Taken::More => {}
            Taken::Wrong(why) => screen.note(why),
            Taken::Answer(answer) => return Ok(answer),
        }
        prompt(&form, screen);
    }
}
