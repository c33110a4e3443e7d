//! A live run of an agent that meets its recording instead of a part of the world.
//!
//! It is a run like any other, on a runtime and a journal of its own: the agent loop, its budget, its
//! children and its questions are real, and only the outcomes of steps come from elsewhere
//! ([`StandIn`](crate::durable::StandIn)). So what comes out is a recording like any other too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::answers::{Answers, Replies, Sources};
use super::compare::Comparison;
use super::rerun::Rerun;
use super::tape::Tape;
use super::world::{Person, World};
use super::{Error, error, pinned};
use crate::agent::{Definition, Models, Pinned, Prices, Servers, Toolbox};
use crate::journal::{Event, Payload, Recording, Redaction, is_same_but_redacted};

/// What becomes of that which is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    /// It ends the run with [`Error::NotRecorded`]. Nothing is written.
    #[default]
    None,
    /// Where there is no recording yet all is done for real and recorded; otherwise as
    /// [`Record::None`].
    Once,
    /// It is done for real, and stands in the new recording.
    NewEpisodes,
    /// Everything is done for real and recorded anew.
    All,
}

/// A run of an agent, to be begun by [`Trial::agent`], [`Trial::definition`] or
/// [`Trial::as_recorded`]. Made by [`Replay::decisions`](super::Replay::decisions),
/// [`Replay::tools`](super::Replay::tools) and [`recorded`](super::recorded()). To drop the future of
/// a run cancels it.
#[derive(Clone)]
#[must_use = "a trial does nothing until an agent is run"]
pub struct Trial {
    recording: Option<Arc<Recording>>,
    /// Where it is kept, when the run is to keep it.
    file: Option<PathBuf>,
    replies: Replies,
    recorded_tools: bool,
    record: Record,
    world: World,
    input: Option<Value>,
    servers: Option<Servers>,
    callees: Vec<Definition>,
    model: Option<String>,
    prices: Prices,
    redaction: Redaction,
}

impl Trial {
    pub(super) fn new(
        recording: Option<Arc<Recording>>,
        replies: Replies,
        recorded_tools: bool,
    ) -> Self {
        Self {
            recording,
            file: None,
            replies,
            recorded_tools,
            record: Record::None,
            world: World::default(),
            input: None,
            servers: None,
            callees: Vec::new(),
            model: None,
            prices: Prices::default(),
            redaction: Redaction::usual(),
        }
    }

    pub(super) fn kept_in(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }

    /// What becomes of that which is not recorded: [`Record::None`] where this is not said.
    pub fn record(mut self, record: Record) -> Self {
        self.record = record;
        self
    }

    /// The models to ask.
    pub fn models(mut self, models: Arc<dyn Models>) -> Self {
        self.world.models = Some(models);
        self
    }

    /// The tool servers to call.
    pub fn toolbox(mut self, tools: Arc<dyn Toolbox>) -> Self {
        self.world.tools = Some(tools);
        self
    }

    /// Who answers questions that are not recorded. Without this such a question ends the run: it
    /// never waits for an answer that nobody will give.
    pub fn person(mut self, person: impl Person + 'static) -> Self {
        self.world.person = Some(Arc::new(person));
        self
    }

    /// What the `${VAR}`s of an agent's HTTP headers stand for.
    pub fn variables(
        mut self,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.world.variables = Some(Arc::new(variables));
        self
    }

    /// What the agent is called with: needed where there is no recording, which holds it otherwise.
    pub fn input(mut self, arguments: impl Into<Value>) -> Self {
        self.input = Some(arguments.into());
        self
    }

    /// The project's tool servers, for an agent's file that leaves them to the configuration
    /// [default: those of the recording].
    pub fn servers(mut self, servers: Servers) -> Self {
        self.servers = Some(servers);
        self
    }

    /// The agents that the agent may call, directly or through others [default: those of the
    /// recording].
    pub fn callees(mut self, callees: Vec<Definition>) -> Self {
        self.callees = callees;
        self
    }

    /// The model that the agent asks, whatever its file names. The agents that it calls keep theirs.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// What models cost, besides what the recording knows of that.
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// What is secret, and not written into a recording [default: [`Redaction::usual`]].
    pub fn redact(mut self, rules: Redaction) -> Self {
        self.redaction = rules;
        self
    }

    /// Runs the agent as its file describes it now.
    ///
    /// # Errors
    /// As [`Trial::definition`]; when the file cannot be read or is wrong.
    pub async fn agent(&self, path: impl AsRef<Path>) -> Result<Comparison, Error> {
        let path = path.as_ref();
        let text = error::read(path)?;
        let recorded = self.recorded()?;
        let servers = match (&self.servers, &recorded) {
            (Some(servers), _) => servers.clone(),
            (None, Some(recorded)) => recorded.agent.servers().clone(),
            (None, None) => Servers::new(),
        };
        let shown = path.display().to_string();
        self.definition(Definition::parse_in_project(&shown, &text, &servers)?).await
    }

