//! Writes for people: results to stdout, progress and errors to stderr.

use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Style};

/// The terminal, or whatever stands in for it. Colours are left out where they are not wanted
/// (`NO_COLOR`, no terminal).
#[derive(Debug)]
pub(super) struct Screen(());

impl Screen {
    pub(super) fn new() -> Self {
        Self(())
    }

    /// A line of the result, on stdout.
    ///
    /// A reader that has gone away (`relight tasks list | head`) is no error.
    pub(super) fn line(&self, text: impl Display) {
        let _ = writeln!(anstream::stdout(), "{text}");
    }

    /// Text of the result that has its own line ends, on stdout, to the letter.
    pub(super) fn text(&self, text: &str) {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    /// A line about what goes on, on stderr.
    pub(super) fn note(&self, text: impl Display) {
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// What a person is to type, on stderr, with the cursor behind it.
    pub(super) fn prompt(&self, text: impl Display) {
        let mut stderr = anstream::stderr();
        let _ = write!(stderr, "{text}");
        let _ = stderr.flush();
    }

    /// What went wrong, on stderr.
    pub(super) fn error(&self, error: &dyn std::error::Error) {
        let style = AnsiColor::Red.on_default().bold();
        self.note(format!("{style}relight:{style:#} {error}"));
    }
}

/// Text in a colour.
pub(super) fn coloured(colour: AnsiColor, text: impl Display) -> String {
    let style = colour.on_default();
    format!("{style}{text}{style:#}")
}

/// Text in bold.
pub(super) fn bold(text: impl Display) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// Text that steps back.
pub(super) fn dim(text: impl Display) -> String {
    let style = Style::new().dimmed();
    format!("{style}{text}{style:#}")
}
