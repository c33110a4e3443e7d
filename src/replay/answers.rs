//! Answers a live run from a recording: which of its steps, from which side of the recording, and
//! what becomes of a step that the recording does not hold.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::miss::{Miss, clip, shown};
use super::tape::{Outcome, Place, Tape};
use crate::agent::{BuiltIn, LISTING_STEP, READ_MORE, RemoteTask, Servers, Tool};
use crate::durable::{Ask, Stand, StandIn};
use crate::journal::{Failure, StepKind, Task, TaskId};

/// Where the replies of models come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replies {
    /// From the models.
    Real,
    /// From the recording, whatever the conversation is by now.
    ByPlace,
    /// From the recording, where the same model is asked the same.
    BySameRequest,
}

/// What comes from the recording. What people answered always does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources {
    pub(super) replies: Replies,
    /// Whether the results of tools do.
    pub(super) recorded_tools: bool,
    /// What is asked for what is not recorded; `None` where that ends the run.
    pub(super) world: Option<Reach>,
}

/// What of the world is there to be asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) models: bool,
    pub(super) tools: bool,
    pub(super) person: bool,
}

pub(super) struct Answers {
    sources: Sources,
    state: Mutex<State>,
    /// The first thing that was asked for in vain.
    missed: watch::Sender<Option<Miss>>,
}

struct State {
    tape: Tape,
    /// The recorded task that stands where a task of the run does.
    places: HashMap<TaskId, Option<TaskId>>,
    /// Whether the world was asked for anything that the recording does not hold.
    asked_anew: bool,
}

/// What the recording has for a step.
enum Found {
    /// The step is none of the recording's business.
    NotOurs,
    Outcome(Outcome),
    Missing(Miss),
}

impl Answers {
    pub(super) fn new(tape: Tape, sources: Sources) -> Self {
        let state = State { tape, places: HashMap::new(), asked_anew: false };
        Self { sources, state: Mutex::new(state), missed: watch::Sender::new(None) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the first miss that ends the run; never where there is none.
    pub(super) async fn missed(&self) -> Miss {
        let mut missed = self.missed.subscribe();
        match missed.wait_for(Option::is_some).await.ok().and_then(|miss| miss.clone()) {
            Some(miss) => miss,
            // The sender lives as long as this.
            None => std::future::pending().await,
        }
    }

    /// The miss that has ended the run.
    pub(super) fn miss(&self) -> Option<Miss> {
        self.missed.borrow().clone()
    }

    /// Whether the world was asked for anything that the recording does not hold.
    pub(super) fn asked_anew(&self) -> bool {
        self.state().asked_anew
    }

    /// The tools of these servers as they are recorded; `None` where they are to be listed for real.
    pub(super) fn listing(&self, servers: &Servers) -> Option<Vec<Tool>> {
        if self.sources.recorded_tools { self.state().tape.listing(servers) } else { None }
    }

    /// Whether a task at a tool server is one of the recorded run's, and nobody's by now.
    pub(super) fn is_recorded(&self, task: &RemoteTask) -> bool {
        self.sources.recorded_tools && self.state().tape.is_remote_task(task)
    }

    fn find(&self, task: &Task, key: &str, ask: &Ask) -> Found {
        let mut state = self.state();
        let recorded = state.place(task);
        let place = Place { task: recorded, agent: &task.name, key };
        match ask.kind {
            StepKind::Model => self.reply(&state.tape, place, ask),
            StepKind::Tool if self.sources.recorded_tools => request(&mut state.tape, place, ask),
            StepKind::Question => request(&mut state.tape, place, ask),
            // Where it is recorded, the toolbox answers it from the recording.
            StepKind::Run if self.sources.recorded_tools && key == LISTING_STEP => {
                listing(&state.tape, place, ask)
            }
            // No timer waits on the clock of such a run, and children are runs of their own.
            StepKind::Tool
            | StepKind::Run
            | StepKind::Timer
            | StepKind::Clock
            | StepKind::Child => Found::NotOurs,
        }
    }

    fn reply(&self, tape: &Tape, place: Place<'_>, ask: &Ask) -> Found {
        if self.sources.replies == Replies::Real {
            return Found::NotOurs;
        }
        let recorded = place.task.and_then(|task| tape.reply(task, place.key));
        let why = match (place.task, recorded) {
            (_, Some((hash, outcome)))
                if self.sources.replies == Replies::ByPlace || *hash == ask.input =>
            {
                return Found::Outcome(outcome.clone());
            }
            (_, Some(_)) => {
                "it was recorded with another conversation, model or settings".to_owned()
            }
            (Some(task), None) => {
                format!("{} model calls of this agent are recorded", tape.replies_of(task))
            }
            (None, None) => "no run of this agent is recorded at this place".to_owned(),
        };
        Found::Missing(miss(place, "asks its model".to_owned(), why, Vec::new()))
    }
}

impl StandIn for Answers {
    fn stand_in(&self, task: &Task, key: &str, ask: &Ask) -> Stand {
        // The run is over, and nothing more is to be asked or paid for.
        if let Some(miss) = self.miss() {
            return refuse(&miss);
        }
        let mut miss = match self.find(task, key, ask) {
            Found::NotOurs => return Stand::Run,
            Found::Outcome(outcome) => return Stand::Outcome(outcome),
            Found::Missing(miss) => miss,
        };
        if let Some(reach) = self.sources.world {
            let (is_there, what) = match ask.kind {
                StepKind::Model => (reach.models, "no model"),
                StepKind::Question => (reach.person, "nobody"),
                _ => (reach.tools || needs_no_server(ask), "no tool server"),
            };
            if is_there {
                self.state().asked_anew = true;
                return Stand::Run;
            }
            miss.why.push_str(&format!(", and {what} is there to be asked"));
        }
        let refused = refuse(&miss);
        self.missed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(miss);
            is_first
        });
        refused
    }
}

