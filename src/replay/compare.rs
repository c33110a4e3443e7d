//! A run and its recording side by side: what it asked of the world, what it answered, what it cost.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::drift::{diff, pretty};
use super::levelled::levelled;
use super::miss::{clip, shown};
use super::run::{Call, Run};
use super::spending::Spending;
use super::{Error, redacted};
use crate::agent::ToolOutput;
use crate::durable::OF_CHILD;
use crate::journal::{
    End, Event, Failure, Payload, RecordedTask, Recording, Redaction, Step, StepKind, StepState,
};

/// What stands in the place of the tool where a person was asked.
const PERSON: &str = "person";

/// A run of an agent, and the recorded run that it is compared with.
#[derive(Debug, Clone)]
pub struct Comparison {
    then: Run,
    now: Run,
    same_calls: usize,
    differences: Vec<Difference>,
    redaction: Redaction,
}

/// Something that a run did otherwise than its recording. Calls are those of tools, of other agents
/// (`agent/NAME`) and questions to people (`person`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Difference {
    /// The same call had another result.
    Result {
        /// As recorded.
        then: Call,
        /// As it was now.
        now: Call,
    },
    /// The same tool was called with other arguments.
    Arguments {
        /// As recorded.
        then: Call,
        /// As it was now.
        now: Call,
    },
    /// A call that the recorded run did not make.
    New(Call),
    /// A call that only the recorded run made.
    Gone(Call),
    /// The same calls were made in another order.
    Order,
    /// The run ended otherwise: another answer, or a failure.
    End {
        /// What was recorded (`-`) and how it ended now (`+`).
        diff: String,
    },
}

impl Comparison {
    pub(super) fn new(then: &Arc<Recording>, now: &Arc<Recording>, redaction: Redaction) -> Self {
        let (same_calls, mut differences) = calls(calls_of(then), calls_of(now));
        let run = |recording: &Arc<Recording>| Run::new(Arc::clone(recording), Vec::new());
        let (then, now) = (run(then), run(now));
        let (before, after) = (end_words(then.end()), end_words(now.end()));
        if before != after {
            differences.push(Difference::End { diff: diff(&before, &after) });
        }
        Self { then, now, same_calls, differences, redaction }
    }

    /// What the run did otherwise, in the order in which it did it.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// How many calls were the same, with the same result.
    pub fn same_calls(&self) -> usize {
        self.same_calls
    }

    /// Whether the run made the same calls with the same results, and ended as it had.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    /// Fails the test with what differs, where anything does.
    ///
    /// # Panics
    /// When [`Comparison::is_same`] is false.
    #[track_caller]
    pub fn assert_same(&self) {
        assert!(self.is_same(), "the run differs from its recording\n{self}");
    }

    /// The recorded run.
    pub fn recorded(&self) -> &Run {
        &self.then
    }

    /// The run as a recording of its own.
    pub fn recording(&self) -> &Recording {
        self.now.recording()
    }

    /// How the run ended.
    pub fn end(&self) -> Option<End> {
        self.now.end()
    }

    /// What the run answered; `None` where it did not end well.
    pub fn answer(&self) -> Option<Payload> {
        self.now.answer()
    }

    /// All tool calls of the run: see [`Run::calls`].
    pub fn calls(&self) -> Vec<Call> {
        self.now.calls()
    }

    /// The calls of one tool: see [`Run::calls_to`].
    pub fn calls_to(&self, tool: &str) -> Vec<Call> {
        self.now.calls_to(tool)
    }

    /// The keys of the run's steps: see [`Run::steps`].
    pub fn steps(&self) -> Vec<String> {
        self.now.steps()
    }

    /// What the recorded run used up, and what this one did, the recorded replies of models among it.
    pub fn spent(&self) -> (Spending, Spending) {
        (Spending::of(self.then.recording()), Spending::of(self.now.recording()))
    }

    /// Writes the run as a recording, without what is secret.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let text = redacted(self.recording().clone(), &self.redaction).await?.write();
        std::fs::write(path, text).map_err(|why| Error::Unwritable { path: path.to_owned(), why })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (then, now) = self.spent();
        writeln!(f, "{} calls the same", self.same_calls)?;
        for difference in &self.differences {
            writeln!(f, "  {}", difference.what())?;
            for line in difference.diff().lines() {
                writeln!(f, "    {line}")?;
            }
        }
        writeln!(f, "  recorded: {then}")?;
        writeln!(f, "  now:      {now}")
    }
}

impl Difference {
    /// A word for what it is, for a program.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Result { .. } => "result",
            Self::Arguments { .. } => "arguments",
            Self::New(_) => "new",
            Self::Gone(_) => "gone",
            Self::Order => "order",
            Self::End { .. } => "end",
        }
    }

    /// The call that it is about: the one of now, where there is one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Result { now: call, .. }
            | Self::Arguments { now: call, .. }
            | Self::New(call)
            | Self::Gone(call) => Some(call),
            Self::Order | Self::End { .. } => None,
        }
    }

    /// What differs, in a line.
    pub fn what(&self) -> String {
        match self {
            Self::Result { now, .. } => {
                format!("{} had another result ({})", named(now), now.key)
            }
            Self::Arguments { now, .. } => {
                format!("{} was called with other arguments ({})", now.tool, now.key)
            }
            Self::New(call) => format!("{} was called, and not before ({})", named(call), call.key),
            Self::Gone(call) => {
                format!("{} was not called any more (before: {})", named(call), call.key)
            }
            Self::Order => "the calls were made in another order".to_owned(),
            Self::End { .. } => "it ended otherwise".to_owned(),
        }
    }

    /// What was recorded (`-`) and what came now (`+`); empty where there is nothing to compare.
    pub fn diff(&self) -> String {
        match self {
            Self::Result { then, now } => diff(&said(then), &said(now)),
            Self::Arguments { then, now } => diff(&asked(then), &asked(now)),
            Self::New(call) => diff("", &said(call)),
            Self::Gone(call) => diff(&said(call), ""),
            Self::Order => String::new(),
            Self::End { diff } => diff.clone(),
        }
    }
}

