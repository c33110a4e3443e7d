//! When a task must have ended.

use serde::{Deserialize, Serialize};

/// A time at which a task ends as failed, whatever it is at: it is part of the task from its creation
/// on, and its children have no later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// What set it, in the words of whoever can change that (a key of an agent's file).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
}
