//! What an agent may spend, how often it tries again, and what it does when in doubt.

use serde::{Deserialize, Serialize};

use crate::limits;

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

/// How often a model or tool call that failed for the moment is tried, and after which waits. The
/// wait doubles from `first_ms` up to `max_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Tries in all, the first one included; at least 1.
    pub attempts: u32,
    /// The wait before the second try.
    pub first_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: limits::CALL_ATTEMPTS,
            first_ms: limits::CALL_RETRY_FIRST_MS,
            max_ms: limits::CALL_RETRY_MAX_MS,
        }
    }
}
