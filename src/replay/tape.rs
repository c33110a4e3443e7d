//! What a recording holds, found by what a run asks for now.
//!
//! A model's reply is found by its place: the agent in the tree of tasks, and the step in it. All else
//! that came from outside is found by what was asked, because a run that goes another way asks it
//! elsewhere: by the tool and its arguments, or by the words of a question and its form. What was
//! asked several times answers as often, in the order in which it was recorded.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::levelled::levelled;
use super::miss::near;
use crate::agent::{Called, LISTING_STEP, RemoteTask, Servers, Tool};
use crate::durable::OF_CHILD;
use crate::journal::{
    Failure, Hash, Payload, RecordedTask, Recording, Step, StepKind, StepState, TaskId,
};

/// How a step ended.
pub(super) type Outcome = Result<Payload, Failure>;

/// Where a run asks for something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The recorded task that stands where the asking one does, where there is one.
    pub(super) task: Option<TaskId>,
    /// The agent's name.
    pub(super) agent: &'a str,
    /// The step's key.
    pub(super) key: &'a str,
}

/// A recording to take outcomes from.
pub(super) struct Tape {
    recording: Arc<Recording>,
    /// Replies by the task and the step.
    replies: HashMap<(TaskId, String), (Hash, Outcome)>,
    entries: Vec<Entry>,
    /// The entries that answer a request.
    by_request: HashMap<Request, Vec<usize>>,
}

/// What was asked of the world, in a form that is equal where the request is the same.
type Request = (StepKind, String);

struct Entry {
    task: TaskId,
    agent: String,
    key: String,
    kind: StepKind,
    shown: Value,
    outcome: Outcome,
    taken: bool,
}

impl Tape {
    pub(super) fn new(recording: Arc<Recording>) -> Self {
        let mut tape = Self {
            replies: HashMap::new(),
            entries: Vec::new(),
            by_request: HashMap::new(),
            recording,
        };
        let recording = Arc::clone(&tape.recording);
        for task in recording.tasks() {
            let Ok(history) = task.history() else { continue };
            for (key, step) in history.steps() {
                tape.take_in(task, key, step);
            }
        }
        tape
    }

    fn take_in(&mut self, task: &RecordedTask, key: &str, step: &Step) {
        let outcome = match &step.state {
            StepState::Completed(output) => Ok(output.clone()),
            StepState::Failed(failure) => Err(failure.clone()),
            StepState::Started | StepState::Waiting { .. } => return,
        };
        if step.kind == StepKind::Model {
            self.replies.insert((task.id, key.to_owned()), (step.input, outcome));
            return;
        }
        // What a task puts for its child, the child itself has asked.
        let asks = matches!(step.kind, StepKind::Tool | StepKind::Question);
        if !asks || key.contains(OF_CHILD) {
            return;
        }
        let Some(shown) = step.shown.as_ref().and_then(|shown| shown.read::<Value>().ok()) else {
            return;
        };
        self.by_request.entry(request(step.kind, &shown)).or_default().push(self.entries.len());
        self.entries.push(Entry {
            task: task.id,
            agent: task.name().to_owned(),
            key: key.to_owned(),
            kind: step.kind,
            shown,
            outcome,
            taken: false,
        });
    }

    /// The task that was recorded.
    pub(super) fn root(&self) -> TaskId {
        self.recording.root().id
    }

    /// The recorded child that this step of a recorded task started.
    pub(super) fn child(&self, task: TaskId, key: &str) -> Option<TaskId> {
        self.recording.child(task, key).map(|child| child.id)
    }

    /// The recorded end of a model call, and the hash of what was asked.
    pub(super) fn reply(&self, task: TaskId, key: &str) -> Option<&(Hash, Outcome)> {
        self.replies.get(&(task, key.to_owned()))
    }

    /// How many model calls of a task are recorded.
    pub(super) fn replies_of(&self, task: TaskId) -> usize {
        self.replies.keys().filter(|(of, _)| *of == task).count()
    }

