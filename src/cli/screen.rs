//! Writes for people: results to stdout, progress and errors to stderr.
//!
//! All that the commands say goes through here, and nothing of it makes a terminal do anything but show
//! it: see [`safe`].

mod safe;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write, stderr, stdout};

use anstyle::{AnsiColor, Style};
use terminal_size::{Width, terminal_size_of};

pub(super) use safe::{one_line, plain};

/// The width of what is no terminal, in columns: what most people can still read on one line.
const PIPE_COLUMNS: usize = 120;

/// The narrowest terminal that is taken for one.
const LEAST_COLUMNS: usize = 40;

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
        let _ = writeln!(anstream::stdout(), "{}", safe::guarded(&text.to_string()));
    }

    /// Text that has its own line ends, on stdout, for whoever goes on with it: to the letter, unless
    /// that is a terminal.
    pub(super) fn text(&self, text: &str) {
        let _ = match stdout().is_terminal() {
            true => stdout().write_all(plain(text).as_bytes()),
            false => stdout().write_all(text.as_bytes()),
        };
    }

    /// A line about what goes on, on stderr.
    pub(super) fn note(&self, text: impl Display) {
        let _ = writeln!(anstream::stderr(), "{}", safe::guarded(&text.to_string()));
    }

    /// What a person is to type, on stderr, with the cursor behind it.
    pub(super) fn prompt(&self, text: impl Display) {
        let mut stderr = anstream::stderr();
        let _ = write!(stderr, "{}", safe::guarded(&text.to_string()));
        let _ = stderr.flush();
    }

    /// How many columns a line on stdout has.
    pub(super) fn columns(&self) -> usize {
        columns(terminal_size_of(stdout()))
    }

    /// How many columns a line on stderr has.
    pub(super) fn note_columns(&self) -> usize {
        columns(terminal_size_of(stderr()))
    }

    /// What went wrong, on stderr.
    pub(super) fn error(&self, error: &dyn std::error::Error) {
        let style = AnsiColor::Red.on_default().bold();
        self.note(format!("{style}relight:{style:#} {error}"));
    }
}

/// Where the log goes: to stderr, and as safely as all else. Lines come in one piece each.
#[derive(Debug)]
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        stderr().write_all(safe::guarded(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

fn columns<H>(size: Option<(Width, H)>) -> usize {
    size.map_or(PIPE_COLUMNS, |(Width(columns), _)| usize::from(columns).max(LEAST_COLUMNS))
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
