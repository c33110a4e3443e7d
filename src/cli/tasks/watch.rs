//! `relight tasks watch`, and how `relight run` follows its task.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relight::config::Settings;
use relight::journal::{End, Error as JournalError, Status, Store, TaskId};

use super::super::asking::Asker;
use super::super::run::{answer_command, say_end};
use super::super::screen::Screen;
use super::super::story::Teller;
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
    let end = Follower::new(task, !args.json, asker).follow(store, screen).await?;
    say_end(store, task, &end, args.json, settings, screen).await
}

/// Follows a task through the journal, whoever runs it.
pub(in crate::cli) struct Follower {
    task: TaskId,
    teller: Teller,
    /// What the task is at, below the lines of what it did. Drawn on a terminal only.
    spinner: Option<ProgressBar>,
    asker: Asker,
    /// A form waits for a line to be typed.
    asks: bool,
}

impl Follower {
    pub(in crate::cli) fn new(task: TaskId, progress: bool, asker: Asker) -> Self {
        let spinner = progress.then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { task, teller: Teller::default(), spinner, asker, asks: false }
    }

    /// Tells what happens until the task has ended.
    pub(in crate::cli) async fn follow(
        &mut self,
        store: &dyn Store,
        screen: &Screen,
    ) -> Result<End, Error> {
        let mut changes = store.changes();
        // Plain appends are no change that a store must announce: look again now and then.
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        loop {
            changes.mark_unchanged();
            let task = store
                .task(self.task)
                .await?
                .ok_or(JournalError::UnknownTask { task: self.task })?;
            for record in store.history(self.task, self.teller.history().next_seq()).await? {
                let line = self.teller.tell(record);
                let line =
                    line.map_err(|source| JournalError::Illegal { task: self.task, source })?;
                if let (Some(line), Some(spinner)) = (line, &self.spinner) {
                    spinner.suspend(|| screen.note(format!("  {line}")));
                }
            }
            let asks = match task.status {
                Status::InputRequired => self.asker.look(store, screen).await?,
                _ => false,
            };
            if let Some(spinner) = &self.spinner {
                // It would be drawn over what is typed.
                if asks != std::mem::replace(&mut self.asks, asks) {
                    spinner.set_draw_target(match asks {
                        true => ProgressDrawTarget::hidden(),
                        false => ProgressDrawTarget::stderr(),
                    });
                }
                spinner.set_message(task.message.unwrap_or_default());
            }
            if let Some(end) = self.teller.history().end() {
                if let Some(spinner) = &self.spinner {
                    spinner.finish_and_clear();
                }
                return Ok(end.clone());
            }
            tokio::select! {
                line = self.asker.line() => self.asker.take(line, store, screen).await?,
                _ = tick.tick() => {}
                changed = changes.changed() => if changed.is_err() { return Err(JournalError::Closed.into()) },
            }
        }
    }
}
