//! `relight replay`: recorded runs on the agents as they are now.

use std::path::PathBuf;

use anstyle::AnsiColor;
use relight::agent::AGENT_FUNCTION;
use relight::config::{self, Settings};
use relight::journal::{Event, Filter, Recording, Store, all_tasks};
use relight::replay::{Drift, Replay, Run};
use serde_json::{Value, json};

use super::screen::{Screen, bold, coloured, dim};
use super::{Error, host};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recordings, as `relight export` writes them
    #[arg(required_unless_present = "all")]
    recordings: Vec<PathBuf>,
    /// Replay every ended agent task of the journal too
    #[arg(long)]
    all: bool,
    /// The agent's file to replay with [default: the agent of the recorded name in the agents'
    /// directory]
    #[arg(long, value_name = "FILE", conflicts_with = "as_recorded")]
    agent: Option<PathBuf>,
    /// Replay with what each task was pinned to: what differs then is due to relight itself
    #[arg(long)]
    as_recorded: bool,
    /// Print a JSON object for each recording
    #[arg(long)]
    json: bool,
}

/// How many recordings were replayed, with what result.
#[derive(Default)]
struct Count {
    same: u64,
    other: u64,
}

pub(super) async fn replay(args: &Args, settings: &Settings, screen: &Screen) -> Result<(), Error> {
    let mut count = Count::default();
    for path in &args.recordings {
        let name = path.display().to_string();
        check(&name, &Replay::open(path)?, args, settings, screen, &mut count).await?;
    }
    if args.all {
        let store = host::open(settings)?;
        let checked = all(args, settings, store.as_ref(), screen, &mut count).await;
        store.close().await;
        checked?;
    }
    let Count { same, other } = count;
    if !args.json {
        screen.note(format!("{same} the same, {other} different"));
    }
    if other == 0 { Ok(()) } else { Err(Error::Said) }
}

/// Replays the ended agent tasks of a journal, the newest first; children go with their parents.
async fn all(
    args: &Args,
    settings: &Settings,
    store: &dyn Store,
    screen: &Screen,
    count: &mut Count,
) -> Result<(), Error> {
    for task in all_tasks(store, Filter::default()).await? {
        let of_agent = task.function == AGENT_FUNCTION && task.parent.is_none();
        if of_agent && task.status.is_ended() {
            let replay = Replay::of(Recording::of(store, task.id).await?);
            check(&task.id.to_string(), &replay, args, settings, screen, count).await?;
        }
    }
    Ok(())
}

/// Replays one recording and tells what came of it.
async fn check(
    name: &str,
    replay: &Replay,
    args: &Args,
    settings: &Settings,
    screen: &Screen,
    count: &mut Count,
) -> Result<(), Error> {
    let run = run(replay, args, settings).await?;
    *if run.is_same() { &mut count.same } else { &mut count.other } += 1;
    tell(name, &run, args.json, screen);
    Ok(())
}

async fn run(replay: &Replay, args: &Args, settings: &Settings) -> Result<Run, Error> {
    if args.as_recorded {
        return Ok(replay.as_recorded().await?);
    }
    if let Some(path) = &args.agent {
        return Ok(replay.agent(path).await?);
    }
    let first = replay.recording().root().records.first();
    match first.map(|record| &record.event) {
        Some(Event::TaskCreated { name, .. }) => {
            Ok(replay.definition(config::load_agent(settings, name)?).await?)
        }
        _ => Ok(replay.as_recorded().await?),
    }
}

fn tell(name: &str, run: &Run, json: bool, screen: &Screen) {
    if json {
        let drifts: Vec<_> = run.drifts().iter().map(drift_json).collect();
        let same = run.is_same();
        screen.line(json!({"recording": name, "same": same, "drifts": drifts}));
        return;
    }
    let word = if run.is_same() {
        coloured(AnsiColor::Green, "same")
    } else {
        coloured(AnsiColor::Red, "different")
    };
    screen.line(format!("{}  {word}", bold(name)));
    for drift in run.drifts() {
        let place = drift.turn.map(|turn| format!("turn {turn}: ")).unwrap_or_default();
        screen.line(format!("  {place}{}", drift.what));
        for reason in &drift.reasons {
            screen.line(dim(format!("  likely because {reason}")));
        }
        for line in drift.diff.lines() {
            screen.line(format!("    {}", painted(line)));
        }
    }
}

/// A line of a diff in the colours that people know.
fn painted(line: &str) -> String {
    match line.as_bytes().first() {
        Some(b'-') => coloured(AnsiColor::Red, line),
        Some(b'+') => coloured(AnsiColor::Green, line),
        _ => line.to_owned(),
    }
}

fn drift_json(drift: &Drift) -> Value {
    json!({
        "task": drift.task,
        "step": drift.key,
        "turn": drift.turn,
        "what": drift.what,
        "reasons": drift.reasons,
        "diff": drift.diff,
    })
}