fn refuse(miss: &Miss) -> Stand {
    Stand::Refuse(Failure::is_final(format!("not recorded: {miss}")))
}

impl State {
    /// The recorded task that stands where this one does.
    fn place(&mut self, task: &Task) -> Option<TaskId> {
        if let Some(known) = self.places.get(&task.id) {
            return *known;
        }
        let place = match &task.parent {
            None => Some(self.tape.root()),
            // A parent has asked for the step of its child before the child asks for any.
            Some(parent) => {
                let above = self.places.get(&parent.task).copied().flatten();
                above.and_then(|above| self.tape.child(above, &parent.key))
            }
        };
        self.places.insert(task.id, place);
        place
    }
}

/// Finds the answer to a call or a question by what is asked.
fn request(tape: &mut Tape, place: Place<'_>, ask: &Ask) -> Found {
    let asked = ask.shown.as_ref().and_then(|shown| shown.read::<Value>().ok()).unwrap_or_default();
    if is_our_own(&asked) {
        return Found::NotOurs;
    }
    if let Some(outcome) = tape.take(ask.kind, &asked, place) {
        return Found::Outcome(outcome);
    }
    let nearest = tape.nearest(ask.kind, &asked).into_iter().map(about).collect::<Vec<_>>();
    let what = match ask.kind {
        StepKind::Question => format!("asks a person: {}", about(&asked)),
        _ => format!("calls {}", about(&asked)),
    };
    let tools = tape.tools();
    let why = match (tape.count(ask.kind, &asked), ask.kind) {
        (0, StepKind::Tool) if nearest.is_empty() && tools.is_empty() => {
            "no tool call is recorded".to_owned()
        }
        (0, StepKind::Tool) if nearest.is_empty() => {
            format!("no call of this tool is recorded; those are of {}", tools.join(", "))
        }
        (0, _) => "this is not recorded".to_owned(),
        (1, _) => "it was recorded once, and that answer is used up".to_owned(),
        (times, _) => format!("it was recorded {times} times, and these answers are used up"),
    };
    Found::Missing(miss(place, what, why, nearest))
}

fn miss(place: Place<'_>, asked: String, why: String, nearest: Vec<String>) -> Miss {
    let (agent, key) = (place.agent.to_owned(), place.key.to_owned());
    Miss { agent, key, asked, why, nearest }
}

/// Whether the tools that a run lists are recorded.
fn listing(tape: &Tape, place: Place<'_>, ask: &Ask) -> Found {
    let servers = ask.shown.as_ref().and_then(|shown| shown.read::<Servers>().ok());
    let servers = servers.unwrap_or_default();
    if tape.listing(&servers).is_some() {
        return Found::NotOurs;
    }
    let names: Vec<&str> = servers.keys().map(String::as_str).collect();
    let asked = format!("lists the tools of its servers ({})", names.join(", "));
    let why = "not all of these servers are recorded".to_owned();
    Found::Missing(miss(place, asked, why, Vec::new()))
}

/// Whether such a call never leaves the process: one that was refused before it was made, and the
/// tool that reads on in a long result.
fn is_our_own(asked: &Value) -> bool {
    asked.get("refused").is_some() || tool(asked) == Some(READ_MORE)
}

fn needs_no_server(ask: &Ask) -> bool {
    let asked = ask.shown.as_ref().and_then(|shown| shown.read::<Value>().ok());
    let built_in = asked.as_ref().and_then(tool).and_then(|tool| tool.strip_prefix("relight/"));
    built_in == Some(BuiltIn::HttpRequest.name())
}

fn tool(asked: &Value) -> Option<&str> {
    asked.get("tool").and_then(Value::as_str)
}

/// A recorded request in a few words.
fn about(asked: &Value) -> String {
    let message = asked.get("message").and_then(Value::as_str);
    match (tool(asked), message, asked.get("arguments")) {
        (Some(tool), _, Some(arguments)) => format!("{tool} {}", shown(arguments)),
        (None, Some(message), _) => clip(&message.split_whitespace().collect::<Vec<_>>().join(" ")),
        _ => shown(asked),
    }
}
