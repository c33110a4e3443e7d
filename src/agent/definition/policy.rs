//! What an agent may spend, and what it does when in doubt.

use serde::{Deserialize, Serialize};

/// What one task of an agent may use up. What is `None` has no bound of its own; turns are
/// bounded by [`Definition::max_turns`](super::Definition::max_turns).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Tokens in and out, all model calls together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money for model calls, in millionths of a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microdollars: Option<u64>,
    /// Time from the task's creation, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_time_ms: Option<u64>,
    /// What happens at a limit, that of turns among them.
    #[serde(default, skip_serializing_if = "AtLimit::is_end")]
    pub at_limit: AtLimit,
}

/// What becomes of a task that comes to a limit of its budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtLimit {
    /// It fails, with the last that its model said.
    #[default]
    End,
    /// A person is asked whether it may use up more.
    Ask,
}

impl AtLimit {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde's skip_serializing_if passes a reference"
    )]
    fn is_end(&self) -> bool {
        *self == Self::End
    }
}

/// What becomes of a [`Once`](crate::journal::Effect::Once) tool call that was started and whose
/// outcome was never seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InDoubt {
    /// It is made again under the same idempotency key.
    Retry,
    /// The model is told that the outcome is unknown.
    #[default]
    Tell,
    /// The task fails.
    Fail,
}
