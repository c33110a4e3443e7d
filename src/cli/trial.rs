//! `relight replay --mode decisions|tools`: recorded runs made again with one half of the world real.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use relight::agent::models::Registry;
use relight::agent::{AGENT_FUNCTION, Definition, Pinned};
use relight::config::{self, Environment, Settings};
use relight::durable::{Answer, Question};
use relight::journal::Event;
use relight::mcp::client::Downstream;
use relight::replay::{self, Comparison, Difference, Miss, Person, Record, Replay, Trial};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::sync::mpsc::Receiver;

use super::asking::{is_terminal, lines, prompt, put};
use super::form::Taken;
use super::replay::{Args, Mode, RecordWord, headline, painted};
use super::screen::{Screen, dim};
use super::{Error, host};

/// Makes recorded runs again, and compares.
pub(super) struct Trials<'a> {
    args: &'a Args,
    settings: &'a Settings,
    environment: &'a Environment,
    /// Another model for the agent.
    model: Option<&'a str>,
    screen: &'a Screen,
    models: Arc<Registry>,
    /// Nothing is started before a tool is called or listed for real.
    downstream: Arc<Downstream>,
}

impl<'a> Trials<'a> {
    /// What the command line asks for; `None` where it asks for a strict replay.
    ///
    /// # Errors
    /// When its flags contradict each other.
    pub(super) fn new(
        args: &'a Args,
        settings: &'a Settings,
        environment: &'a Environment,
        model: Option<&'a str>,
        screen: &'a Screen,
    ) -> Result<Option<Self>, Error> {
        let usage = |what: &str| Err(Error::Usage(what.to_owned()));
        if args.mode == Mode::Strict {
            return match (args.record, &args.save, &args.json_input) {
                (RecordWord::None, None, None) => Ok(None),
                _ => usage(
                    "a strict replay reaches nothing and makes no new recording: --record, --save and --json-input go with --mode decisions or --mode tools",
                ),
            };
        }
        if args.all && args.mode == Mode::Decisions {
            return usage(
                "--all with --mode decisions would have every effect of every recorded task again: give the recordings one by one",
            );
        }
        if args.save.is_some() && args.recordings.len() != 1 {
            return usage("--save FILE keeps one run: give one recording, and no --all");
        }
        let models = host::models(settings);
        let downstream = Arc::new(Downstream::new(host::variables(environment)));
        Ok(Some(Self { args, settings, environment, model, screen, models, downstream }))
    }

    /// Stops the tool servers, where any was started.
    pub(super) async fn close(&self) {
        self.downstream.close().await;
    }

    /// Runs the agent of a recording, and tells how the run compares: whether it is the same.
    pub(super) async fn run(&self, name: &str, replay: &Replay) -> Result<bool, Error> {
        let trial = match self.args.mode {
            Mode::Decisions => replay.decisions(Arc::clone(&self.downstream) as _),
            Mode::Tools | Mode::Strict => replay.tools(Arc::clone(&self.models) as _),
        };
        let trial = self.complete(trial)?;
        let compared = match self.agent(replay)? {
            None => trial.as_recorded().await,
            Some(agent) => {
                let callees = self.new_callees(replay, &agent)?;
                trial.callees(callees).definition(agent).await
            }
        };
        self.told(name, compared).await
    }

    /// Makes a recording that is not there yet.
    pub(super) async fn record(&self, path: &Path) -> Result<bool, Error> {
        let trial = replay::recorded(path, self.word())?;
        let (Some(agent), Some(_)) = (&self.args.agent, &self.args.json_input) else {
            return Err(Error::Usage(format!(
                "there is no recording {} yet: say what to record by --agent FILE and --json-input JSON",
                path.display()
            )));
        };
        let agent = config::load_agent(self.settings, &agent.display().to_string())?;
        let callees = config::load_callees(self.settings, &agent)?;
        let trial = self.complete(trial)?.callees(callees);
        self.told(&path.display().to_string(), trial.definition(agent).await).await
    }

    fn word(&self) -> Record {
        match self.args.record {
            RecordWord::None => Record::None,
            RecordWord::Once => Record::Once,
            RecordWord::NewEpisodes => Record::NewEpisodes,
            RecordWord::All => Record::All,
        }
    }

    /// The trial with what the configuration has.
    fn complete(&self, trial: Trial) -> Result<Trial, Error> {
        let mut trial = trial
            .record(self.word())
            .models(Arc::clone(&self.models) as _)
            .toolbox(Arc::clone(&self.downstream) as _)
            .variables(host::variables(self.environment))
            .prices(self.settings.prices.clone())
            .redact(self.settings.redaction.clone());
        if let Some(model) = self.model {
            trial = trial.model(model);
        }
        if let Some(input) = &self.args.json_input {
            let input: Value = serde_json::from_str(input)
                .map_err(|error| Error::Usage(format!("--json-input is not JSON: {error}")))?;
            trial = trial.input(input);
        }
        if is_terminal() && !self.args.json {
            trial = trial.person(AtTerminal::default());
        }
        Ok(trial)
    }

