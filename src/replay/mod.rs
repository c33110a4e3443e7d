//! Recorded runs, replayed: the same code or prompt against what was recorded, with no network, no
//! key and no cost, and a word on where the two have come apart since.
//!
//! ```no_run
//! # async fn example() -> Result<(), relight::replay::Error> {
//! use relight::replay::Replay;
//!
//! let replay = Replay::open("tests/recordings/refund.jsonl")?;
//! let run = replay.agent("prompts/support.md").await?;
//! run.assert_same(); // the same steps, the same inputs, the same answer
//! assert_eq!(run.calls_to("charge_card").len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! [`Replay::decisions`] and [`Replay::tools`] put one half of the world in the place of its
//! recording, and [`recorded()`] makes a recording where there is none yet.
//!
//! A recording is made by `relight export TASK`, or by [`Recording::of`]. This stands on top of the
//! rooms: it knows agents and durable functions, and nothing of MCP.

mod answers;
mod compare;
mod drift;
mod error;
mod levelled;
mod miss;
mod offline;
mod pinned;
mod redacted;
mod rerun;
mod run;
mod scratch;
mod spending;
mod tape;
mod trial;
mod world;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::answers::Replies;
pub use self::compare::{Comparison, Difference};
pub use self::drift::Drift;
pub use self::error::Error;
pub use self::miss::Miss;
pub use self::redacted::{own_hashes, redacted};
pub use self::run::{Call, Run};
pub use self::spending::Spending;
pub use self::trial::{Record, Trial, recorded};
pub use self::world::Person;
use crate::agent::{AGENT_FUNCTION, Definition, Models, Pinned, Toolbox};
use crate::durable::{self, Context, Function};
use crate::journal::{Event, Failure, Payload, RecordedTask, Recording};

/// A recording, and the functions that its tasks are replayed with.
#[derive(Clone)]
pub struct Replay {
    recording: Arc<Recording>,
    functions: HashMap<String, Arc<dyn Function>>,
}

impl Replay {
    /// Reads a recording from a file.
    ///
    /// # Errors
    /// When the file cannot be read, or is no recording; the message names file and line.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = error::read(path)?;
        let recording = Recording::read(&text)
            .map_err(|why| Error::Recording { path: path.to_owned(), why })?;
        Ok(Self::of(recording))
    }

    /// A recording that is there already.
    pub fn of(recording: Recording) -> Self {
        let functions = HashMap::from([(AGENT_FUNCTION.to_owned(), offline::agent_loop())]);
        Self { recording: Arc::new(recording), functions }
    }

    /// The recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Replays tasks of this name with an `async fn(Context, In) -> Result<Out, Failure>`.
    #[must_use]
    pub fn function<F, In, Out, Fut>(mut self, name: impl Into<String>, code: F) -> Self
    where
        F: Fn(Context, In) -> Fut + Send + Sync + 'static,
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        Fut: Future<Output = Result<Out, Failure>> + Send + 'static,
    {
        self.functions.insert(name.into(), durable::function(code));
        self
    }

    /// A run on the recorded replies of the models and on **real tools**: what would come of the same
    /// decisions in the world as it is now? Every effect of every call happens again, under
    /// idempotency keys of its own.
    ///
    /// A reply is found by its agent and turn, whatever the conversation is by then. What people
    /// answered is taken from the recording where they are asked the very same; no timer is waited
    /// for.
    pub fn decisions(&self, tools: Arc<dyn Toolbox>) -> Trial {
        Trial::new(Some(Arc::clone(&self.recording)), Replies::ByPlace, false).toolbox(tools)
    }

    /// A run on the recorded results of the tools and on real models: what would a new model or
    /// prompt do? No tool server is started or reached, unless what is not recorded is to be asked of
    /// it ([`Trial::record`], [`Trial::toolbox`]).
    ///
    /// A result is found by the tool, its arguments and how often that call was made before, in
    /// whichever turn it is made now. Questions and timers are as in [`Replay::decisions`].
    pub fn tools(&self, models: Arc<dyn Models>) -> Trial {
        Trial::new(Some(Arc::clone(&self.recording)), Replies::Real, true).models(models)
    }

    /// Replays all tasks of the recording with what they were pinned to: what differs is due to
    /// relight's code or to that of a function.
    ///
    /// # Errors
    /// When a task is of a function that is not there: see [`Replay::function`].
    pub async fn as_recorded(&self) -> Result<Run, Error> {
        self.run(&self.recording, None).await
    }

    /// Replays the recorded agent as its file describes it now. What the file leaves to the
    /// configuration (a default model, the project's servers) is taken from the recording.
    ///
    /// # Errors
    /// When the file cannot be read or is wrong, or the recording is not of an agent.
    pub async fn agent(&self, path: impl AsRef<Path>) -> Result<Run, Error> {
        let path = path.as_ref();
        let text = error::read(path)?;
        let recorded = pinned::of(&self.recording)?;
        let shown = path.display().to_string();
        let agent = Definition::parse_in_project(&shown, &text, recorded.agent.servers())?;
        self.definition(agent).await
    }

    /// Replays the recorded agent with this definition, and with the recorded models where it names
    /// none.
    ///
    /// # Errors
    /// When the recording is not of an agent.
    pub async fn definition(&self, agent: Definition) -> Result<Run, Error> {
        let recorded = pinned::of(&self.recording)?;
        let agent = agent.or_models(&recorded.models);
        let now = Pinned { models: agent.models().to_vec(), agent, ..recorded.clone() };
        let definition = Payload::of(&now).map_err(|error| Error::not_an_agent(&error))?;
        let root = self.recording.root().id;
        let changed = self.recording.as_ref().clone().map(|task| {
            let mut records = task.records.clone();
            if task.id == root
                && let Some(Event::TaskCreated { definition: pinned, .. }) =
                    records.first_mut().map(|record| &mut record.event)
            {
                *pinned = Some(definition.clone());
            }
            records
        });
        self.run(&Arc::new(changed), Some((&recorded, &now))).await
    }

    async fn run(
        &self,
        recording: &Arc<Recording>,
        changed: Option<(&Pinned, &Pinned)>,
    ) -> Result<Run, Error> {
        let mut drifts = Vec::new();
        for task in recording.tasks() {
            let function = self.function_of(task)?;
            let replayed = durable::replay(function, recording, task.id).await?;
            let changed = changed.filter(|_| task.id == recording.root().id);
            drifts.extend(drift::of(task, replayed, changed));
        }
        Ok(Run::new(Arc::clone(recording), drifts))
    }

    fn function_of(&self, task: &RecordedTask) -> Result<&Arc<dyn Function>, Error> {
        let Some(Event::TaskCreated { function, .. }) =
            task.records.first().map(|record| &record.event)
        else {
            return Err(Error::not_an_agent(&"it has no first event"));
        };
        self.functions
            .get(function)
            .ok_or_else(|| Error::UnknownFunction { task: task.id, function: function.clone() })
    }
}
