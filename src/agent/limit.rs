//! A limit that is reached: what the failure says, and what a person is asked who may raise it.

use serde_json::{Map, Value, json};

use super::budget::dollars;
use crate::durable::Question;
use crate::journal::{Failure, Payload};
use crate::limits;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// Those of one agent alone.
    OwnTurns,
    /// Those of the agent and of all that it calls.
    Turns,
    Tokens,
    Dollars,
    Time,
}

/// A limit that is reached.
#[derive(Debug, Clone)]
pub(super) struct Over {
    pub(super) limit: Limit,
    /// In words.
    what: String,
    /// In the limit's unit: turns, tokens, micro-dollars, milliseconds.
    most: u64,
    /// Whether it is a share of the caller's budget.
    is_share: bool,
}

impl Over {
    pub(super) fn own_turns(most: u32) -> Self {
        let what = format!("no answer after {}", turns(most));
        Self { limit: Limit::OwnTurns, what, most: u64::from(most), is_share: false }
    }

    pub(super) fn turns(spent: u64, most: u64, is_share: bool) -> Self {
        let what = format!("{spent} of {most} turns are over");
        Self { limit: Limit::Turns, what: used_up(&what), most, is_share }
    }

    pub(super) fn tokens(spent: u64, most: u64, next: u64, is_share: bool) -> Self {
        let what =
            format!("{spent} of {most} tokens are spent, and the next call reads about {next}");
        Self { limit: Limit::Tokens, what: used_up(&what), most, is_share }
    }

    /// In micro-dollars.
    pub(super) fn dollars(spent: u64, most: u64, is_share: bool) -> Self {
        let what = format!("{} of {} are spent", dollars(spent), dollars(most));
        Self { limit: Limit::Dollars, what: used_up(&what), most, is_share }
    }

    pub(super) fn time(spent_ms: u64, most_ms: u64) -> Self {
        let what = format!("{} s of {} s are over", spent_ms / 1_000, most_ms / 1_000);
        Self { limit: Limit::Time, what: used_up(&what), most: most_ms, is_share: false }
    }

    /// In words.
    pub(super) fn words(&self) -> &str {
        &self.what
    }

    /// The end of a run at this limit, with the last that its model said.
    pub(super) fn failure(&self, last_words: Option<&str>) -> Failure {
        let key = match self.limit {
            Limit::OwnTurns => "maxTurns",
            Limit::Turns => "budget.turns",
            Limit::Tokens => "budget.tokens",
            Limit::Dollars => "budget.dollars",
            Limit::Time => "budget.wallTime",
        };
        let (what, share) = (&self.what, self.is_share);
        let file =
            if share { "the file of the agent that called this one" } else { "the agent's file" };
        let mut message = format!("{what}; raise `{key}` in {file} for new tasks");
        if !share {
            message.push_str(", or let it ask for more: `budget: {atLimit: ask}`");
        }
        if let Some(words) = last_words {
            let cut = words.floor_char_boundary(limits::LAST_REPLY_BYTES);
            message.push_str("; the last that the model said: ");
            message.push_str(&words[..cut]);
        }
        Failure::is_final(message)
    }

    /// The name of the step that asks.
    pub(super) fn step(&self) -> &'static str {
        self.limit.step()
    }

    /// Whether to go on, and with how much more.
    pub(super) fn question(&self, agent: &str) -> Result<Question, Failure> {
        let (field, kind, default) = match self.limit {
            Limit::OwnTurns | Limit::Turns => ("turns", "integer", json!(self.most)),
            Limit::Tokens => ("tokens", "integer", json!(self.most)),
            Limit::Dollars => ("dollars", "number", json!(to_units(self.most, MICRO))),
            Limit::Time => ("minutes", "number", json!(to_units(self.most, MINUTE))),
        };
        let mut amount = json!({
            "type": kind,
            "title": format!("More {field}"),
            "description": format!("How many more {field} it may use up"),
        });
        if kind == "integer" {
            amount["minimum"] = json!(1);
        }
        if default.as_f64().is_some_and(|default| default > 0.0) {
            amount["default"] = default;
        }
        let schema = json!({
            "type": "object",
            "properties": {(field): amount},
            "required": [field],
        });
        let message = format!(
            "The agent {agent} has reached a limit: {}. Let it go on, with how many more {field}? \
             To decline ends it.",
            self.what
        );
        Ok(Question::new(message, Payload::of(&schema)?))
    }

    /// The amount that a person filled in, in the limit's unit; `None` where it is none.
    pub(super) fn amount(&self, content: &Map<String, Value>) -> Option<u64> {
        self.limit.amount(content)
    }

    /// What a person has answered to the step of this name: the limit that was reached, and by how
    /// much it was raised.
    pub(super) fn raised(step: &str, content: &Map<String, Value>) -> Option<(Limit, u64)> {
        let limits = [Limit::Turns, Limit::Tokens, Limit::Dollars, Limit::Time];
        let limit = limits.into_iter().find(|limit| limit.step() == step)?;
        Some((limit, limit.amount(content)?))
    }
}

impl Limit {
    /// The name of the step that asks for more.
    fn step(self) -> &'static str {
        match self {
            Self::OwnTurns | Self::Turns => "raise-turns",
            Self::Tokens => "raise-tokens",
            Self::Dollars => "raise-dollars",
            Self::Time => "raise-time",
        }
    }

    fn amount(self, content: &Map<String, Value>) -> Option<u64> {
        let amount = match self {
            Self::OwnTurns | Self::Turns => content.get("turns")?.as_u64()?,
            Self::Tokens => content.get("tokens")?.as_u64()?,
            Self::Dollars => from_units(content.get("dollars")?.as_f64()?, MICRO),
            Self::Time => from_units(content.get("minutes")?.as_f64()?, MINUTE),
        };
        (amount > 0).then_some(amount)
    }
}

/// Micro-dollars in a dollar.
const MICRO: f64 = 1_000_000.0;

/// Milliseconds in a minute.
const MINUTE: f64 = 60_000.0;

#[expect(clippy::cast_precision_loss, reason = "a suggestion for a form, not an account")]
fn to_units(most: u64, unit: f64) -> f64 {
    most as f64 / unit
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f64 stays within the bounds of u64, and less than nothing is nothing"
)]
fn from_units(amount: f64, unit: f64) -> u64 {
    (amount * unit).round() as u64
}

fn used_up(what: &str) -> String {
    format!("the budget is used up: {what}")
}

/// `1 turn`, `2 turns`.
pub(super) fn turns(n: u32) -> String {
    match n {
        1 => "1 turn".to_owned(),
        n => format!("{n} turns"),
    }
}
