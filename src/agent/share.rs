//! What an agent lets one that it calls use up, and what that tells it in return. Both are journalled.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::budget::dollars;
use super::model::is_zero;
use crate::journal::TaskId;

/// What an agent that calls another lets it use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The task at the top, for which all of this is done.
    pub(super) root: TaskId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) turns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) microdollars: Option<u64>,
    /// In Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until_ms: Option<i64>,
}

impl Share {
    /// Its use where nobody knows better.
    pub(super) fn whole(&self) -> Spent {
        Spent {
            turns: self.turns.unwrap_or_default(),
            tokens: self.tokens.unwrap_or_default(),
            microdollars: self.microdollars.unwrap_or_default(),
            estimated: true,
            unpriced: true,
            raised: Raised::default(),
        }
    }
}

/// What a run has used up: what an agent tells the one that called it, however it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Counted only where somebody bounds them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) turns: u64,
    /// Tokens in and out.
    pub tokens: u64,
    /// Millionths of a dollar.
    pub microdollars: u64,
    /// Some of it is an estimate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) estimated: bool,
    /// Some of it has no price.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) unpriced: bool,
    /// By how much people raised its limits.
    #[serde(default, skip_serializing_if = "Raised::is_none")]
    pub(super) raised: Raised,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Raised {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) turns: u64,
    pub(super) tokens: u64,
    pub(super) microdollars: u64,
}

impl Raised {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Spent {
    /// Tokens and money in a few words, for a status message.
    pub fn words(&self) -> String {
        let about = if self.estimated { "about " } else { "" };
        let mut words = format!("{about}{} tokens", self.tokens);
        if self.microdollars > 0 {
            let least = if self.unpriced { "at least " } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(words, ", {least}{}", dollars(self.microdollars));
        }
        words
    }
}
