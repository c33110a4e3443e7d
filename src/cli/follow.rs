//! Follows a task through the journal, whoever runs it, and tells what happens: behind `relight run`,
//! `tasks watch` and `tasks show`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relight::journal::{End, Error as JournalError, Record, Status, Store, TaskId};
use serde_json::json;

use super::Error;
use super::asking::Asker;
use super::screen::{Screen, one_line};
use super::story::{Manner, News, TIMES, Teller, beside, since};

/// Plain appends are no change that a store must announce: it is looked at again now and then.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How much further in a task stands than the one that started it.
const BELOW: usize = 4;

/// Where the story goes.
pub(super) enum Tells {
    /// Nowhere.
    Nothing,
    /// To stderr, beside the answer on stdout.
    Progress,
    /// To stdout, with the time of each event.
    Story {
        /// Texts, arguments and results are shown whole.
        whole: bool,
        /// The tasks below are told of too, each where it was started.
        below: bool,
    },
    /// To stdout, each event as a JSON object on a line.
    Events,
}

/// Follows one task.
pub(super) struct Follower {
    task: TaskId,
    tells: Tells,
    teller: Teller,
    /// From when on times are counted.
    began_at_ms: Option<i64>,
    /// How much further in the story of a task below stands.
    further: usize,
    /// What the task is at, below the lines of what it did. Drawn on a terminal only.
    spinner: Option<ProgressBar>,
    /// Puts the task's questions, where somebody is there to be asked.
    asker: Option<Asker>,
    /// A form waits for a line to be typed.
    asks: bool,
}

impl Follower {
    pub(super) fn new(task: TaskId, tells: Tells, asker: Option<Asker>, screen: &Screen) -> Self {
        let manner = match tells {
            Tells::Story { whole, .. } => Manner::beside(TIMES, screen.columns(), whole),
            _ => Manner {
                asks_beside: asker.is_some(),
                ..Manner::beside(0, screen.note_columns(), false)
            },
        };
        let teller = Teller::new(task, manner);
        let (began_at_ms, further, spinner, asks) = (None, 0, None, false);
        Self { task, tells, teller, began_at_ms, further, spinner, asker, asks }
    }

    /// What was told so far.
    pub(super) fn teller(&mut self) -> &mut Teller {
        &mut self.teller
    }

    /// Tells what the journal holds beyond what was told before.
    pub(super) async fn catch_up(
        &mut self,
        store: &dyn Store,
        screen: &Screen,
    ) -> Result<(), Error> {
        let task = self.task;
        for record in store.history(task, self.teller.history().next_seq()).await? {
            let Record { seq, at_ms, .. } = record;
            let event = matches!(self.tells, Tells::Events).then(|| record.event.clone());
            let news = self.teller.tell(record);
            let news = news.map_err(|source| JournalError::Illegal { task, source })?;
            if let Some(event) = event {
                screen.line(json!({"seq": seq, "atMs": at_ms, "event": event}));
            }
            self.say(&news, at_ms, screen);
            if let (Some(child), Tells::Story { whole, below: true }) = (news.child, &self.tells) {
                let mut child = self.below(child, *whole, screen);
                Box::pin(child.catch_up(store, screen)).await?;
            }
        }
        Ok(())
    }

    /// Tells of a task that the followed one has started, further in.
    fn below(&self, child: TaskId, whole: bool, screen: &Screen) -> Self {
        let tells = Tells::Story { whole, below: true };
        let (further, began_at_ms) = (self.further + BELOW, self.began_at_ms);
        let teller = Teller::new(child, Manner::beside(TIMES + further, screen.columns(), whole));
        let (spinner, asker, asks) = (None, None, false);
        Self { task: child, tells, teller, further, began_at_ms, spinner, asker, asks }
    }

    fn say(&mut self, News { at_ms, lines, .. }: &News, recorded_at_ms: i64, screen: &Screen) {
        let began_at_ms = *self.began_at_ms.get_or_insert(recorded_at_ms);
        match self.tells {
            Tells::Nothing | Tells::Events => {}
            Tells::Progress => {
                let say = || lines.iter().for_each(|line| screen.note(beside(0, "", line)));
                match &self.spinner {
                    Some(spinner) if !lines.is_empty() => spinner.suspend(say),
                    _ => say(),
                }
            }
            Tells::Story { .. } => {
                let mut time = at_ms.map(|at_ms| since(began_at_ms, at_ms));
                for line in lines {
                    // The time stands by the first line that says something.
                    let time = if line.is_empty() { None } else { time.take() };
                    let time = time.unwrap_or_default();
                    let indent = if line.is_empty() { 0 } else { self.further };
                    screen.line(beside(TIMES, &time, &format!("{:indent$}{line}", "")));
                }
            }
        }
    }

    /// Tells what happens until the task has ended.
    pub(super) async fn follow(
        &mut self,
        store: &dyn Store,
        screen: &Screen,
    ) -> Result<End, Error> {
        let mut changes = store.changes();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        if matches!(self.tells, Tells::Progress) {
            self.spinner = Some(spinner());
        }
        loop {
            changes.mark_unchanged();
            let task = store
                .task(self.task)
                .await?
                .ok_or(JournalError::UnknownTask { task: self.task })?;
            self.catch_up(store, screen).await?;
            let asks = match (&mut self.asker, task.status) {
                (Some(asker), Status::InputRequired) => asker.look(store, screen).await?,
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
                // A spinner does not go through the screen.
                spinner.set_message(one_line(&task.message.unwrap_or_default()));
            }
            if let Some(end) = self.teller.history().end() {
                if let Some(spinner) = &self.spinner {
                    spinner.finish_and_clear();
                }
                return Ok(end.clone());
            }
            let line = async {
                match &mut self.asker {
                    Some(asker) => asker.line().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                line = line => if let Some(asker) = &mut self.asker {
                    asker.take(line, store, screen).await?;
                },
                _ = tick.tick() => {}
                changed = changes.changed() => if changed.is_err() { return Err(JournalError::Closed.into()) },
            }
        }
    }
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}");
    let spinner = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