    /// Runs an agent, with the recorded models where it names none.
    ///
    /// # Errors
    /// [`Error::NotRecorded`] for what the recording does not hold and the world is not to be asked
    /// for; when the recording is not of an agent, or the agent may call one that is not known.
    pub async fn definition(&self, agent: Definition) -> Result<Comparison, Error> {
        let mut now = match self.recorded()? {
            None => Pinned::new(agent, Vec::new(), &self.prices),
            Some(recorded) => {
                let agent = agent.or_models(&recorded.models);
                Pinned { models: agent.models().to_vec(), agent, ..recorded }
            }
        };
        let callees = self.callees.iter().map(|agent| (agent.name().to_owned(), agent.clone()));
        now.agents.extend(callees);
        let is_unknown = |name: &&String| !now.agents.contains_key(*name);
        let all = std::iter::once(&now.agent).chain(now.agents.values());
        if let Some(unknown) = all.flat_map(Definition::agents).find(is_unknown) {
            return Err(Error::UnknownCallee { name: unknown.clone() });
        }
        self.run(now).await
    }

    /// Runs the agent as it was recorded.
    ///
    /// # Errors
    /// As [`Trial::definition`], and when there is no recording.
    pub async fn as_recorded(&self) -> Result<Comparison, Error> {
        match self.recorded()? {
            Some(recorded) => self.run(recorded).await,
            None => Err(Error::not_an_agent(&"there is no recording yet to take the agent from")),
        }
    }

    fn recorded(&self) -> Result<Option<Pinned>, Error> {
        self.recording.as_deref().map(pinned::of).transpose()
    }

    /// Runs what is pinned, compares, and keeps the recording where that is wanted.
    async fn run(&self, mut now: Pinned) -> Result<Comparison, Error> {
        if let Some(model) = &self.model {
            now.models = vec![model.clone()];
        }
        let callees = now.agents.values().flat_map(Definition::models);
        let models: Vec<String> = now.models.iter().chain(callees).cloned().collect();
        now.prices = now.prices.and(self.prices.only(&models));
        let tape = match (&self.recording, self.record) {
            (None, Record::None) => return Err(Error::NoRecording),
            (None, _) | (_, Record::All) => None,
            (Some(recording), _) => Some(Tape::new(Arc::clone(recording))),
        };
        if tape.is_none() {
            self.world.can_do_all(&now)?;
        }
        let sources = Sources {
            replies: self.replies,
            recorded_tools: self.recorded_tools,
            world: (self.record == Record::NewEpisodes).then(|| self.world.reach()),
        };
        let answers = tape.map(|tape| Arc::new(Answers::new(tape, sources)));
        let input = self.arguments()?;
        let rerun = Rerun {
            world: &self.world,
            recording: self.recording.as_deref(),
            answers: answers.clone(),
        };
        let recording = Arc::new(rerun.run(&now, input).await?);
        let compared = Comparison::new(
            self.recording.as_ref().unwrap_or(&recording),
            &recording,
            self.redaction.clone(),
        );
        let is_new = answers.is_none_or(|answers| answers.asked_anew());
        match &self.file {
            // A failure is not to be replayed for ever because of one bad moment.
            Some(file) if is_new && compared.answer().is_some() => compared.save(file).await?,
            _ => {}
        }
        Ok(compared)
    }

    /// What the agent is called with.
    fn arguments(&self) -> Result<Payload, Error> {
        let given = self.input.as_ref().map(Payload::of).transpose();
        let given = given.map_err(|error| Error::not_an_agent(&error))?;
        let first =
            self.recording.as_deref().and_then(|recording| recording.root().records.first());
        let Some(Event::TaskCreated { input: recorded, .. }) = first.map(|first| &first.event)
        else {
            return given.ok_or(Error::NoInput);
        };
        let anew = matches!(self.record, Record::NewEpisodes | Record::All);
        match (given, recorded.read::<Value>(), &self.input) {
            (None, ..) => Ok(recorded.clone()),
            // A recording whose secrets were taken out goes on without them.
            (Some(_), Ok(then), Some(now)) if is_same_but_redacted(&then, now) => {
                Ok(recorded.clone())
            }
            (Some(given), ..) if anew => Ok(given),
            (Some(given), ..) => Err(Error::OtherInput { recorded: recorded.clone(), given }),
        }
    }
}

/// An agent's runs, recorded in a file where they are not recorded yet: for a test that runs without
/// network, key and cost once its recording is there.
///
/// What a model is asked is answered from the file where the same model was asked the same before, and
/// a tool's call where that tool was called so before. See [`Record`] for what becomes of the rest; the
/// file is written when anything new was recorded and the run ended well, without what is secret. A run
/// whose input had secrets goes on without them once they are out of the recording.
///
/// ```no_run
/// # async fn example(
/// #     models: std::sync::Arc<dyn relight::agent::Models>,
/// #     servers: std::sync::Arc<dyn relight::agent::Toolbox>,
/// # ) -> Result<(), relight::replay::Error> {
/// use relight::replay::{self, Record};
/// use serde_json::json;
///
/// let run = replay::recorded("tests/recordings/refund.jsonl", Record::Once)?
///     .models(models)
///     .toolbox(servers)
///     .input(json!({"task": "refund order 7"}))
///     .agent("prompts/support.md")
///     .await?;
/// assert_eq!(run.calls_to("charge_card").len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When there is a file that is no readable recording; with [`Record::None`] also when there is none.
pub fn recorded(path: impl AsRef<Path>, record: Record) -> Result<Trial, Error> {
    let path = path.as_ref();
    let recording = match super::Replay::open(path) {
        Ok(replay) => Some(replay.recording),
        Err(Error::Unreadable { why, .. })
            if why.kind() == std::io::ErrorKind::NotFound && record != Record::None =>
        {
            None
        }
        Err(error) => return Err(error),
    };
    let trial = Trial::new(recording, Replies::BySameRequest, true);
    Ok(trial.record(record).kept_in(path))
}