    /// The recorded answer to a request, which is used up by that. Of several, the one that was
    /// recorded at the same place comes first, then those of the same task, then of the same agent.
    pub(super) fn take(
        &mut self,
        kind: StepKind,
        shown: &Value,
        place: Place<'_>,
    ) -> Option<Outcome> {
        let nearness = |entry: &Entry| {
            let same_task = place.task == Some(entry.task);
            (same_task && entry.key == place.key, same_task, entry.agent == place.agent)
        };
        let all = self.by_request.get(&request(kind, shown))?;
        let free = all.iter().filter(|at| !self.entries[**at].taken);
        // Of equals, `min_by_key` takes the first.
        let best = *free.min_by_key(|at| std::cmp::Reverse(nearness(&self.entries[**at])))?;
        self.entries[best].taken = true;
        Some(self.entries[best].outcome.clone())
    }

    /// How often this request was recorded.
    pub(super) fn count(&self, kind: StepKind, shown: &Value) -> usize {
        self.by_request.get(&request(kind, shown)).map_or(0, Vec::len)
    }

    /// What was recorded that is nearest to a request: of a tool's call the other calls of that tool.
    pub(super) fn nearest(&self, kind: StepKind, shown: &Value) -> Vec<&Value> {
        let tool = |shown: &Value| shown.get("tool").and_then(Value::as_str).map(str::to_owned);
        let wanted = tool(shown);
        let alike = self
            .entries
            .iter()
            .filter(|entry| entry.kind == kind && tool(&entry.shown) == wanted)
            .map(|entry| &entry.shown);
        near(&shown.to_string(), alike.collect())
    }

    /// The names of all recorded tools.
    pub(super) fn tools(&self) -> Vec<String> {
        let tools = self.entries.iter().filter(|entry| entry.kind == StepKind::Tool);
        let names = tools.filter_map(|entry| entry.shown.get("tool")?.as_str().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        names
    }

    /// The tools of these servers, as they were listed when this was recorded; `None` where one of
    /// the servers was not among them. How a server is reached makes no difference, unless two agents
    /// have different ones of one name.
    pub(super) fn listing(&self, servers: &Servers) -> Option<Vec<Tool>> {
        let recorded: Vec<(Servers, Vec<Tool>)> = self
            .recording
            .tasks()
            .iter()
            .filter_map(|task| {
                let history = task.history().ok()?;
                let step = history.step(LISTING_STEP)?;
                let StepState::Completed(tools) = &step.state else { return None };
                Some((step.shown.as_ref()?.read().ok()?, tools.read().ok()?))
            })
            .collect();
        let mut listed = Vec::new();
        for (name, config) in servers {
            let same = recorded.iter().find(|(servers, _)| servers.get(name) == Some(config));
            let named = || recorded.iter().find(|(servers, _)| servers.contains_key(name));
            let (_, tools) = same.or_else(named)?;
            listed.extend(tools.iter().filter(|tool| tool.server == *name).cloned());
        }
        Some(listed)
    }

    /// Whether a task at a tool server is one of the recorded run's.
    pub(super) fn is_remote_task(&self, task: &RemoteTask) -> bool {
        self.entries.iter().any(|entry| match &entry.outcome {
            Ok(output) => matches!(
                output.read(), Ok(Called::Task { task: recorded }) if recorded.id == task.id
            ),
            Err(_) => false,
        })
    }
}

/// How long a question stays open is no part of what is asked.
fn request(kind: StepKind, shown: &Value) -> Request {
    let mut shown = shown.clone();
    if kind == StepKind::Question
        && let Some(question) = shown.as_object_mut()
    {
        question.remove("expire_ms");
    }
    (kind, levelled(shown).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_is_the_same_however_long_it_stays_open() {
        let short = json!({"message": "m", "expire_ms": 5});
        let long = json!({"message": "m"});
        assert_eq!(request(StepKind::Question, &short), request(StepKind::Question, &long));
    }
}