    /// The agent to run; `None` for the recorded one.
    fn agent(&self, replay: &Replay) -> Result<Option<Definition>, Error> {
        if self.args.as_recorded {
            return Ok(None);
        }
        if let Some(path) = &self.args.agent {
            return Ok(Some(config::load_agent(self.settings, &path.display().to_string())?));
        }
        let first = replay.recording().root().records.first();
        match first.map(|record| &record.event) {
            Some(Event::TaskCreated { name, function, .. }) if function == AGENT_FUNCTION => {
                Ok(Some(config::load_agent(self.settings, name)?))
            }
            _ => Ok(None),
        }
    }

    /// The agents that this one may call and the recording does not hold.
    fn new_callees(&self, replay: &Replay, agent: &Definition) -> Result<Vec<Definition>, Error> {
        let first = replay.recording().root().records.first();
        let recorded = match first.map(|record| &record.event) {
            Some(Event::TaskCreated { definition: Some(pinned), .. }) => {
                pinned.read::<Pinned>().map(|pinned| pinned.agents).unwrap_or_default()
            }
            _ => Default::default(),
        };
        if agent.agents().iter().all(|name| recorded.contains_key(name)) {
            return Ok(Vec::new());
        }
        let mut callees = config::load_callees(self.settings, agent)?;
        callees.retain(|callee| !recorded.contains_key(callee.name()));
        Ok(callees)
    }

    async fn told(
        &self,
        name: &str,
        compared: Result<Comparison, replay::Error>,
    ) -> Result<bool, Error> {
        let compared = match compared {
            Ok(compared) => compared,
            Err(replay::Error::NotRecorded(miss)) => {
                self.tell_miss(name, &miss);
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(path) = &self.args.save {
            compared.save(path).await?;
        }
        self.tell(name, &compared);
        Ok(compared.is_same())
    }

    fn tell_miss(&self, name: &str, miss: &Miss) {
        if self.args.json {
            let Miss { agent, key, asked, why, nearest } = miss;
            self.screen.line(json!({
                "recording": name,
                "same": false,
                "notRecorded": {
                    "agent": agent, "step": key, "asked": asked, "why": why, "nearest": nearest,
                },
            }));
            return;
        }
        headline(name, false, self.screen);
        for line in miss.to_string().lines() {
            self.screen.line(format!("  {line}"));
        }
        let kept = if self.args.save.is_some() { ", and nothing is saved" } else { "" };
        self.screen.line(dim(format!(
            "  The run ended there{kept}; --record new_episodes goes on for real."
        )));
    }

    fn tell(&self, name: &str, compared: &Comparison) {
        let (then, now) = compared.spent();
        if self.args.json {
            let differences: Vec<Value> =
                compared.differences().iter().map(difference_json).collect();
            self.screen.line(json!({
                "recording": name,
                "same": compared.is_same(),
                "sameCalls": compared.same_calls(),
                "differences": differences,
                "answer": compared.answer(),
                "spent": {"recorded": then, "now": now},
            }));
            return;
        }
        headline(name, compared.is_same(), self.screen);
        let calls = compared.same_calls();
        self.screen
            .line(format!("  {calls} {} the same", if calls == 1 { "call" } else { "calls" }));
        for difference in compared.differences() {
            self.screen.line(format!("  {}", difference.what()));
            for line in difference.diff().lines() {
                self.screen.line(format!("    {}", painted(line)));
            }
        }
        self.screen.line(dim(format!("  recorded: {then}")));
        self.screen.line(dim(format!("  now:      {now}")));
    }
}

fn difference_json(difference: &Difference) -> Value {
    let call = difference.call();
    json!({
        "kind": difference.kind(),
        "task": call.map(|call| call.task),
        "step": call.map(|call| &call.key),
        "tool": call.map(|call| &call.tool),
        "arguments": call.map(|call| &call.arguments),
        "what": difference.what(),
        "diff": difference.diff(),
    })
}

/// Whoever sits at the terminal.
#[derive(Default)]
struct AtTerminal(Mutex<Option<Receiver<String>>>);

#[async_trait]
impl Person for AtTerminal {
    async fn answer(&self, key: &str, question: &Question) -> Answer {
        let screen = Screen::new();
        let mut lines_read = self.0.lock().await;
        let typed = lines_read.get_or_insert_with(lines);
        let mut form = put(key, question, &screen);
        loop {
            let Some(line) = typed.recv().await else { return Answer::Cancel };
            match form.take(&line) {
                // What is no answer is one that nobody gave.
                Taken::Answer(answer) => {
                    return serde_json::from_value(answer).unwrap_or(Answer::Cancel);
                }
                Taken::Wrong(why) => screen.note(why),
                Taken::More => {}
            }
            prompt(&form, &screen);
        }
    }
}
