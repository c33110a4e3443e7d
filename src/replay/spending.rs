//! What a recorded run has used up: calls of models, tokens, money.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::agent::{Outcome, Pinned, dollars};
use crate::journal::{Event, RecordedTask, Recording, StepKind, StepState};

/// What a run and its children have used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spending {
    /// Replies of models.
    pub model_calls: u64,
    /// Tokens in.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// Replies whose tokens the server did not tell. They are not in the counts.
    pub uncounted: u64,
    /// What the replies with a price cost.
    pub microdollars: u64,
    /// Replies that have no known price.
    pub unpriced: u64,
}

impl fmt::Display for Spending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model_calls, input_tokens, output_tokens, uncounted, microdollars, unpriced } =
            *self;
        let calls = if model_calls == 1 { "call" } else { "calls" };
        write!(f, "{model_calls} model {calls}, {input_tokens} tokens in, {output_tokens} out")?;
        if uncounted > 0 {
            write!(f, " (without {uncounted} that nobody counted)")?;
        }
        match (microdollars, unpriced) {
            (0, 0) => Ok(()),
            (_, 0) => write!(f, ", {}", dollars(microdollars)),
            (0, _) => f.write_str(", price unknown"),
            _ => write!(f, ", at least {}", dollars(microdollars)),
        }
    }
}

/// The model that a step asked.
#[derive(Deserialize)]
struct Asked {
    model: String,
}

impl Spending {
    /// What the tasks of a recording have used up.
    pub(super) fn of(recording: &Recording) -> Self {
        let mut spending = Self::default();
        recording.tasks().iter().for_each(|task| spending.add(task));
        spending
    }

    fn add(&mut self, task: &RecordedTask) {
        let pinned = match task.records.first().map(|record| &record.event) {
            Some(Event::TaskCreated { definition: Some(pinned), .. }) => {
                pinned.read::<Pinned>().ok()
            }
            _ => None,
        };
        let (Ok(history), Some(pinned)) = (task.history(), pinned) else { return };
        for (_, step) in history.steps().filter(|(_, step)| step.kind == StepKind::Model) {
            let StepState::Completed(output) = &step.state else { continue };
            let Ok(Outcome::Reply(reply)) = output.read() else { continue };
            self.model_calls += 1;
            let Some(usage) = reply.usage else {
                self.uncounted += 1;
                continue;
            };
            self.input_tokens += usage.input_tokens;
            self.output_tokens += usage.output_tokens;
            let asked = step.shown.as_ref().and_then(|shown| shown.read::<Asked>().ok());
            match asked.and_then(|Asked { model }| pinned.prices.cost(&model, &usage)) {
                Some(cost) => self.microdollars += cost,
                None => self.unpriced += 1,
            }
        }
    }
}
