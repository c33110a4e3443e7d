//! How many tokens an agent's models can read: by its file, by what is configured of the models, or by
//! default, in this order.

use serde::{Deserialize, Serialize};

use crate::limits;

/// The number of tokens. Once it is journalled, nobody asks any more who said it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ContextTokens {
    tokens: u64,
    #[serde(skip)]
    is_of_file: bool,
}

impl PartialEq for ContextTokens {
    fn eq(&self, other: &Self) -> bool {
        self.tokens == other.tokens
    }
}

impl Default for ContextTokens {
    fn default() -> Self {
        Self { tokens: limits::CONTEXT_TOKENS, is_of_file: false }
    }
}

impl ContextTokens {
    /// What the agent's file says.
    pub(super) fn of_file(tokens: u64) -> Self {
        Self { tokens, is_of_file: true }
    }

    /// The same, or so many where the file says nothing.
    pub(super) fn or(self, tokens: Option<u64>) -> Self {
        let tokens = tokens.filter(|_| !self.is_of_file).unwrap_or(self.tokens);
        Self { tokens, ..self }
    }

    pub(super) fn get(self) -> u64 {
        self.tokens
    }
}
