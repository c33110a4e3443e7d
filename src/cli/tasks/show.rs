//! `relight tasks show`: a task's run as a story.

use relight::config::Settings;
use relight::durable::{Clock, SystemClock};
use relight::journal::{Status, Store, Task};
use serde_json::{Value, json};

use super::super::asking::Asker;
use super::super::follow::{Follower, Tells};
use super::super::run::{answer_command, short_id};
use super::super::screen::{Screen, bold, dim, one_line};
use super::super::story::{Manner, TIMES, beside, cut, head, since};
use super::super::{Error, find_task};
use super::list::status_word;
use super::task_json;
use super::tree::Tree;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// Show texts, arguments and results whole, the system prompt, and the tasks below
    #[arg(long)]
    full: bool,
    /// Go on until the task has ended, and exit as `tasks watch` does
    #[arg(long, short)]
    follow: bool,
    /// As a JSON object with all events and sums; with --follow, a JSON object a line for each event
    #[arg(long, conflicts_with = "full")]
    json: bool,
}

/// With `--follow` it is `tasks watch` for people who want all of it: the same follower, which tells
/// the story on stdout instead of the answer, with times and sums. Without, it catches up once.
pub(super) async fn show(
    args: &Args,
    store: &dyn Store,
    settings: &Settings,
    screen: &Screen,
) -> Result<(), Error> {
    let id = find_task(store, &args.task).await?;
    let unknown = relight::journal::Error::UnknownTask { task: id };
    let task = store.task(id).await?.ok_or_else(|| unknown.clone())?;
    if args.json && !args.follow {
        screen.line(as_json(&task, store, screen).await?);
        return Ok(());
    }
    let tells = match args.json {
        true => Tells::Events,
        false => Tells::Story { whole: args.full, below: args.full && !args.follow },
    };
    let asker = || Asker::new(id, answer_command(id, settings), false);
    let asker = (args.follow && !args.json).then(asker);
    let mut follower = Follower::new(id, tells, asker, screen);
    if !args.json {
        screen.line(format!("{}  {id}  {}", bold(one_line(&task.name)), status_word(task.status)));
        let manner = Manner::beside(0, screen.columns(), args.full);
        let records = store.history(id, 0).await?;
        head(&task, &records, manner).iter().for_each(|line| screen.line(line));
        screen.line("");
    }
    let end = match args.follow {
        true => Some(follower.follow(store, screen).await?),
        false => {
            follower.catch_up(store, screen).await?;
            None
        }
    };
    if !args.json {
        let task = store.task(id).await?.ok_or(unknown)?;
        foot(task, follower, store, screen).await?;
    }
    match end.map(|end| Status::from(&end)) {
        None | Some(Status::Completed) => Ok(()),
        Some(_) => Err(Error::Said),
    }
}

/// What is under way, what it came to, and the tasks below.
async fn foot(
    task: Task,
    mut follower: Follower,
    store: &dyn Store,
    screen: &Screen,
) -> Result<(), Error> {
    let teller = follower.teller();
    for (at_ms, line) in teller.under_way() {
        let time = since(task.created_at_ms, at_ms);
        screen.line(beside(TIMES, &time, &line));
    }
    screen.line("");
    for line in teller.totals(SystemClock.now_ms(), task.runner.is_some()).lines() {
        screen.line(line);
    }
    let children = Tree::below(store, task.id).await?;
    if children.is_empty() {
        return Ok(());
    }
    screen.line("");
    let columns = screen.columns();
    Tree { task, children }.visit("", &mut |before, task| {
        let (name, id) = (one_line(&task.name), short_id(task.id));
        let taken = before.chars().count() + name.chars().count() + id.len();
        let status = task.status.as_str().len();
        let message = task.message.as_deref().unwrap_or_default();
        let message = cut(message, columns.saturating_sub(taken + status + 6));
        let status = status_word(task.status);
        screen.line(format!("{before}{}  {id}  {status}  {}", bold(name), dim(message)));
    });
    Ok(())
}

async fn as_json(task: &Task, store: &dyn Store, screen: &Screen) -> Result<Value, Error> {
    let records = store.history(task.id, 0).await?;
    let children = Tree::below(store, task.id).await?;
    let events: Vec<_> = records
        .iter()
        .map(|record| json!({"seq": record.seq, "atMs": record.at_ms, "event": record.event}))
        .collect();
    let children: Vec<_> = children.iter().map(Tree::json).collect();
    let mut follower = Follower::new(task.id, Tells::Nothing, None, screen);
    follower.catch_up(store, screen).await?;
    let totals = follower.teller().totals(SystemClock.now_ms(), task.runner.is_some()).json();
    Ok(json!({"task": task_json(task), "totals": totals, "events": events, "children": children}))
}
