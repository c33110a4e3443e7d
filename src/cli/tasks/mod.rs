//! `relight tasks`: looks at tasks, answers what they ask, and stops them.

mod answer;
mod cancel;
mod edits;
mod fork;
mod list;
mod resume;
mod show;
mod tree;
mod watch;

use clap::Subcommand;
use relight::config::{Environment, Settings};
use relight::journal::{End, Status, Task, TaskId};
use serde_json::{Value, json};

use super::screen::Screen;
use super::{Error, host};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List tasks, newest first
    List(list::Args),
    /// Tell a task's run as a story
    Show(show::Args),
    /// Follow a task to its end, and print its answer
    Watch(watch::Args),
    /// Answer a question of a task
    Answer(answer::Args),
    /// Stop a task
    Cancel(cancel::Args),
    /// Start a new task with what another one had done up to some step
    Fork(fork::Args),
    /// Set a task going again that stopped because it no longer matched its history
    Resume(resume::Args),
}

pub(super) async fn tasks(
    command: Command,
    settings: &Settings,
    environment: &Environment,
    model: Option<&str>,
    screen: &Screen,
) -> Result<(), Error> {
    let store = host::open(settings)?;
    let result = match command {
        Command::List(args) => list::list(&args, store.as_ref(), screen).await,
        Command::Show(args) => show::show(&args, store.as_ref(), settings, screen).await,
        Command::Watch(args) => watch::watch(&args, store.as_ref(), settings, screen).await,
        Command::Answer(args) => answer::answer(&args, store.as_ref(), screen).await,
        Command::Cancel(args) => cancel::cancel(&args, &store, settings, environment, screen).await,
        Command::Fork(args) => fork::fork(&args, &store, settings, model, screen).await,
        Command::Resume(args) => resume::resume(&args, &store, screen).await,
    };
    store.close().await;
    result
}

/// A task as scripts read it. Times are Unix milliseconds.
fn task_json(task: &Task) -> Value {
    json!({
        "id": task.id,
        "name": task.name,
        "function": task.function,
        "status": task.status.as_str(),
        "message": task.message,
        "parent": task.parent.as_ref().map(|parent| parent.task),
        "createdAtMs": task.created_at_ms,
        "updatedAtMs": task.updated_at_ms,
        "wakeAtMs": task.wake_at_ms,
        "ttlMs": task.ttl_ms,
        "cancelRequested": task.cancel_requested,
        "running": task.runner.is_some(),
        "events": task.events,
    })
}

/// A task's end as scripts read it.
pub(super) fn end_json(task: TaskId, end: &End) -> Value {
    let status = Status::from(end).as_str();
    match end {
        End::Completed(output) => json!({"id": task, "status": status, "output": output}),
        End::Failed(failure) | End::Stopped(failure) => {
            json!({"id": task, "status": status, "failure": failure})
        }
        End::Cancelled(message) => json!({"id": task, "status": status, "message": message}),
    }
}
