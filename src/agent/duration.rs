//! Durations as people and models write them.

use jiff::{Span, SpanRelativeTo};

/// `30s`, `10m`, `2h 30m` or `7d` in milliseconds; `None` for what is no duration of at least one.
/// A day is 24 hours here; months and years have no fixed length and are refused.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let span: Span = text.trim().parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    u64::try_from(duration.as_millis()).ok().filter(|ms| *ms > 0)
}
