//! A task's history in words, a line for each thing that happened.

use anstyle::AnsiColor;
use relight::agent::{Reply, ToolOutput};
use relight::journal::{Effect, Event, Failure, History, Payload, Record, Step, StepKind};
use serde_json::Value;

use super::screen::{coloured, dim};

/// The longest piece of a value that a line shows, in characters.
const SHOWN_CHARS: usize = 100;

/// Tells a history line by line.
#[derive(Debug, Default)]
pub(super) struct Teller {
    history: History,
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
        Ok(self.line(&event, at_ms))
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
            Event::TaskClaimed { .. } if self.history.claims() == 1 => None,
            Event::TaskClaimed { .. } => {
                let done =
                    self.history.steps().filter(|(_, step)| step.state.is_finished()).count();
                Some(coloured(
                    AnsiColor::Yellow,
                    format!("taken up again; {done} finished steps answer from the journal"),
                ))
            }
            Event::StepStarted { key, attempt, kind, .. } if *attempt > 1 => {
                let step = self.history.step(key)?;
                Some(format!("{key}: {} again, attempt {attempt}", verb(*kind, step)))
            }
            Event::StepStarted { key, kind: StepKind::Timer, until_ms: Some(until_ms), .. } => {
                let wait_s = until_ms.saturating_sub(at_ms) / 1_000;
                Some(format!("{key}: sleeps for {wait_s} s"))
            }
            Event::StepStarted { .. } => None,
            Event::StepAttemptFailed { key, failure, retry_at_ms, .. } => {
                let wait_ms = retry_at_ms.saturating_sub(at_ms);
                Some(coloured(
                    AnsiColor::Yellow,
                    format!("{key}: {} (tried again in {wait_ms} ms)", failure.message),
                ))
            }
            Event::StepCompleted { key, output } => self.completed(key, output),
            Event::StepFailed { key, failure } => {
                let step = self.history.step(key)?;
                Some(coloured(
                    AnsiColor::Red,
                    format!("{key}: {} failed: {failure}", verb(step.kind, step)),
                ))
            }
            Event::CancelRequested { reason } => {
                let reason =
                    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                Some(format!("asked to stop{reason}"))
            }
            Event::TaskCompleted { output } => {
                Some(coloured(AnsiColor::Green, format!("completed: {}", short(output))))
            }
            Event::TaskFailed { failure } => Some(failed("failed", failure)),
            Event::TaskStopped { failure } => Some(failed("stopped", failure)),
            Event::TaskCancelled { message } => Some(coloured(AnsiColor::Yellow, message)),
        }
    }

    fn completed(&self, key: &str, output: &Payload) -> Option<String> {
        let step = self.history.step(key)?;
        let result = match step.kind {
            StepKind::Clock => return None,
            StepKind::Model => model_result(output),
            StepKind::Tool => output.read::<ToolOutput>().map_or_else(
                |_| short(output),
                |tool| {
                    if tool.is_error {
                        format!("error: {}", cut(&tool.text))
                    } else {
                        cut(&tool.text)
                    }
                },
            ),
            StepKind::Run | StepKind::Timer | StepKind::Child => short(output),
        };
        Some(format!("{key}: {} {}", verb(step.kind, step), dim(format!("-> {result}"))))
    }
}

/// What a step does, with the tool and its arguments where it is a tool call.
fn verb(kind: StepKind, step: &Step) -> String {
    let shown =
        step.shown.as_ref().and_then(|shown| shown.read::<Value>().ok()).unwrap_or_default();
    let text = |key: &str| shown.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind {
        StepKind::Model => format!("model {}", text("model")),
        StepKind::Tool => {
            let arguments = shown
                .get("arguments")
                .map(|arguments| cut(&arguments.to_string()))
                .unwrap_or_default();
            format!("{}{arguments}", text("tool"))
        }
        StepKind::Timer => "sleep".to_owned(),
        StepKind::Clock => "clock".to_owned(),
        StepKind::Child => format!("child {}", text("function")),
        StepKind::Run => match step.effect {
            Effect::Pure => "pure step".to_owned(),
            Effect::Idempotent => "idempotent step".to_owned(),
            Effect::Once => "once step".to_owned(),
        },
    }
}

fn model_result(output: &Payload) -> String {
    let Ok(reply) = output.read::<Reply>() else { return short(output) };
    let mut parts = Vec::new();
    if let Some(text) = &reply.text {
        parts.push(cut(text));
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
    payload.read::<String>().map_or_else(|_| cut(payload.json()), |text| cut(&text))
}

fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
