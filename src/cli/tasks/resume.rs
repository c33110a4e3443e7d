//! `relight tasks resume`.

use std::sync::Arc;

use relight::durable::{Clock, SystemClock};
use relight::journal::{Event, Record, Store};
use serde_json::json;

use super::super::screen::Screen;
use super::super::{Error, find_task};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// Let what is recorded so far stand, whatever the code and the agent ask for now
    #[arg(long)]
    accept_drift: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn resume(
    args: &Args,
    store: &Arc<dyn Store>,
    screen: &Screen,
) -> Result<(), Error> {
    let id = find_task(store.as_ref(), &args.task).await?;
    let task = store.task(id).await?.ok_or(relight::journal::Error::UnknownTask { task: id })?;
    let at_ms = SystemClock.now_ms();
    let mut events = vec![Event::TaskResumed {}];
    if args.accept_drift {
        events.push(Event::DriftAccepted {});
    }
    let records = (task.events..).zip(events).map(|(seq, event)| Record { seq, at_ms, event });
    if !store.resume(id, records.collect()).await? {
        return Err(Error::Usage(format!(
            "task {id} is {}; only a stopped one can be set going again",
            task.status.as_str()
        )));
    }
    if args.json {
        screen.line(json!({"id": id, "acceptDrift": args.accept_drift}));
    } else {
        screen.line(format!(
            "Task {id} is due again: `relight serve` takes it up, or `relight run --resume {id}`."
        ));
    }
    Ok(())
}
