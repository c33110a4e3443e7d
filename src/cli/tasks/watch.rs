//! `relight tasks watch`.

use relight::config::Settings;
use relight::journal::Store;

use super::super::asking::Asker;
use super::super::follow::{Follower, Tells};
use super::super::run::{answer_command, say_end};
use super::super::screen::Screen;
use super::super::{Error, find_task};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// Print the end as JSON, and no progress
    #[arg(long)]
    json: bool,
}

pub(super) async fn watch(
    args: &Args,
    store: &dyn Store,
    settings: &Settings,
    screen: &Screen,
) -> Result<(), Error> {
    let task = find_task(store, &args.task).await?;
    let asker = Asker::new(task, answer_command(task, settings), false);
    let tells = if args.json { Tells::Nothing } else { Tells::Progress };
    let end = Follower::new(task, tells, Some(asker), screen).follow(store, screen).await?;
    say_end(store, task, &end, args.json, settings, screen).await
}
