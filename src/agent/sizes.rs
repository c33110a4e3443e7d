//! The sizes that a replay comes to the same conversation by: where it is shortened, and how much is
//! shown of what tools return. They are pinned with each task, so another version of relight may have
//! others for new ones.

use serde::{Deserialize, Serialize};

use crate::limits;

/// The sizes of one task. The reason for each stands in [`limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// [`limits::COMPACT_AT_PERCENT`].
    pub compact_at_percent: u64,
    /// [`limits::KEPT_PERCENT`].
    pub kept_percent: u64,
    /// [`limits::SUMMARY_PERCENT`].
    pub summary_percent: u64,
    /// [`limits::TRANSCRIPT_PERCENT`].
    pub transcript_percent: u64,
    /// [`limits::TOOL_RESULTS_PERCENT`].
    pub tool_results_percent: u64,
    /// [`limits::TOOL_TEXT_SHOWN_BYTES`].
    pub tool_text_shown_bytes: usize,
    /// [`limits::TOOL_TEXT_SHOWN_MIN_BYTES`].
    pub tool_text_shown_min_bytes: usize,
    /// [`limits::READ_NOTE_BYTES`].
    pub read_note_bytes: usize,
}

impl Default for Sizes {
    /// Those of new tasks.
    fn default() -> Self {
        Self {
            compact_at_percent: limits::COMPACT_AT_PERCENT,
            kept_percent: limits::KEPT_PERCENT,
            summary_percent: limits::SUMMARY_PERCENT,
            transcript_percent: limits::TRANSCRIPT_PERCENT,
            tool_results_percent: limits::TOOL_RESULTS_PERCENT,
            tool_text_shown_bytes: limits::TOOL_TEXT_SHOWN_BYTES,
            tool_text_shown_min_bytes: limits::TOOL_TEXT_SHOWN_MIN_BYTES,
            read_note_bytes: limits::READ_NOTE_BYTES,
        }
    }
}

impl Sizes {
    /// Those of tasks that name none. They are written out because they never change.
    pub(super) fn unnamed() -> Self {
        Self {
            compact_at_percent: 80,
            kept_percent: 25,
            summary_percent: 12,
            transcript_percent: 50,
            tool_results_percent: 50,
            tool_text_shown_bytes: 100_000,
            tool_text_shown_min_bytes: 1_000,
            read_note_bytes: 256,
        }
    }

    pub(super) fn are_unnamed(&self) -> bool {
        *self == Self::unnamed()
    }
}
