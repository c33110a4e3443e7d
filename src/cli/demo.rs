//! `relight demo`: an agent is killed in the middle of its plan, twice, and goes on where it was.
//!
//! Nothing here is staged: relight runs as a real MCP server in a child process, the tools are
//! another process with a ledger file of its own, and the kill is a SIGKILL. Only the model is a
//! script, unless `--model` names a real one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anstyle::AnsiColor;
use relight::agent::Outcome;
use relight::journal::sqlite::Sqlite;
use relight::journal::{Effect, Event, Record, StepKind, StepState, Store, TaskId};
use relight::mcp::till::{self, Entry, Moment};
use relight::mcp::{TaskClient, TaskView};
use serde_json::json;
use tokio::process::Command;

use super::Error;
use super::screen::{Screen, bold, coloured, dim};
use super::story::{Manner, Teller, beside};

/// How long an act may take before the demo gives up on it: real models take their time.
const ACT_MAX: Duration = Duration::from_secs(300);

/// How often the demo looks at the journal and the ledger.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How far the story stands in, below what is said of the act.
const MARGIN: usize = 2;

const AGENT: &str = include_str!("../../prompts/checkout.md");
const SCRIPT: &str = include_str!("../../prompts/checkout.script.yaml");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Keep the demo's files (journal, ledger, logs) here instead of deleting them
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// When the server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// Once the journal holds the charge's outcome.
    Recorded,
    /// Once the ledger holds the charge, and before its outcome reaches the journal.
    TookEffect,
}

pub(super) async fn demo(args: Args, model: Option<&str>, screen: &Screen) -> Result<(), Error> {
    let (home, temporary) = match args.keep {
        Some(dir) => (dir, false),
        None => (std::env::temp_dir().join(format!("relight-demo-{}", std::process::id())), true),
    };
    let result = both_acts(&home, model, screen).await;
    if temporary {
        // What is left in the system's place for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&home);
    }
    result
}

async fn both_acts(home: &Path, model: Option<&str>, screen: &Screen) -> Result<(), Error> {
    let acts = [
        (Kill::Recorded, "A-1001", "Act one: killed right after the charge was recorded"),
        (
            Kill::TookEffect,
            "A-1002",
            "Act two: killed after the charge took effect, before that was recorded",
        ),
    ];
    let mut good = true;
    for (n, (kill, order, title)) in acts.into_iter().enumerate() {
        screen.line(format!("\n{}", bold(title)));
        let stage = Stage::set(&home.join(format!("act-{}", n + 1)), model)?;
        let act = tokio::time::timeout(ACT_MAX, stage.play(kill, order, screen));
        good &= act.await.map_err(|_| {
            Error::Usage(format!(
                "the act did not end within {ACT_MAX:?}; see {}",
                stage.log().display()
            ))
        })??;
    }
    if !good {
        screen.line(coloured(AnsiColor::Red, "\nThe ledger is not what it should be."));
        return Err(Error::Said);
    }
    screen.line(format!(
        "\n{}",
        coloured(AnsiColor::Green, "Two kills, and each order was charged exactly once.")
    ));
    Ok(())
}

/// The files of one act, and the model it runs on.
struct Stage {
    home: PathBuf,
    model: String,
}

impl Stage {
    fn set(home: &Path, model: Option<&str>) -> Result<Self, Error> {
        if home.exists() {
            std::fs::remove_dir_all(home)?;
        }
        std::fs::create_dir_all(home.join("prompts"))?;
        std::fs::write(home.join("prompts/checkout.md"), AGENT)?;
        std::fs::write(home.join("checkout.script.yaml"), SCRIPT)?;
        let script = || format!("script:{}", home.join("checkout.script.yaml").display());
        Ok(Self { home: home.to_owned(), model: model.map_or_else(script, str::to_owned) })
    }

    fn log(&self) -> PathBuf {
        self.home.join("serve.log")
    }

    fn ledger(&self) -> PathBuf {
        self.home.join("ledger.jsonl")
    }

    fn journal(&self) -> PathBuf {
        self.home.join("journal.db")
    }

    /// Starts `relight serve` as a child and connects to it.
    async fn serve(&self) -> Result<TaskClient, Error> {
        let program = std::env::current_exe()?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new(&program);
        command.arg("serve").arg("--agents").arg(self.home.join("prompts"));
        command.arg("--journal").arg(self.journal()).args(["--model", &self.model]);
        command.env("RELIGHT_LEDGER", self.ledger());
        command.stderr(Stdio::from(log));
        Ok(TaskClient::spawn(command).await?)
    }

    /// While this file exists, the till waits after the charge took effect.
    fn hold(&self) -> PathBuf {
        till::pause_file(&self.ledger(), Moment::After, "charge_card")
    }

