//! `relight tasks show`.

use jiff::Timestamp;
use relight::journal::{StepKind, Store, TaskId};
use serde_json::json;

use super::super::run::short_id;
use super::super::screen::{Screen, bold, dim};
use super::super::story::Teller;
use super::super::{Error, find_task};
use super::list::status_word;
use super::task_json;
use super::tree::Tree;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// As a JSON object with all events
    #[arg(long)]
    json: bool,
}

pub(super) async fn show(args: &Args, store: &dyn Store, screen: &Screen) -> Result<(), Error> {
    let id = find_task(store, &args.task).await?;
    let task = store.task(id).await?.ok_or(relight::journal::Error::UnknownTask { task: id })?;
    let records = store.history(id, 0).await?;
    let children = Tree::below(store, id).await?;
    if args.json {
        let events: Vec<_> = records
            .iter()
            .map(|record| json!({"seq": record.seq, "atMs": record.at_ms, "event": record.event}))
            .collect();
        let children: Vec<_> = children.iter().map(Tree::json).collect();
        screen.line(json!({"task": task_json(&task), "events": events, "children": children}));
        return Ok(());
    }
    screen.line(format!("{}  {}  {}", bold(&task.name), task.id, status_word(task.status)));
    if let Some(message) = &task.message {
        screen.line(dim(message));
    }
    let mut teller = Teller::default();
    for record in records {
        let at_ms = record.at_ms;
        if let Some(line) = teller.tell(record).map_err(|source| damaged(id, source))? {
            screen.line(format!("{}  {line}", dim(time(at_ms))));
        }
    }
    for (key, step) in teller.history().steps().filter(|(_, step)| !step.state.is_finished()) {
        let what = match step.kind {
            StepKind::Question => "waits for an answer (relight tasks answer)",
            _ => "under way",
        };
        screen.line(format!("{}  {key}: {what}", dim(time(step.started_at_ms))));
    }
    if !children.is_empty() {
        screen.line("");
        Tree { task, children }.visit("", &mut |before, task| {
            let (name, id) = (bold(&task.name), short_id(task.id));
            let message = task.message.as_deref().unwrap_or_default();
            let status = status_word(task.status);
            screen.line(format!("{before}{name}  {id}  {status}  {}", dim(message)));
        });
    }
    Ok(())
}

fn damaged(task: TaskId, source: relight::journal::IllegalEvent) -> Error {
    relight::journal::Error::Illegal { task, source }.into()
}

fn time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at:.3}"))
}
