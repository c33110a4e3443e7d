//! Values, times and amounts as a story words them.

use relight::journal::Payload;
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::cli::screen::{dim, one_line};

/// What stands for the rest of a text that was cut.
const MORE: &str = "…";

/// The columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The text on one line of at most so many columns. It is cut between characters as people see them.
pub(in crate::cli) fn cut(text: &str, max: usize) -> String {
    // Most of a long text is never shown, and a character takes no more bytes than this.
    let head = text.floor_char_boundary(max.saturating_mul(64));
    let line = one_line(&text[..head]);
    if head == text.len() && columns(&line) <= max {
        return line;
    }
    let mut room = max.saturating_sub(columns(MORE));
    let fits = |character: &&str| {
        let width = columns(character);
        let fits = width <= room;
        room = room.saturating_sub(width);
        fits
    };
    let mut kept: String = line.graphemes(true).take_while(fits).collect();
    kept.truncate(kept.trim_end().len());
    kept + MORE
}

/// The text on at most so many lines of at most so many columns, broken between words where it can be.
pub(super) fn wrapped(text: &str, max: usize, lines: usize) -> Vec<String> {
    // As in [`cut`].
    let head = text.floor_char_boundary(max.saturating_mul(lines).saturating_mul(64));
    let line = one_line(&text[..head]);
    let mut rest = line.as_str();
    let mut wrapped = Vec::new();
    while wrapped.len() + 1 < lines && columns(rest) > max {
        let Some((here, later)) = broken(rest, max) else { break };
        wrapped.push(here.to_owned());
        rest = later;
    }
    if !rest.is_empty() {
        let last = if head < text.len() { format!("{rest}{MORE}") } else { rest.to_owned() };
        wrapped.push(cut(&last, max));
    }
    wrapped
}

/// The words that fit so many columns, and the rest; `None` where not even one does.
fn broken(line: &str, max: usize) -> Option<(&str, &str)> {
    let spaces = line.match_indices(' ').map(|(at, _)| at);
    let at = spaces.take_while(|at| columns(&line[..*at]) <= max).last()?;
    Some((&line[..at], &line[at + 1..]))
}

/// A value as people read it: a text as it is, anything else as JSON, indented where it is shown
/// whole.
pub(super) fn value(payload: &Payload, whole: bool) -> String {
    match payload.read::<Value>() {
        Ok(value) => json(&value, whole),
        Err(_) => payload.json().to_owned(),
    }
}

/// The same for a value that was read already.
pub(super) fn json(value: &Value, whole: bool) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value if whole => format!("{value:#}"),
        value => value.to_string(),
    }
}

/// The same for what may be JSON, and is text in any case.
pub(super) fn text(text: &str, whole: bool) -> String {
    let value = || serde_json::from_str::<Value>(text).ok();
    let value = value().filter(|value| whole && (value.is_object() || value.is_array()));
    value.map_or_else(|| text.to_owned(), |value| json(&value, whole))
}

/// `340 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`, `9 d 4 h`.
pub(super) fn duration(ms: i64) -> String {
    if ms < 1_000 {
        return format!("{} ms", ms.max(0));
    }
    // Rounded: a wait for a week, or for two seconds, is told a moment after it began.
    let (tenths, seconds) = ((ms + 50) / 100, (ms + 500) / 1_000);
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let (length, unit, smaller, smaller_unit) = match seconds {
        86_400.. => (86_400, "d", 3_600, "h"),
        3_600.. => (3_600, "h", 60, "min"),
        _ => (60, "min", 1, "s"),
    };
    let rest = seconds % length / smaller;
    let rest = if rest == 0 { String::new() } else { format!(" {rest} {smaller_unit}") };
    format!("{} {unit}{rest}", seconds / length)
}

/// How long after the one time the other is, for a [`beside`].
pub(in crate::cli) fn since(began_at_ms: i64, at_ms: i64) -> String {
    let ms = at_ms.saturating_sub(began_at_ms).max(0);
    if ms < 60_000 { format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10) } else { duration(ms) }
}

/// A line with a margin of so many columns, and what stands in it, before it.
pub(in crate::cli) fn beside(margin: usize, note: &str, line: &str) -> String {
    match (line, note) {
        ("", _) => String::new(),
        (line, "") => format!("{:margin$}  {line}", ""),
        (line, note) => dim(format!("{note:>margin$}  ")) + line,
    }
}

/// `1 step`, `2 steps`.
pub(super) fn count(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// `once`, `twice`, `3 times`.
pub(super) fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_fits_its_columns() {
        for (text, max, shown) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("two\n words", 20, "two words"),
            ("one two", 5, "one…"),
            ("日本語テキスト", 7, "日本語…"),
            ("日本語", 4, "日…"),
            // A family is one character of two columns, and an accent belongs to its letter.
            ("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 5, "👩‍👩‍👧👩‍👩‍👧…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("a\u{1b}[2J", 20, "a\\u001b[2J"),
        ] {
            assert_eq!(cut(text, max), shown);
            assert!(columns(&cut(text, max)) <= max);
        }
        assert_eq!(cut(&"word ".repeat(1_000_000), 9), "word wor…");
    }

    #[test]
    fn a_text_is_broken_between_words_and_its_rest_is_cut() {
        assert_eq!(wrapped("one two three four", 9, 2), ["one two", "three fo…"]);
        assert_eq!(wrapped("one two three four", 9, 3), ["one two", "three", "four"]);
        assert_eq!(wrapped("one two\nthree", 20, 3), ["one two three"]);
        assert_eq!(wrapped("日本語テキスト です", 9, 3), ["日本語テ…"]);
        assert_eq!(wrapped(" ", 9, 3), [""; 0]);
    }

    #[test]
    fn times_are_as_exact_as_anybody_wants() {
        for (ms, words) in [
            (-5, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.3 s"),
            (1_999, "2.0 s"),
            (59_949, "59.9 s"),
            (59_999, "1 min"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (7 * 86_400_000 - 2, "7 d"),
            (9 * 86_400_000 + 4 * 3_600_000, "9 d 4 h"),
        ] {
            assert_eq!(duration(ms), words);
        }
    }
}
