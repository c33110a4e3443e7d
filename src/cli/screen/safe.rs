//! What of a text may reach a terminal.
//!
//! Models, tools and servers write most of what is shown here, and a terminal acts on some of what it
//! is sent: it moves the cursor, wipes lines, changes its title. A tool that answers so must not be able
//! to rewrite what a person sees, least of all a question that they say yes to.

use std::borrow::Cow;

/// The styles that relight and its log use, as they stand between `ESC [` and `m`. None hides text.
const STYLES: [&str; 10] = ["0", "1", "2", "3", "31", "32", "33", "34", "35", "39"];

/// The colours of tables: `38;5;` and one of these.
const TABLE_COLOURS: std::ops::RangeInclusive<u8> = 1..=7;

/// Whether a terminal would act on it rather than show it. Besides control characters these are the
/// marks that have what follows shown in another order than it stands in (Unicode TR36, 2.6).
fn is_active(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with everything that a terminal would act on written out, as JSON writes it. Line breaks
/// and tabs stay.
pub(in crate::cli) fn plain(text: &str) -> Cow<'_, str> {
    written_out(text, |_| None)
}

/// The same on one line, with single spaces.
pub(in crate::cli) fn one_line(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same for text that has relight's own styles in it, which stay.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    written_out(text, style)
}

/// `keeps` says how much from an escape character on stays as it is.
fn written_out(text: &str, keeps: impl Fn(&str) -> Option<usize>) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(is_active) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let c = from.chars().next().unwrap_or_default();
        let kept = keeps(from);
        let taken = kept.unwrap_or(c.len_utf8());
        if kept.is_some() {
            out.push_str(&from[..taken]);
        } else if !from.starts_with("\r\n") {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
        rest = &from[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The length of one of [`STYLES`], or of a table's, where the text begins with one.
fn style(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let end = inside.find('m')?;
    let style = &inside[..end];
    let of_table =
        |colour: &str| colour.parse().is_ok_and(|colour| TABLE_COLOURS.contains(&colour));
    let ours = STYLES.contains(&style) || style.strip_prefix("38;5;").is_some_and(of_table);
    ours.then_some(text.len() - inside.len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        for (hostile, shown) in [
            ("a\u{1b}[2Jb", "a\\u001b[2Jb"),
            ("yes\rno", "yes\\u000dno"),
            ("a\u{8}b\u{7f}", "a\\u0008b\\u007f"),
            ("\u{9b}31m", "\\u009b31m"),
            ("\u{1b}]0;title\u{7}", "\\u001b]0;title\\u0007"),
            ("pay \u{202e}001", "pay \\u202e001"),
            ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
            ("zoë 日本 👩‍👩‍👧", "zoë 日本 👩‍👩‍👧"),
        ] {
            assert_eq!(plain(hostile), shown);
            assert_eq!(guarded(hostile), shown);
        }
        assert_eq!(one_line(" a\n\n  b\tc "), "a b c");
    }

    #[test]
    fn our_own_styles_stay_and_no_others() {
        let red = crate::cli::screen::coloured(anstyle::AnsiColor::Red, "no");
        let both = format!("{} {}", red, crate::cli::screen::bold(crate::cli::screen::dim("b")));
        assert_eq!(guarded(&both), both);
        assert_eq!(plain("\u{1b}[31m"), "\\u001b[31m");
        for style in ["8", "7", "5", "30", "38;5;0", "38;5;300", "48;5;1", "1;8"] {
            assert_eq!(guarded(&format!("\u{1b}[{style}m")), format!("\\u001b[{style}m"));
        }
    }
}
