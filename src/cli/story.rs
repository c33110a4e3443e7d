//! A task's history in words, a line for each thing that happened.

use anstyle::AnsiColor;
use relight::agent::{Asked, Called, LISTING_STEP, Outcome, TaskNews, Tool, ToolOutput};
use relight::journal::{Event, Failure, History, Payload, Record, StepKind};
use serde_json::Value;

use super::screen::{coloured, dim};

/// The longest piece of a value that a line shows, in characters.
const SHOWN_CHARS: usize = 100;

/// The longest piece of a failure that is not the last one.
const FAILURE_CHARS: usize = 240;

/// Tells a history line by line.
#[derive(Debug, Default)]
pub(super) struct Teller {
    history: History,
    /// The task was about to wait when it was last heard of: a claim is its waking up.
    waited: bool,
}

impl Teller {
    /// What this event says to a person; `None` where it says nothing by itself.
    ///
    /// # Errors
    /// When the event cannot follow the ones before it.
    pub(super) fn tell(
        &mut self,
        record: Record,
    ) -> Result<Option<String>, relight::journal::IllegalEvent> {
        let event = record.event.clone();
        let at_ms = record.at_ms;
        self.history.apply(record)?;
        let line = self.line(&event, at_ms);
        self.waited = match event {
            Event::TaskClaimed { .. } => self.waited,
            Event::StepStarted { kind, .. } => {
                matches!(kind, StepKind::Timer | StepKind::Child | StepKind::Question)
            }
            _ => matches!(event, Event::StepAttemptFailed { .. }),
        };
        Ok(line)
    }

    /// What is known after what was told.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    fn line(&self, event: &Event, at_ms: i64) -> Option<String> {
        match event {
            Event::TaskCreated { name, input, .. } => {
                Some(format!("{name} was called with {}", short(input)))
            }
            Event::TaskClaimed { .. } => self.taken_up(),
            Event::StepStarted { key, attempt: 2.., kind, .. } if !self.waited => {
                Some(format!("{key}: {}begun again", self.what(*kind, key)))
            }
            Event::StepStarted { key, kind: StepKind::Timer, until_ms: Some(until_ms), .. } => {
                let wait_s = until_ms.saturating_sub(at_ms) / 1_000;
                Some(format!("{key}: sleeps for {wait_s} s"))
            }
            Event::StepStarted { key, kind: StepKind::Question, .. } => {
                Some(format!("{key}: {}", self.what(StepKind::Question, key)))
            }
            Event::StepStarted { .. } => None,
            Event::StepAttemptFailed { key, failure, retry_at_ms, .. } => {
                let wait_ms = retry_at_ms.saturating_sub(at_ms);
                let why = cut(&failure.message, FAILURE_CHARS);
                let line = format!("{key}: {why} (tried again in {wait_ms} ms)");
                Some(coloured(AnsiColor::Yellow, line))
            }
            Event::StepCompleted { key, output } => self.completed(key, output),
            Event::StepFailed { key, failure } => {
                let step = self.history.step(key)?;
                let line = format!("{key}: {}failed: {failure}", self.what(step.kind, key));
                Some(coloured(AnsiColor::Red, line))
            }
            Event::InputRequested {} | Event::InputReceived {} => None,
            Event::DriftAccepted {} => {
                let line = "what was recorded so far stands, whatever the code asks for now";
                Some(coloured(AnsiColor::Yellow, line))
            }
            Event::TaskResumed {} => Some(coloured(AnsiColor::Yellow, "set going again by hand")),
            Event::CancelRequested { reason } => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}"));
                Some(format!("asked to stop{}", reason.unwrap_or_default()))
            }
            Event::TaskCompleted { output } => {
                Some(coloured(AnsiColor::Green, format!("completed: {}", short(output))))
            }
            Event::TaskFailed { failure } => Some(failed("failed", failure)),
            Event::TaskStopped { failure } => Some(failed("stopped", failure)),
            Event::TaskCancelled { message } => Some(coloured(AnsiColor::Yellow, message)),
        }
    }

    /// The line of a claim: the first one, and one that ends a wait, say nothing new.
    fn taken_up(&self) -> Option<String> {
        if self.history.claims() == 1 || self.waited {
            return None;
        }
        let finished = self.history.steps().filter(|(_, step)| step.state.is_finished()).count();
        let line = format!("taken up again; {finished} finished steps answer from the journal");
        Some(coloured(AnsiColor::Yellow, line))
    }

    fn completed(&self, key: &str, output: &Payload) -> Option<String> {
        let step = self.history.step(key)?;
        let result = match step.kind {
            StepKind::Clock => return None,
            StepKind::Model => model_result(output),
            StepKind::Tool => tool_result(output),
            StepKind::Run if key == LISTING_STEP => tool_names(output),
            StepKind::Run | StepKind::Timer | StepKind::Child | StepKind::Question => short(output),
        };
        let result = dim(format!("-> {result}"));
        Some(format!("{key}: {}{result}", self.what(step.kind, key)))
    }

    /// What a step does, with a space after it; nothing where its key says it all.
    fn what(&self, kind: StepKind, key: &str) -> String {
        let shown = self.history.step(key).and_then(|step| step.shown.as_ref());
        let shown = shown.and_then(|shown| shown.read::<Value>().ok()).unwrap_or_default();
        let text = |key: &str| shown.get(key).and_then(Value::as_str).unwrap_or_default();
        match kind {
            StepKind::Model => format!("{} ", model_name(text("model"))),
            StepKind::Tool => {
                let arguments = shown.get("arguments").map(ToString::to_string);
                let arguments = cut(&arguments.unwrap_or_default(), SHOWN_CHARS);
                format!("{}{arguments} ", text("tool"))
            }
            StepKind::Child => {
                let name = if text("name").is_empty() { "function" } else { "name" };
                format!("{} ", text(name))
            }
            StepKind::Timer => "sleep ".to_owned(),
            StepKind::Question => format!("asked {:?} ", cut(text("message"), SHOWN_CHARS)),
            StepKind::Clock | StepKind::Run => String::new(),
        }
    }
}

