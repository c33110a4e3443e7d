//! Finds the provider of a model by the name in an agent's file, and keeps what it opened.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::agent::{Model, Models, OpenModel};
use crate::journal::Failure;

use super::openai::{OpenAi, OpenAiConfig, Responses};
use super::script::Script;
use super::{Pace, PaceConfig};

/// Where models are to be found.
#[derive(Debug, Clone, Default)]
pub struct ModelsConfig {
    /// The OpenAI-compatible server.
    pub openai: OpenAiConfig,
    /// What the path in `script:PATH` is relative to.
    pub script_dir: PathBuf,
    /// The bounds on each provider's calls. Where none are set, those of the server are at their
    /// default, and scripts have none.
    pub pace: Option<PaceConfig>,
}

/// The providers of a [`ModelsConfig`]. A client is built and a script is read when a model of
/// theirs is first opened.
#[derive(Debug)]
pub struct Registry {
    config: ModelsConfig,
    openai_pace: Arc<Pace>,
    script_pace: Option<Arc<Pace>>,
    openai: Mutex<Option<Arc<OpenAi>>>,
    scripts: Mutex<HashMap<PathBuf, Arc<Script>>>,
}

impl Registry {
    /// A registry in which nothing is opened yet.
    pub fn new(config: ModelsConfig) -> Self {
        let openai_pace = Pace::new(config.pace.unwrap_or_default());
        let script_pace = config.pace.map(Pace::new);
        let (openai, scripts) = (Mutex::default(), Mutex::default());
        Self { config, openai_pace, script_pace, openai, scripts }
    }

    /// Both APIs of the server share one client, and what it has learnt of the server.
    fn openai(&self, model: &str) -> Result<Arc<OpenAi>, Failure> {
        if !self.config.openai.is_configured() {
            return Err(Failure::is_final(format!(
                "no server is configured for the model {model:?}: set OPENAI_API_KEY (for OpenAI), \
                 or OPENAI_BASE_URL (for Ollama, vLLM, llama.cpp and others); a model named \
                 script:FILE needs neither"
            )));
        }
        let mut opened = self.openai.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(provider) = &*opened {
            return Ok(Arc::clone(provider));
        }
        let provider = Arc::new(OpenAi::new(&self.config.openai)?);
        *opened = Some(Arc::clone(&provider));
        Ok(provider)
    }

    /// A script is read again on every open, so that an edit counts. An unchanged one stays the
    /// same provider: it knows which calls it has failed on purpose.
    fn script(&self, file: &str) -> Result<Arc<Script>, Failure> {
        let path = self.config.script_dir.join(file);
        let read = Arc::new(Script::read(&path)?);
        let mut opened = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = opened.entry(path).or_insert_with(|| Arc::clone(&read));
        if !kept.is_same(&read) {
            *kept = read;
        }
        Ok(Arc::clone(kept))
    }
}

/// The provider and its own name of a model.
fn parts(model: &str) -> (&str, &str) {
    match model.split_once(':') {
        Some((provider @ ("openai" | "openai-responses" | "script"), name)) => (provider, name),
        // Names at servers hold colons too: `llama3.2:3b`.
        _ => ("openai", model),
    }
}

impl Models for Registry {
    fn pace(&self, model: &str) -> Option<Arc<Pace>> {
        match parts(model) {
            ("script", _) => self.script_pace.clone(),
            _ => Some(Arc::clone(&self.openai_pace)),
        }
    }

    fn open(&self, model: &str) -> Result<OpenModel, Failure> {
        let (provider, name) = parts(model);
        if name.trim().is_empty() {
            return Err(Failure::is_final(format!(
                "{model:?} names no model: write openai:NAME, plain NAME, openai-responses:NAME, or \
                 script:FILE"
            )));
        }
        let provider: Arc<dyn Model> = match provider {
            "script" => self.script(name)?,
            "openai-responses" => Arc::new(Responses::new(self.openai(name)?)),
            _ => self.openai(name)?,
        };
        Ok(OpenModel { provider, name: name.to_owned() })
    }
}
