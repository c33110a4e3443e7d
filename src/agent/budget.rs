//! What a run may cost, reserved before each model call.
//!
//! A call is never begun that could overshoot: its output is bounded by what is left. What a server
//! does not say (usage) is estimated, never taken as zero.

use std::fmt::Write as _;

use super::model::{Reply, Usage};
use super::{Budget, Prices};
use crate::journal::Failure;

/// What was spent so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Spent {
    tokens: u64,
    micro_dollars: u64,
    /// Some of it is an estimate.
    estimated: bool,
    /// Some of it has no price.
    unpriced: bool,
}

impl Spent {
    /// Reserves a call that reads about `input_tokens`. Returns the most tokens that it may write;
    /// `None` where nothing bounds it.
    ///
    /// # Errors
    /// When not even one token can be written within the budget.
    pub(super) fn reserve(
        &self,
        budget: &Budget,
        prices: &Prices,
        model: &str,
        input_tokens: u64,
        wanted: Option<u32>,
    ) -> Result<Option<u32>, Failure> {
        let mut room = wanted.map(u64::from);
        if let Some(bound) = budget.tokens {
            let left = bound.saturating_sub(self.tokens).saturating_sub(input_tokens);
            if left == 0 {
                let spent = self.tokens;
                return Err(over(
                    format!(
                        "{spent} of {bound} tokens are spent, and the next call reads about {input_tokens}"
                    ),
                    "tokens",
                ));
            }
            room = Some(room.map_or(left, |room| room.min(left)));
        }
        if let Some(bound) = budget.microdollars {
            let usage = |output_tokens| Usage { input_tokens, output_tokens, cached_tokens: 0 };
            let Some(input) = prices.cost(model, &usage(0)) else {
                return Err(Failure::is_final(format!(
                    "the agent has a budget in dollars, and model {model:?} has no price: set `prices` in relight.yaml, or take `dollars` out of the agent's budget"
                )));
            };
            let left = bound.saturating_sub(self.micro_dollars).saturating_sub(input);
            // What a thousand tokens of output cost, rather than one, which may round to nothing.
            let thousand =
                prices.cost(model, &usage(1_000)).unwrap_or_default().saturating_sub(input);
            let affordable = left.saturating_mul(1_000).checked_div(thousand);
            if left == 0 || affordable == Some(0) {
                return Err(over(
                    format!("{} of {} are spent", dollars(self.micro_dollars), dollars(bound)),
                    "dollars",
                ));
            }
            if let Some(affordable) = affordable {
                room = Some(room.map_or(affordable, |room| room.min(affordable)));
            }
        }
        Ok(room.map(|room| u32::try_from(room).unwrap_or(u32::MAX)))
    }

    /// Takes in what a call cost.
    pub(super) fn add(&mut self, prices: &Prices, model: &str, input_tokens: u64, reply: &Reply) {
        let usage = reply.usage.unwrap_or_else(|| {
            self.estimated = true;
            let calls: usize =
                reply.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
            let bytes = reply.text.as_ref().map_or(0, String::len) + calls;
            Usage { input_tokens, output_tokens: (bytes / 4) as u64 + 1, cached_tokens: 0 }
        });
        self.tokens =
            self.tokens.saturating_add(usage.input_tokens).saturating_add(usage.output_tokens);
        match prices.cost(model, &usage) {
            Some(cost) => self.micro_dollars = self.micro_dollars.saturating_add(cost),
            None => self.unpriced = true,
        }
    }

    /// Tokens and money in a few words, for a status message.
    pub(super) fn words(&self) -> String {
        let about = if self.estimated { "about " } else { "" };
        let mut words = format!("{about}{} tokens", self.tokens);
        if self.micro_dollars > 0 {
            let least = if self.unpriced { "at least " } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(words, ", {least}{}", dollars(self.micro_dollars));
        }
        words
    }
}

fn over(what: String, key: &str) -> Failure {
    Failure::is_final(format!(
        "the budget is used up: {what}; raise `budget.{key}` in the agent's file for new tasks"
    ))
}

fn dollars(micro_dollars: u64) -> String {
    format!("${}.{:04}", micro_dollars / 1_000_000, micro_dollars % 1_000_000 / 100)
}