    /// Plays the act. Returns whether the ledger is as it should be.
    async fn play(&self, kill: Kill, order: &str, screen: &Screen) -> Result<bool, Error> {
        if kill == Kill::TookEffect {
            std::fs::write(self.hold(), "")?;
        }
        let server = self.serve().await?;
        let arguments = json!({"order": order, "amount_cents": 4200, "email": "ada@example.org"});
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let task = server.call("checkout", arguments).await?;
        screen.line(format!("  tools/call checkout {order}  {}", dim(format!("-> task {task}"))));

        let id: TaskId = task.parse().map_err(|error| Error::Usage(format!("{error}")))?;
        let journal = Sqlite::open(&self.journal())?;
        let mut told = Told::new(id, screen);
        match kill {
            Kill::Recorded => {
                while !told.charged() {
                    told.catch_up(&journal, id, screen).await?;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
            Kill::TookEffect => {
                while charges(&self.entries()?, order) == 0 {
                    told.catch_up(&journal, id, screen).await?;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        server.kill().await?;
        told.catch_up(&journal, id, screen).await?;
        screen.line(format!("  {}", coloured(AnsiColor::Red, "kill -9")));
        self.say_state(&told, order, screen)?;
        if kill == Kill::TookEffect {
            std::fs::remove_file(self.hold())?;
        }

        let before = told.spent;
        let server = self.serve().await?;
        screen.line("  started again; the same task id is polled to its end");
        let view = loop {
            let view = server.get(&task).await?;
            told.catch_up(&journal, id, screen).await?;
            if view.ended {
                break view;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        server.close().await?;
        journal.close().await;
        screen.line(told.spent.since(before));
        self.judge(&view, order, screen)
    }

    fn entries(&self) -> Result<Vec<Entry>, Error> {
        Ok(if self.ledger().exists() { till::entries(&self.ledger())? } else { Vec::new() })
    }

    /// What the journal and the world hold at the moment of the kill.
    fn say_state(&self, told: &Told, order: &str, screen: &Screen) -> Result<(), Error> {
        let journal = match told.charge() {
            Some(StepState::Completed(_)) => "the charge as done",
            Some(_) => "the charge as begun, and no outcome",
            None => "no charge",
        };
        let charges = charges(&self.entries()?, order);
        screen
            .line(dim(format!("  the journal holds {journal}; the ledger holds {charges} charge")));
        Ok(())
    }

    /// The ledger has the last word: one charge, one receipt, one sale.
    fn judge(&self, view: &TaskView, order: &str, screen: &Screen) -> Result<bool, Error> {
        let entries = self.entries()?;
        screen.line("  the ledger:");
        for entry in &entries {
            screen.line(format!("    {} {}", entry.tool, entry.args));
        }
        let count = |tool: &str| entries.iter().filter(|entry| entry.tool == tool).count();
        let once = charges(&entries, order) == 1 && count("charge_card") == 1;
        let rest = count("mail_receipt") == 1 && count("update_ledger") == 1;
        let ended = view.status == "completed";
        if !ended || !rest {
            let outcome = view.outcome.clone().unwrap_or_default();
            screen.line(format!("  the task is {}: {outcome}", view.status));
        }
        Ok(once && rest && ended)
    }
}

fn charges(entries: &[Entry], order: &str) -> usize {
    let of_order = |entry: &&Entry| {
        entry.tool == "charge_card" && entry.args.get("order").is_some_and(|it| it == order)
    };
    entries.iter().filter(of_order).count()
}

/// What was told of a task's history so far.
#[derive(Debug)]
struct Told {
    teller: Teller,
    spent: Spent,
}

/// What was paid for.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    calls: u64,
    tokens: u64,
    /// Model calls that were begun again because their reply was lost.
    again: u64,
}

impl Told {
    fn new(task: TaskId, screen: &Screen) -> Self {
        let manner = Manner::beside(MARGIN, screen.columns(), false);
        Self { teller: Teller::new(task, manner), spent: Spent::default() }
    }

    async fn catch_up(
        &mut self,
        journal: &Sqlite,
        task: TaskId,
        screen: &Screen,
    ) -> Result<(), Error> {
        let next = self.teller.history().next_seq();
        for record in journal.history(task, next).await? {
            self.spent.add(&record, &self.teller);
            let news = self
                .teller
                .tell(record)
                .map_err(|source| relight::journal::Error::Illegal { task, source })?;
            for line in news.lines {
                screen.line(beside(MARGIN, "", &line));
            }
        }
        Ok(())
    }

    /// How far the charge got.
    fn charge(&self) -> Option<&StepState> {
        let mut steps = self.teller.history().steps();
        steps
            .find(|(_, step)| step.kind == StepKind::Tool && step.effect == Effect::Once)
            .map(|(_, step)| &step.state)
    }

    fn charged(&self) -> bool {
        self.charge().is_some_and(StepState::is_finished)
    }
}

impl Spent {
    /// What was paid before and after the kill, in words.
    fn since(self, before: Self) -> String {
        let calls =
            |n: u64| if n == 1 { "1 model call".to_owned() } else { format!("{n} model calls") };
        let again = match self.again {
            0 => "none was paid for again".to_owned(),
            again => format!("{} under way at the kill and made again", calls(again)),
        };
        format!(
            "  paid before the kill: {}, {} tokens; after it: {}, {} tokens; {again}",
            calls(before.calls),
            before.tokens,
            calls(self.calls - before.calls),
            self.tokens - before.tokens,
        )
    }

    fn add(&mut self, record: &Record, teller: &Teller) {
        if let Event::StepStarted { kind: StepKind::Model, attempt: 2.., .. } = &record.event {
            self.again += 1;
        }
        let Event::StepCompleted { key, output } = &record.event else { return };
        let is_model = teller.history().step(key).is_some_and(|step| step.kind == StepKind::Model);
        if let (true, Ok(Outcome::Reply(reply))) = (is_model, output.read()) {
            self.calls += 1;
            let usage = reply.usage.unwrap_or_default();
            self.tokens += usage.input_tokens + usage.output_tokens;
        }
    }
}
