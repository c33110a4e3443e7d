//! `relight tasks fork`.

use std::collections::BTreeMap;
use std::sync::Arc;

use relight::agent::{AGENT_FUNCTION, Pinned, Reply, ToolOutput};
use relight::config::{self, Settings};
use relight::durable::{self, Runtime, StartTask};
use relight::journal::{Event, History, Payload, StepKind, Store};
use serde_json::{Value, json};

use super::super::screen::{Screen, dim};
use super::super::story::cut;
use super::super::{Error, find_task, host};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// The first step (or turn) that is to run anew, such as turn-3 or turn-3/tool-1
    #[arg(long, value_name = "STEP")]
    at: String,
    /// Another agent, by its name or its file [default: the agent as the task is pinned to it]
    #[arg(long)]
    agent: Option<String>,
    /// Another outcome for a step before the fork: STEP=TEXT or STEP=JSON
    #[arg(long = "edit", value_name = "STEP=VALUE")]
    edits: Vec<String>,
    /// Print the new task as JSON
    #[arg(long)]
    json: bool,
}

/// `--model` names another model for the new task.
pub(super) async fn fork(
    args: &Args,
    store: &Arc<dyn Store>,
    settings: &Settings,
    model: Option<&str>,
    screen: &Screen,
) -> Result<(), Error> {
    let usage = |error: &dyn std::fmt::Display| Error::Usage(error.to_string());
    let id = find_task(store.as_ref(), &args.task).await?;
    let task = store.task(id).await?.ok_or(relight::journal::Error::UnknownTask { task: id })?;
    let records = store.history(id, 0).await?;
    let history = History::of(records.iter().cloned())
        .map_err(|source| relight::journal::Error::Illegal { task: id, source })?;
    let Some(Event::TaskCreated { function, name, input, definition, .. }) = history.created()
    else {
        return Err(usage(&format!("task {id} has no first event")));
    };
    let changed = args.agent.is_some() || model.is_some();
    let mut start = if function == AGENT_FUNCTION {
        let pinned = definition.as_ref().map(Payload::read::<Pinned>);
        let Some(Ok(mut pinned)) = pinned else {
            return Err(usage(&"this relight cannot read the agent that the task is pinned to"));
        };
        if let Some(agent) = &args.agent {
            let agent = config::load_agent(settings, agent)?.or_models(&pinned.models);
            pinned = host::pin(agent, settings)?;
        }
        if let Some(model) = model {
            pinned.models = vec![model.to_owned()];
            pinned.prices = pinned.prices.and(settings.prices.only(&pinned.models));
        }
        pinned.start(input.clone())
    } else if changed {
        return Err(usage(&format!("task {id} is of the function {function:?}, and no agent")));
    } else {
        let mut start = StartTask::new(function, name, input.clone());
        start.definition.clone_from(definition);
        start
    };
    let edits = edits(&args.edits, &history)?;
    let fork = durable::fork(&records, &args.at, edits, changed).map_err(|error| usage(&error))?;
    let (kept, not_undone) = (fork.kept.clone(), fork.not_undone.clone());
    start.owner = task.owner;
    start.fork = Some(fork);
    let runtime = Runtime::builder(Arc::clone(store)).only_own().start().await?;
    let started = runtime.start(start).await;
    runtime.shutdown().await;
    let new = started?;
    if args.json {
        screen.line(json!({"id": new, "of": id, "kept": kept, "notUndone": not_undone}));
        return Ok(());
    }
    screen.line(new);
    screen.note(format!(
        "It begins with {} finished steps of {id}. `relight serve` takes it up, or `relight run --resume {new}`.",
        kept.len()
    ));
    for key in not_undone {
        let shown = history.step(&key).and_then(|step| step.shown.as_ref());
        let shown = shown.map(|shown| cut(shown.json(), screen.note_columns())).unwrap_or_default();
        screen.note(format!("Not undone: {key} {}", dim(shown)));
    }
    Ok(())
}

/// The edited outcomes in the form that their steps have: a text becomes a tool's answer or a
/// model's reply.
fn edits(edits: &[String], history: &History) -> Result<BTreeMap<String, Payload>, Error> {
    let wrong = |error: serde_json::Error| Error::Usage(error.to_string());
    edits
        .iter()
        .map(|edit| {
            let Some((key, text)) = edit.split_once('=') else {
                return Err(Error::Usage(format!("--edit {edit:?}: write STEP=VALUE")));
            };
            let kind = history.step(key).map(|step| step.kind);
            let text = text.to_owned();
            let output = match (serde_json::from_str::<Value>(&text), kind) {
                (Ok(value), _) if value.is_object() => Payload::from_json(text),
                (_, Some(StepKind::Tool)) => {
                    Payload::of(&ToolOutput { text, ..ToolOutput::default() })
                }
                (_, Some(StepKind::Model)) => {
                    Payload::of(&Reply { text: Some(text), ..Reply::default() })
                }
                (Ok(_), _) => Payload::from_json(text),
                (Err(_), _) => Payload::of(&text),
            };
            Ok((key.to_owned(), output.map_err(wrong)?))
        })
        .collect()
}
