//! `relight replay`: recorded runs on the agents as they are now.

use std::path::PathBuf;

use anstyle::AnsiColor;
use relight::agent::AGENT_FUNCTION;
use relight::config::{self, Environment, Settings};
use relight::journal::{Event, Filter, Recording, Store, all_tasks};
use relight::replay::{Drift, Replay, Run};
use serde_json::{Value, json};

use super::screen::{Screen, bold, coloured, dim};
use super::trial::Trials;
use super::{Error, host, interrupted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recordings, as `relight export` writes them
    #[arg(required_unless_present = "all")]
    pub(super) recordings: Vec<PathBuf>,
    /// Replay every ended agent task of the journal too; not with --mode decisions
    #[arg(long)]
    pub(super) all: bool,
    /// The agent's file to replay with [default: the agent of the recorded name in the agents'
    /// directory]
    #[arg(long, value_name = "FILE", conflicts_with = "as_recorded")]
    pub(super) agent: Option<PathBuf>,
    /// Replay with what each task was pinned to: what differs then is due to relight itself
    #[arg(long)]
    pub(super) as_recorded: bool,
    /// What comes from the recording, and what is real
    #[arg(long, value_enum, default_value_t = Mode::Strict)]
    pub(super) mode: Mode,
    /// In the modes `decisions` and `tools`: what becomes of that which is not recorded
    #[arg(long, value_enum, value_name = "WORD", default_value_t = RecordWord::None)]
    pub(super) record: RecordWord,
    /// Write the run as a recording of its own, without what `redact` in relight.yaml takes out
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// The agent's arguments, for a recording that is not there yet (`--record once`)
    #[arg(long, value_name = "JSON", requires = "agent")]
    pub(super) json_input: Option<String>,
    /// Print a JSON object for each recording
    #[arg(long)]
    pub(super) json: bool,
}

/// What is real in a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// Nothing: no network, no tool, no cost. Whatever is asked otherwise is a difference
    Strict,
    /// The TOOLS ARE REAL, the models' replies are recorded. Every call takes effect AGAIN: cards
    /// are charged, mails are sent
    Decisions,
    /// The models are real and cost money, the tools' results are recorded: what would a new
    /// prompt, or another model (--model), do? No tool server is started
    Tools,
}

/// What becomes of that which is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RecordWord {
    /// It ends the run, and is named with the nearest that is recorded
    None,
    /// Where the recording is not there yet, all is done for real and recorded in it (with --agent
    /// and --json-input); otherwise as `none`
    Once,
    /// It is done for real: models are asked and TOOLS ARE CALLED
    #[value(name = "new_episodes")]
    NewEpisodes,
    /// Everything is done for real: models are asked and TOOLS ARE CALLED
    All,
}

/// How many recordings were replayed, with what result.
#[derive(Default)]
struct Count {
    same: u64,
    other: u64,
    /// Could not be replayed.
    failed: u64,
}

/// What a replay is made with.
struct Replayer<'a> {
    args: &'a Args,
    settings: &'a Settings,
    screen: &'a Screen,
    /// In the modes that run the agent live.
    trials: Option<Trials<'a>>,
}

/// `--model` names another model for the agent in the modes that ask one.
pub(super) async fn replay(
    args: &Args,
    settings: &Settings,
    environment: &Environment,
    model: Option<&str>,
    screen: &Screen,
) -> Result<(), Error> {
    let trials = Trials::new(args, settings, environment, model, screen)?;
    let replayer = Replayer { args, settings, screen, trials };
    let replayed = tokio::select! {
        replayed = replayer.each() => replayed,
        () = interrupted()? => Err(Error::Interrupted),
    };
    if let Some(trials) = &replayer.trials {
        trials.close().await;
    }
    let Count { same, other, failed } = replayed?;
    if !args.json {
        let failed = match failed {
            0 => String::new(),
            failed => format!(", {failed} not replayed"),
        };
        screen.note(format!("{same} the same, {other} different{failed}"));
    }
    if other + failed == 0 { Ok(()) } else { Err(Error::Said) }
}

impl Replayer<'_> {
    async fn each(&self) -> Result<Count, Error> {
        let mut count = Count::default();
        for path in &self.args.recordings {
            let name = path.display().to_string();
            let replayed = match (&self.trials, Replay::open(path)) {
                (Some(trials), _) if !path.exists() => trials.record(path).await,
                (_, Ok(replay)) => self.check(&name, &replay).await,
                (_, Err(error)) => Err(error.into()),
            };
            self.count(&name, replayed, &mut count)?;
        }
        if self.args.all {
            let store = host::open(self.settings)?;
            let checked = self.all(store.as_ref(), &mut count).await;
            store.close().await;
            checked?;
        }
        Ok(count)
    }

    /// Replays the ended agent tasks of a journal, the newest first; children go with their parents.
    async fn all(&self, store: &dyn Store, count: &mut Count) -> Result<(), Error> {
        for task in all_tasks(store, Filter::default()).await? {
            let of_agent = task.function == AGENT_FUNCTION && task.parent.is_none();
            if of_agent && task.status.is_ended() {
                let replay = Replay::of(Recording::of(store, task.id).await?);
                let name = task.id.to_string();
                self.count(&name, self.check(&name, &replay).await, count)?;
            }
        }
        Ok(())
    }

    /// Counts what came of one recording. One that cannot be replayed, because its agent is gone or
    /// the file is none, is told of and is no end of the others.
    fn count(
        &self,
        name: &str,
        replayed: Result<bool, Error>,
        count: &mut Count,
    ) -> Result<(), Error> {
        let is_only = !self.args.all && self.args.recordings.len() == 1;
        match replayed {
            Ok(true) => count.same += 1,
            Ok(false) => count.other += 1,
            Err(error @ (Error::Replay(_) | Error::Config(config::Error::UnknownAgent { .. })))
                if !is_only =>
            {
                count.failed += 1;
                if self.args.json {
                    self.screen.line(json!({"recording": name, "error": error.to_string()}));
                } else {
                    let word = coloured(AnsiColor::Red, "not replayed");
                    self.screen.line(format!("{}  {word}", bold(name)));
                    self.screen.line(format!("  {error}"));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Replays one recording and tells what came of it: whether it is the same.
    async fn check(&self, name: &str, replay: &Replay) -> Result<bool, Error> {
        if let Some(trials) = &self.trials {
            return trials.run(name, replay).await;
        }
        let run = run(replay, self.args, self.settings).await?;
        tell(name, &run, self.args.json, self.screen);
        Ok(run.is_same())
    }
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
    headline(name, run.is_same(), screen);
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

/// Whether a recording's replay is the same.
pub(super) fn headline(name: &str, is_same: bool, screen: &Screen) {
    let word = if is_same {
        coloured(AnsiColor::Green, "same")
    } else {
        coloured(AnsiColor::Red, "different")
    };
    screen.line(format!("{}  {word}", bold(name)));
}

/// A line of a diff in the colours that people know.
pub(super) fn painted(line: &str) -> String {
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
