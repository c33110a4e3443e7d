//! Everything that is set, once, with where each value comes from.

use std::fmt;
use std::path::PathBuf;

use super::file::SettingsFile;
use super::{Environment, Error, Flags};
use crate::agent::models::PaceConfig;
use crate::agent::{ContextSizes, Prices};
use crate::journal::Redaction;
use crate::limits;

/// The resolved configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of the agent files. It may not exist: not every command needs agents.
    pub agents: Setting<PathBuf>,
    /// The journal's file. It may not exist yet.
    pub journal: Setting<PathBuf>,
    /// The project's tool servers, where a file was named or found.
    pub mcp_config: Option<Setting<PathBuf>>,
    /// The model of the agents whose files name none.
    pub model: Option<Setting<String>>,
    /// How the OpenAI-compatible server is reached.
    pub openai: OpenAi,
    /// What models cost.
    pub prices: Prices,
    /// How many tokens models can read.
    pub context: ContextSizes,
    /// Bounds on the calls of each provider of models; `None` where the file says nothing.
    pub pace: Option<PaceConfig>,
    /// How long a finished task is kept, in milliseconds from its creation.
    pub ttl_ms: u64,
    /// What is taken out of an exported recording.
    pub redaction: Redaction,
}

/// A value and what set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// What set it.
    pub from: Source,
}

/// What set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag, such as `--agents`.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A settings file.
    File(PathBuf),
    /// An argument of the command.
    Argument,
    /// Nobody: it is the default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
            Self::Argument => f.write_str("the command line"),
            Self::Default => f.write_str("the defaults"),
        }
    }
}

/// How the OpenAI-compatible server is reached.
#[derive(Debug, Clone, Default)]
pub struct OpenAi {
    /// `OPENAI_API_KEY`.
    pub api_key: Option<Secret>,
    /// `OPENAI_BASE_URL`; begins with `http://` or `https://` and has no slash at its end.
    pub base_url: Option<String>,
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

impl Settings {
    /// Puts flags, environment and settings file together.
    ///
    /// # Errors
    /// When a file that was named is not there, the settings file is wrong, a variable has an
    /// impossible value, or the journal has no place.
    pub fn resolve(flags: &Flags, environment: &Environment) -> Result<Self, Error> {
        let given = |flag: &'static str, value: &Option<PathBuf>, variable: &'static str| {
            let flag = value.clone().map(|value| Setting { value, from: Source::Flag(flag) });
            flag.or_else(|| variable_of(environment, variable).map(|set| set.map(PathBuf::from)))
        };
        let found = |local: &str, config: &str| {
            let local = Some(environment.local(local)).filter(|path| path.exists());
            let config = || environment.config(config).filter(|path| path.exists());
            local.or_else(config).map(Setting::default_of)
        };

        let config = given("--config", &flags.config, "RELIGHT_CONFIG")
            .or_else(|| found("relight.yaml", "relight.yaml"));
        let file = match &config {
            Some(config) => SettingsFile::load(&config.value, &config.from)?,
            None => SettingsFile::default(),
        };
        let agents = given("--agents", &flags.agents, "RELIGHT_AGENTS")
            .or_else(|| found("prompts", "agents"))
            .unwrap_or_else(|| Setting::default_of(environment.local("prompts")));
        let journal = given("--journal", &flags.journal, "RELIGHT_JOURNAL")
            .or_else(|| environment.data("journal.db").map(Setting::default_of))
            .ok_or(Error::NoHome {
                what: "the journal",
                flag: "--journal",
                variable: "RELIGHT_JOURNAL",
            })?;
        let in_file = |model| {
            let from = config.map_or(Source::Default, |config| Source::File(config.value));
            Setting { value: model, from }
        };
        let model = (flags.model.clone())
            .map(|value| Setting { value, from: Source::Flag("--model") })
            .or_else(|| variable_of(environment, "RELIGHT_MODEL"))
            .or_else(|| file.model.map(in_file));

        Ok(Self {
            agents,
            journal,
            mcp_config: given("--mcp-config", &flags.mcp_config, "RELIGHT_MCP_CONFIG")
                .or_else(|| found(".mcp.json", "mcp.json")),
            model,
            openai: OpenAi {
                api_key: environment.get("OPENAI_API_KEY").map(Secret::new),
                base_url: base_url(environment)?,
            },
            prices: file.prices,
            context: file.context,
            pace: file.pace,
            ttl_ms: file.ttl_ms.unwrap_or(limits::TASK_TTL_MS),
            redaction: file.redaction,
        })
    }
}

impl<T> Setting<T> {
    fn default_of(value: T) -> Self {
        Self { value, from: Source::Default }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        Setting { value: change(self.value), from: self.from }
    }
}

fn variable_of(environment: &Environment, name: &'static str) -> Option<Setting<String>> {
    environment.get(name).map(|value| Setting { value, from: Source::Variable(name) })
}

fn base_url(environment: &Environment) -> Result<Option<String>, Error> {
    const VARIABLE: &str = "OPENAI_BASE_URL";
    let Some(url) = environment.get(VARIABLE) else { return Ok(None) };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let why = "it must begin with http:// or https://, such as http://127.0.0.1:11434/v1";
        return Err(Error::Variable { variable: VARIABLE, value: url, why });
    }
    Ok(Some(url.trim_end_matches('/').to_owned()))
}