/// A model's name without the directory of its script.
fn model_name(model: &str) -> &str {
    match model.strip_prefix("script:") {
        Some(path) => path.rsplit('/').next().unwrap_or(path),
        None => model,
    }
}

fn tool_names(output: &Payload) -> String {
    let Ok(tools) = output.read::<Vec<Tool>>() else { return short(output) };
    let names: Vec<_> = tools.iter().map(|tool| format!("{}/{}", tool.server, tool.name)).collect();
    names.join(", ")
}

fn tool_result(output: &Payload) -> String {
    match output.read() {
        Ok(Called::Output(output)) => tool_output(&output),
        Ok(Called::Task { task }) => format!("goes on as task {} of {}", task.id, task.server),
        Ok(Called::Asks { asks }) => questions(&asks.questions),
        Err(_) => match output.read() {
            Ok(TaskNews::Output(output)) => tool_output(&output),
            Ok(TaskNews::Failed(why)) => format!("failed: {}", cut(&why, FAILURE_CHARS)),
            Ok(TaskNews::Lost(why)) => format!("lost: {}", cut(&why, FAILURE_CHARS)),
            Ok(TaskNews::Asks(asked)) => questions(&asked),
            Err(_) => short(output),
        },
    }
}

fn tool_output(output: &ToolOutput) -> String {
    let text = cut(&output.text, SHOWN_CHARS);
    if output.is_error { format!("error: {text}") } else { text }
}

fn questions(asked: &[Asked]) -> String {
    let messages: Vec<_> = asked
        .iter()
        .map(|asked| format!("{:?}", cut(&asked.question.message, SHOWN_CHARS)))
        .collect();
    format!("asks {}", messages.join(", "))
}

fn model_result(output: &Payload) -> String {
    let reply = match output.read() {
        Ok(Outcome::Reply(reply)) => reply,
        Ok(Outcome::Pending { pending }) => return format!("works on {pending}"),
        Ok(Outcome::TooLong { too_long }) => return cut(&too_long, SHOWN_CHARS),
        Ok(Outcome::Lost { lost }) => return format!("lost: {lost}"),
        Err(_) => return short(output),
    };
    let mut parts = Vec::new();
    if let Some(text) = &reply.text {
        parts.push(cut(text, SHOWN_CHARS));
    }
    if !reply.calls.is_empty() {
        let names: Vec<_> = reply.calls.iter().map(|call| call.name.as_str()).collect();
        parts.push(format!("calls {}", names.join(", ")));
    }
    match reply.usage {
        Some(usage) => {
            parts.push(format!("{} + {} tokens", usage.input_tokens, usage.output_tokens))
        }
        None => parts.push("tokens unknown".to_owned()),
    }
    parts.join("; ")
}

fn failed(word: &str, failure: &Failure) -> String {
    coloured(AnsiColor::Red, format!("{word}: {failure}"))
}

/// A value on one line, cut where it is long.
pub(super) fn short(payload: &Payload) -> String {
    payload
        .read::<String>()
        .map_or_else(|_| cut(payload.json(), SHOWN_CHARS), |text| cut(&text, SHOWN_CHARS))
}

fn cut(text: &str, chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
