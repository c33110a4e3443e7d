//! Puts the rooms together: a journal, models, tools and agents make a runtime.

use std::path::PathBuf;
use std::sync::Arc;

use relight::agent::models::{ModelsConfig, OpenAiConfig, Registry, SecretString};
use relight::agent::{AGENT_FUNCTION, AgentLoop, Definition, Models, NO_MODEL, Pinned};
use relight::config::{self, Environment, Settings};
use relight::durable::Runtime;
use relight::journal::Store;
use relight::journal::sqlite::Sqlite;
use relight::mcp::client::Downstream;

use super::Error;

/// A running runtime and what has to be closed after it.
pub(super) struct Host {
    pub(super) runtime: Runtime,
    downstream: Arc<Downstream>,
}

/// Whose tasks a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Every unfinished task of the journal.
    All,
    /// Only what is started or adopted through it.
    Own,
}

impl Host {
    pub(super) async fn start(
        settings: &Settings,
        environment: &Environment,
        runs: Runs,
    ) -> Result<Self, Error> {
        Self::over(open(settings)?, settings, environment, runs).await
    }

    /// As [`Host::start`], over a journal that is open.
    pub(super) async fn over(
        store: Arc<dyn Store>,
        settings: &Settings,
        environment: &Environment,
        runs: Runs,
    ) -> Result<Self, Error> {
        let downstream = Arc::new(Downstream::new(variables(environment)));
        let agents = AgentLoop::new(models(settings), Arc::clone(&downstream) as _)
            .with_variables(variables(environment));
        let builder = Runtime::builder(store).register(AGENT_FUNCTION, Arc::new(agents));
        let builder = if runs == Runs::Own { builder.only_own() } else { builder };
        Ok(Self { runtime: builder.start().await?, downstream })
    }

    /// Leaves every task to be taken up at once by the next process, and stops the tool servers.
    pub(super) async fn stop(self) {
        self.runtime.shutdown().await;
        self.downstream.close().await;
        self.runtime.store().close().await;
    }
}

/// The models of the configuration. Nothing is opened yet.
pub(super) fn models(settings: &Settings) -> Arc<Registry> {
    let mut openai = OpenAiConfig::default();
    openai.base_url = settings.openai.base_url.clone();
    openai.api_key =
        settings.openai.api_key.as_ref().map(|key| SecretString::from(key.expose().to_owned()));
    let (script_dir, pace) = (PathBuf::new(), settings.pace);
    Arc::new(Registry::new(ModelsConfig { openai, script_dir, pace }))
}

/// Why agents cannot be run: those none of whose models can be used.
pub(super) fn unusable(agents: &[Definition], settings: &Settings) -> Vec<String> {
    let models = models(settings);
    let why = |agent: &Definition| {
        let mut wrong = Vec::new();
        for name in agent.models() {
            match models.open(name) {
                Ok(_) => return None,
                Err(failure) => wrong.push(format!("{name}: {failure}")),
            }
        }
        let why = if wrong.is_empty() { NO_MODEL.to_owned() } else { wrong.join("; ") };
        Some(format!("{} cannot be run: {why}", agent.name()))
    };
    agents.iter().filter_map(why).collect()
}

/// What the `${VAR}`s of agents and servers stand for.
pub(super) fn variables(
    environment: &Environment,
) -> impl Fn(&str) -> Option<String> + Send + Sync + 'static {
    let environment = environment.clone();
    move |name| environment.get(name).or_else(|| ours(name))
}

/// What an agent's file may say besides the environment: `${RELIGHT_PROGRAM}` is this program.
fn ours(name: &str) -> Option<String> {
    let program = (name == "RELIGHT_PROGRAM").then(std::env::current_exe)?.ok()?;
    Some(program.display().to_string())
}

/// Opens the journal alone, for commands that run nothing.
pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(Sqlite::open(&settings.journal.value)?))
}

/// What tasks of this agent are pinned to when they start.
///
/// # Errors
/// When an agent that it may call does not exist, or its file is wrong.
pub(super) fn pin(agent: Definition, settings: &Settings) -> Result<Pinned, Error> {
    let callees = config::load_callees(settings, &agent)?;
    Ok(Pinned::new(agent, callees, &settings.prices))
}
