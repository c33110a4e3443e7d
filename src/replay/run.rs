//! What a replay came to, for a test to look at.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

use super::Drift;
use crate::agent::{Called, TaskNews, ToolOutput};
use crate::journal::{
    End, Failure, Payload, RecordedTask, Recording, Step, StepKind, StepState, TaskId,
};

/// A replayed run.
#[derive(Debug, Clone)]
pub struct Run {
    recording: Arc<Recording>,
    drifts: Vec<Drift>,
}

/// One tool call of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The task that made it.
    pub task: TaskId,
    /// The step's key, such as `turn-2/tool-1`.
    pub key: String,
    /// `server/tool`.
    pub tool: String,
    /// The arguments. `Null` for a call that was refused before it was made.
    pub arguments: Value,
    /// What the tool answered. `None` for a call with no recorded outcome.
    pub outcome: Option<Result<ToolOutput, Failure>>,
}

impl Run {
    pub(super) fn new(recording: Arc<Recording>, drifts: Vec<Drift>) -> Self {
        Self { recording, drifts }
    }

    /// What was replayed.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Where the replay and the recording differ: at most one place for each task. Empty for the
    /// same steps with the same inputs and the same outcome.
    pub fn drifts(&self) -> &[Drift] {
        &self.drifts
    }

    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.drifts.is_empty()
    }

    /// Fails the test with what differs, where anything does.
    ///
    /// # Panics
    /// When [`Run::is_same`] is false.
    #[track_caller]
    pub fn assert_same(&self) {
        let mut text = String::new();
        for drift in &self.drifts {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{drift}");
        }
        assert!(self.is_same(), "the replay differs from its recording\n{text}");
    }

    /// How the recorded task ended; `None` where the recording ends earlier.
    pub fn end(&self) -> Option<End> {
        self.recording.root().records.last().and_then(|record| record.event.end())
    }

    /// What the recorded task answered; `None` where it did not end well.
    pub fn answer(&self) -> Option<Payload> {
        match self.end()? {
            End::Completed(output) => Some(output),
            _ => None,
        }
    }

    /// All tool calls of the run, its children's after its own, in the order in which they began.
    pub fn calls(&self) -> Vec<Call> {
        self.recording.tasks().iter().flat_map(calls_of).collect()
    }

    /// The calls of one tool, by its own name or as `server/tool`.
    pub fn calls_to(&self, tool: &str) -> Vec<Call> {
        let is_it = |call: &Call| {
            call.tool == tool || call.tool.split_once('/').is_some_and(|(_, own)| own == tool)
        };
        self.calls().into_iter().filter(is_it).collect()
    }

    /// The keys of all steps of the recorded task in the order in which they began, its children's
    /// not among them.
    pub fn steps(&self) -> Vec<String> {
        let history = self.recording.root().history();
        history
            .map(|history| history.steps().map(|(key, _)| key.to_owned()).collect())
            .unwrap_or_default()
    }
}

fn calls_of(task: &RecordedTask) -> Vec<Call> {
    let Ok(history) = task.history() else { return Vec::new() };
    let calls = history.steps().filter_map(|(key, step)| call(task.id, key, step));
    let mut calls: Vec<Call> = calls.collect();
    for call in &mut calls {
        // A call that led to a task has its answer in a later step of the same scope.
        let scope = format!("{}/", call.key);
        let later = history.steps().filter(|(key, _)| key.starts_with(&scope));
        let news = later.filter_map(|(_, step)| match &step.state {
            StepState::Completed(news) => news.read::<TaskNews>().ok(),
            _ => None,
        });
        if let Some(TaskNews::Output(output)) = news.last() {
            call.outcome = Some(Ok(output));
        }
    }
    calls
}

/// The call that this step is, where it is one.
fn call(task: TaskId, key: &str, step: &Step) -> Option<Call> {
    if step.kind != StepKind::Tool {
        return None;
    }
    let mut shown = step.shown.as_ref()?.read::<Value>().ok()?;
    let tool = shown.get("tool").and_then(Value::as_str)?.to_owned();
    let arguments = shown.get_mut("arguments").map(Value::take).unwrap_or_default();
    let outcome = match &step.state {
        StepState::Completed(output) => match output.read() {
            Ok(Called::Output(output)) => Some(Ok(output)),
            Ok(Called::Task { .. } | Called::Asks { .. }) => None,
            // The outcome of a built-in tool is its text alone, of a check what it found.
            Err(_) => {
                let text = output.read().unwrap_or_else(|_| output.json().to_owned());
                Some(Ok(ToolOutput { text, ..ToolOutput::default() }))
            }
        },
        StepState::Failed(failure) => Some(Err(failure.clone())),
        StepState::Started | StepState::Waiting { .. } => None,
    };
    Some(Call { task, key: key.to_owned(), tool, arguments, outcome })
}