fn named(call: &Call) -> String {
    match call.arguments {
        Value::Null => call.tool.clone(),
        _ => format!("{} {}", call.tool, shown(&call.arguments)),
    }
}

/// What was asked: a person's question in its own words.
fn asked(call: &Call) -> String {
    match call.arguments.get("message").and_then(Value::as_str) {
        Some(message) if call.tool == PERSON => format!("{message}\n"),
        _ => format!("{:#}\n", call.arguments),
    }
}

/// What a call answered, as it is shown.
fn said(call: &Call) -> String {
    let mut text = match &call.outcome {
        Some(Ok(output)) if output.is_error => format!("error: {}", clip(&output.text)),
        Some(Ok(output)) => clip(&output.text),
        Some(Err(failure)) => format!("failed: {}", clip(&failure.message)),
        None => return String::new(),
    };
    text.push('\n');
    text
}

fn end_words(end: Option<End>) -> String {
    let mut text = match end {
        Some(End::Completed(output)) => pretty(&output),
        Some(End::Failed(failure)) => format!("failed: {failure}"),
        Some(End::Stopped(failure)) => format!("stopped: {failure}"),
        Some(End::Cancelled(message)) => message,
        None => "no end".to_owned(),
    };
    text.push('\n');
    text
}

/// Pairs the calls of two runs: first those that are the same, then those of one tool in their order.
fn calls(then: Vec<Call>, now: Vec<Call>) -> (usize, Vec<Difference>) {
    let mut partners: Vec<Option<usize>> = vec![None; now.len()];
    let mut free = vec![true; then.len()];
    let rounds: [fn(&Call, &Call) -> bool; 3] = [
        |then, now| asks_same(then, now) && said(then) == said(now),
        asks_same,
        |then, now| then.tool == now.tool,
    ];
    for is_alike in rounds {
        for (call, partner) in now.iter().zip(&mut partners).filter(|(_, known)| known.is_none()) {
            let found =
                then.iter().enumerate().find(|(at, then)| free[*at] && is_alike(then, call));
            if let Some((at, _)) = found {
                free[at] = false;
                *partner = Some(at);
            }
        }
    }
    let root = now.first().map(|call| call.task);
    // Those of children stand in the order in which the children were made, which may be by chance.
    let of_root = now.iter().zip(&partners).filter(|(call, _)| Some(call.task) == root);
    let in_order = of_root.filter_map(|(_, partner)| *partner).is_sorted();
    let (mut same, mut differences) = (0, Vec::new());
    for (now, partner) in now.into_iter().zip(partners) {
        match partner.map(|at| then[at].clone()) {
            None => differences.push(Difference::New(now)),
            Some(then) if !asks_same(&then, &now) => {
                differences.push(Difference::Arguments { then, now });
            }
            Some(then) if said(&then) != said(&now) => {
                differences.push(Difference::Result { then, now });
            }
            Some(_) => same += 1,
        }
    }
    let gone = then.into_iter().zip(free).filter(|(_, free)| *free);
    differences.extend(gone.map(|(call, _)| Difference::Gone(call)));
    if !in_order {
        differences.push(Difference::Order);
    }
    (same, differences)
}

fn asks_same(then: &Call, now: &Call) -> bool {
    let arguments = |call: &Call| levelled(call.arguments.clone());
    then.tool == now.tool && arguments(then) == arguments(now)
}

/// All that a run and its children asked of tools, of other agents and of people.
fn calls_of(recording: &Arc<Recording>) -> Vec<Call> {
    let mut tools = Run::new(Arc::clone(recording), Vec::new()).calls();
    let mut all = Vec::new();
    for task in recording.tasks() {
        let Ok(history) = task.history() else { continue };
        for (key, step) in history.steps() {
            let tool = tools.iter().position(|call| call.task == task.id && call.key == key);
            let call = match tool {
                Some(at) => Some(tools.swap_remove(at)),
                None => other(recording, task, key, step),
            };
            all.extend(call);
        }
    }
    all
}

/// The call of an agent or the question that this step is.
fn other(recording: &Recording, task: &RecordedTask, key: &str, step: &Step) -> Option<Call> {
    let asked: Value = step.shown.as_ref()?.read().ok()?;
    let (tool, arguments) = match step.kind {
        StepKind::Question if !key.contains(OF_CHILD) => {
            (PERSON.to_owned(), json!({"message": asked.get("message")?}))
        }
        StepKind::Child => {
            let first = recording.child(task.id, key).and_then(|child| child.records.first());
            let arguments = match first.map(|record| &record.event) {
                Some(Event::TaskCreated { input, .. }) => input.read().unwrap_or_default(),
                _ => Value::Null,
            };
            (format!("agent/{}", asked.get("name")?.as_str()?), arguments)
        }
        _ => return None,
    };
    let outcome = match &step.state {
        StepState::Completed(output) => Some(Ok(answered(output))),
        StepState::Failed(failure) => Some(Err(Failure::clone(failure))),
        StepState::Started | StepState::Waiting { .. } => None,
    };
    Some(Call { task: task.id, key: key.to_owned(), tool, arguments, outcome })
}

/// An agent's answer without what it spent, or a person's.
fn answered(output: &Payload) -> ToolOutput {
    let value = output.read::<Value>().unwrap_or_default();
    let answer = value.get("answer").unwrap_or(&value);
    let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    ToolOutput { text, ..ToolOutput::default() }
}
