//! `relight tasks fork`.

use std::sync::Arc;

use relight::agent::{AGENT_FUNCTION, LISTING_STEP, Pinned};
use relight::config::{self, Settings};
use relight::durable::{self, ForkPlan, Runtime, StartTask, child_id};
use relight::journal::{Event, History, Payload, StepKind, Store, Task, TaskId};
use serde_json::{Value, json};

use super::super::run::short_id;
use super::super::screen::{Screen, dim};
use super::super::story::cut;
use super::super::{Error, find_task, host};
use super::edits::edits;

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
    /// Another outcome for a step before the fork: what a tool or an agent answered, a model said, a
    /// person filled in, as text or JSON
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
    let id = find_task(store.as_ref(), &args.task).await?;
    let task = store.task(id).await?.ok_or(relight::journal::Error::UnknownTask { task: id })?;
    let records = store.history(id, 0).await?;
    let history = History::of(records.iter().cloned()).map_err(|source| illegal(id, source))?;
    let edits = edits(&args.edits, &history)?;
    let mut plan = ForkPlan { at: args.at.clone(), edits, ..ForkPlan::default() };
    let mut start = start(args, &task, &history, settings, model, &mut plan)?;
    let fork =
        durable::fork(id, &records, plan).map_err(|error| Error::Usage(error.to_string()))?;
    let (kept, keys) = (fork.kept.clone(), fork.not_undone.clone());
    start.owner = task.owner;
    start.ttl_ms = task.ttl_ms;
    start.fork = Some(fork);
    let not_undone = not_undone(store.as_ref(), id, &history, keys).await?;
    let runtime = Runtime::builder(Arc::clone(store)).only_own().start().await?;
    let started = runtime.start(start).await;
    runtime.shutdown().await;
    let new = started?;
    if args.json {
        let not_undone: Vec<_> = not_undone.iter().map(Landed::json).collect();
        screen.line(json!({"id": new, "of": id, "kept": kept, "notUndone": not_undone}));
        return Ok(());
    }
    screen.line(new);
    screen.note(format!(
        "It begins with {} finished steps of {}. `relight serve` takes it up, or `relight run --resume {}`.",
        kept.len(),
        short_id(id),
        short_id(new)
    ));
    for Landed { task, key, what } in not_undone {
        let of = if task == id { String::new() } else { format!(" of task {}", short_id(task)) };
        let room = screen.note_columns().saturating_sub(key.len() + of.len() + 13);
        screen.note(format!("Not undone: {key}{of} {}", dim(cut(&what, room))));
    }
    Ok(())
}

/// The new task, by what the old one is pinned to. The plan is told what follows from a change of that.
fn start(
    args: &Args,
    task: &Task,
    history: &History,
    settings: &Settings,
    model: Option<&str>,
    plan: &mut ForkPlan,
) -> Result<StartTask, Error> {
    let usage = |what: String| Err(Error::Usage(what));
    let id = task.id;
    let Some(Event::TaskCreated { function, name, input, definition, .. }) = history.created()
    else {
        return usage(format!("task {id} has no first event"));
    };
    if function != AGENT_FUNCTION {
        if args.agent.is_some() || model.is_some() {
            return usage(format!("task {id} is of the function {function:?}, and no agent"));
        }
        let mut start = StartTask::new(function, name, input.clone());
        start.definition.clone_from(definition);
        return Ok(start);
    }
    let Some(Ok(mut pinned)) = definition.as_ref().map(Payload::read::<Pinned>) else {
        return usage("this relight cannot read the agent that the task is pinned to".to_owned());
    };
    // Whoever called it shares no budget with the new task. What may be spent is part of what a model
    // is asked.
    plan.drift = pinned.share.take().is_some();
    if let Some(agent) = &args.agent {
        let agent = config::load_agent(settings, agent)?.or_models(&pinned.models);
        pinned = host::pin(agent, settings)?;
        plan.drift = true;
        // Its tools may be others.
        plan.anew.push(LISTING_STEP.to_owned());
    }
    if let Some(model) = model {
        pinned.models = vec![model.to_owned()];
        pinned.prices = pinned.prices.and(settings.prices.only(&pinned.models));
        plan.drift = true;
    }
    Ok(pinned.start(input.clone()))
}

/// An effect that stays although the new task knows nothing of it.
struct Landed {
    task: TaskId,
    key: String,
    /// What the step was asked with, as JSON.
    what: String,
}

impl Landed {
    fn json(&self) -> Value {
        let asked: Value = serde_json::from_str(&self.what).unwrap_or_default();
        json!({"task": self.task, "step": self.key, "asked": asked})
    }
}

/// What stays of these steps. In the place of a child's step stands what the child itself has done,
/// however far below.
async fn not_undone(
    store: &dyn Store,
    task: TaskId,
    history: &History,
    keys: Vec<String>,
) -> Result<Vec<Landed>, Error> {
    let mut landed = Vec::new();
    let mut left = vec![(task, history.clone(), keys)];
    while let Some((task, history, keys)) = left.pop() {
        for key in keys {
            let step = history.step(&key);
            if step.is_some_and(|step| step.kind == StepKind::Child) {
                let child = child_id(task, &key);
                let records = store.history(child, 0).await?;
                if !records.is_empty() {
                    let history = History::of(records).map_err(|source| illegal(child, source))?;
                    let keys = durable::landed(history.steps());
                    left.push((child, history, keys));
                    continue;
                }
            }
            let shown = step.and_then(|step| step.shown.as_ref());
            let what = shown.map(|shown| shown.json().to_owned()).unwrap_or_default();
            landed.push(Landed { task, key, what });
        }
    }
    Ok(landed)
}

fn illegal(task: TaskId, source: relight::journal::IllegalEvent) -> Error {
    relight::journal::Error::Illegal { task, source }.into()
}
