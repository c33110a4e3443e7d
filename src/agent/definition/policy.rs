//! What an agent may spend, what it does when in doubt, and when it asks a person.

use serde::{Deserialize, Serialize};

use super::ToolPattern;

/// What one task of an agent may use up together with the agents that it calls. What is `None` has
/// no such bound; an agent's own turns are bounded by
/// [`Definition::max_turns`](super::Definition::max_turns) besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Model calls that lead to the next step of a conversation, one a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
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
    /// A person is asked: it happened, it did not, or the task stops.
    #[default]
    Ask,
    /// It is made again under the same idempotency key.
    Retry,
    /// The model is told that the outcome is unknown.
    Tell,
    /// The task fails.
    Fail,
}

/// What the file says of calls in doubt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredRule")]
pub(super) struct DoubtRule {
    /// The tool that may know what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) check: Option<ToolPattern>,
    /// What becomes of a doubt that no tool settles.
    pub(super) policy: InDoubt,
}

/// A rule as it is stored. Before there were checks it was the policy alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredRule {
    Policy(InDoubt),
    Rule {
        #[serde(default)]
        check: Option<ToolPattern>,
        policy: InDoubt,
    },
}

impl From<StoredRule> for DoubtRule {
    fn from(stored: StoredRule) -> Self {
        match stored {
            StoredRule::Policy(policy) => Self { check: None, policy },
            StoredRule::Rule { check, policy } => Self { check, policy },
        }
    }
}

/// Which tool calls wait for a person's yes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Approve {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<ToolPattern>,
    /// All tools that may destroy something, by their annotations.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) destructive: bool,
}

impl Approve {
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How long people have to answer the questions of an agent's task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// In milliseconds from each question. Without it a question stays open for the task's life:
    /// a parked task costs no more than its row, and a person's silence is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_ms: Option<u64>,
    /// What follows from a question that nobody answered in time.
    #[serde(default)]
    pub then: Unanswered,
}

/// What follows from a question that nobody answered in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// The model is told; a call that was to be approved is not made.
    #[default]
    Tell,
    /// The task fails.
    Fail,
}
