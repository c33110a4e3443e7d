//! The commands, one file each, and what they share.

mod asking;
mod completions;
mod demo;
mod export;
mod follow;
mod form;
mod host;
mod named;
mod replay;
mod run;
mod screen;
mod serve;
mod story;
mod tasks;
mod till;
mod token;
mod trial;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use relight::agent::AnswerError;
use relight::config::{Environment, Flags, Settings};
use relight::journal::TaskId;
use relight::limits;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use screen::{Log, Screen};

/// An AI agent loop runtime, exposed as an MCP server: agents go on mid-plan after a crash.
///
/// Exit codes: 0 all is well, 1 the task or the command failed, 2 the command line is wrong,
/// 3 there is no such task, question or agent, 130 interrupted (the task can be resumed).
#[derive(Debug, Parser)]
#[command(name = "relight", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch an agent being killed in the middle of its plan and going on where it was
    Demo(demo::Args),
    /// Serve the agents as MCP tools, over stdin and stdout or HTTP
    Serve(serve::Args),
    /// Run one agent in this terminal
    Run(run::Args),
    /// List, show, watch, answer, cancel, fork and resume tasks
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// Write a task and its children as a recording: one file to replay, read and compare
    Export(export::Args),
    /// Replay recorded runs on the agents as they are now, and tell what differs
    Replay(replay::Args),
    /// Check all agent files and settings
    Validate,
    /// Draw a bearer token for serving over HTTP
    Token(token::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// The demo's tool server
    #[command(hide = true)]
    Till(relight::mcp::till::Options),
}

/// What a command can end with.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Config(#[from] relight::config::Error),
    #[error(transparent)]
    Journal(#[from] relight::journal::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Till(#[from] relight::mcp::till::Error),
    #[error(transparent)]
    Serve(#[from] relight::mcp::server::Error),
    #[error(transparent)]
    Http(#[from] relight::mcp::server::HttpError),
    #[error(transparent)]
    Client(#[from] relight::mcp::TaskClientError),
    #[error(transparent)]
    Replay(#[from] relight::replay::Error),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NoTask(String),
    #[error("{0}")]
    NoQuestion(String),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Everything has been said already; only the exit code is left.
    #[error("failed")]
    Said,
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Answer(AnswerError::NoAnswer { .. } | AnswerError::DoesNotFit { .. }) => 2,
            Self::NoTask(_)
            | Self::NoQuestion(_)
            | Self::Journal(relight::journal::Error::UnknownTask { .. })
            | Self::Config(relight::config::Error::UnknownAgent { .. }) => 3,
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

/// What is logged unless `RELIGHT_LOG` says otherwise.
const LOG: &str = "warn";

/// What is logged only where `RELIGHT_LOG` names it. What rmcp has to say of broken connections reaches
/// people in the errors of those who used them, and there without the addresses, which may hold secrets.
const QUIET: &str = "rmcp=off";

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of_process();
    // Under stdio, stdout carries nothing but the protocol: logs go to stderr.
    let filter = environment.get("RELIGHT_LOG").unwrap_or_else(|| LOG.to_owned());
    let filter = format!("{QUIET},{filter}");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| Log)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr())
                && environment.get("NO_COLOR").is_none(),
        )
        .init();
    let screen = Screen::new();
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(limits::worker_threads())
        .enable_all()
        .build()
        .map_err(Error::from)
        .and_then(|tokio| tokio.block_on(dispatch(cli, &environment, &screen)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, Error::Said | Error::Interrupted) {
                screen.error(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(cli: Cli, environment: &Environment, screen: &Screen) -> Result<(), Error> {
    let settings = || Settings::resolve(&cli.flags, environment);
    match cli.command {
        Command::Demo(args) => demo::demo(args, cli.flags.model.as_deref(), screen).await,
        Command::Serve(args) => serve::serve(args, &settings()?, environment, screen).await,
        Command::Run(args) => run::run(args, &settings()?, environment, screen).await,
        Command::Tasks(command) => {
            tasks::tasks(command, &settings()?, environment, cli.flags.model.as_deref(), screen)
                .await
        }
        Command::Export(args) => export::export(&args, &settings()?, screen).await,
        Command::Replay(args) => {
            let model = cli.flags.model.as_deref();
            replay::replay(&args, &settings()?, environment, model, screen).await
        }
        Command::Validate => validate::validate(&settings()?, screen),
        Command::Token(args) => token::token(&args, screen),
        Command::Completions(args) => completions::completions(&args, screen),
        Command::Till(options) => till::till(options).await,
    }
}

/// Ends at the first SIGTERM or SIGINT (Ctrl-C).
fn interrupted() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let mut interrupts = Interrupts::new()?;
    Ok(async move { interrupts.next().await })
}

/// SIGTERMs and SIGINTs (Ctrl-C), one after another, for as long as this lives.
struct Interrupts {
    terminate: Signal,
    interrupt: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, Error> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The task whose id begins like this.
async fn find_task(store: &dyn relight::journal::Store, prefix: &str) -> Result<TaskId, Error> {
    let filter = relight::journal::Filter {
        id_prefix: Some(prefix.to_ascii_lowercase()),
        limit: 2,
        ..Default::default()
    };
    let hex = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = if hex { store.tasks(filter).await? } else { Vec::new() };
    match found.as_slice() {
        [task] => Ok(task.id),
        [] => Err(Error::NoTask(format!(
            "no task {prefix:?}: the id is wrong, or it has ended and its time to live is over; see `relight tasks list`"
        ))),
        _ => Err(Error::NoTask(format!(
            "more than one task begins with {prefix:?}; give more of its id"
        ))),
    }
}
