//! `relight tasks cancel`.

use std::sync::Arc;

use relight::config::{Environment, Settings};
use relight::journal::{End, Sent, Status, Store};

use super::super::host::{Host, Runs};
use super::super::screen::Screen;
use super::super::{Error, find_task};
use super::end_json;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// Why, for the task's history
    #[arg(long)]
    reason: Option<String>,
    /// Print the end as JSON
    #[arg(long)]
    json: bool,
}

/// Asks the task to stop, and waits until it has. A task that nobody runs is ended here, and so is what
/// it has left running at tool servers and models.
pub(super) async fn cancel(
    args: &Args,
    store: &Arc<dyn Store>,
    settings: &Settings,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Error> {
    let task = find_task(store.as_ref(), &args.task).await?;
    let host = Host::over(Arc::clone(store), settings, environment, Runs::Own).await?;
    let sent = host.runtime.cancel(task, args.reason.clone()).await;
    let ended = match sent {
        Ok(sent) => host.runtime.wait(task).await.map(|end| (sent, end)),
        Err(error) => Err(error),
    };
    host.stop().await;
    let (sent, end) = ended?;
    if args.json {
        screen.line(end_json(task, &end));
    } else {
        match (&end, sent) {
            (End::Cancelled(message), Sent::Delivered) => screen.line(message),
            (End::Cancelled(_), _) => screen.line("The task had already been cancelled."),
            _ => screen.line(format!("The task had already {}.", Status::from(&end).as_str())),
        }
    }
    Ok(())
}
