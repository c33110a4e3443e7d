//! The lines of a story, as wide as the screen allows.

use anstyle::AnsiColor;

use super::words::{columns, cut, wrapped};
use crate::cli::screen::{coloured, dim, one_line, plain};

/// How a story is told.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Manner {
    /// How many columns a line may take.
    pub(in crate::cli) columns: usize,
    /// Texts, arguments and results are shown whole.
    pub(in crate::cli) whole: bool,
    /// Questions are put to somebody beside the story, and are not told of in it until they are
    /// answered.
    pub(in crate::cli) asks_beside: bool,
}

/// The columns of a margin in which times stand.
pub(in crate::cli) const TIMES: usize = 12;

impl Manner {
    /// On a screen of so many columns, beside a margin of so many.
    pub(in crate::cli) fn beside(margin: usize, columns: usize, whole: bool) -> Self {
        Self { columns: columns.saturating_sub(margin + 2), whole, asks_beside: false }
    }
}

/// The least that is shown of a text, however little room is left on its line.
const LEAST_COLUMNS: usize = 16;

/// How many lines of what says more than a result are shown.
const LINES: usize = 4;

/// The longest that is shown of what a step is, which has room for all of relight's own words.
const WHAT_COLUMNS: usize = 80;

/// What is below a step stands further in.
const STEP: usize = 2;
pub(super) const BELOW: usize = 4;

/// Something about a step.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    pub(super) key: &'a str,
    /// In relight's own words.
    pub(super) what: &'a str,
    /// In the words of a model, a tool, a person.
    pub(super) text: &'a str,
    /// How long it took, and the like.
    pub(super) after: &'a str,
    pub(super) colour: Option<AnsiColor>,
}

/// What one event has to say.
#[derive(Debug)]
pub(super) struct Page {
    manner: Manner,
    lines: Vec<String>,
}

impl Page {
    pub(super) fn new(manner: Manner) -> Self {
        Self { manner, lines: Vec::new() }
    }

    pub(super) fn lines(self) -> Vec<String> {
        self.lines
    }

    /// Whether questions are told of when they are put.
    pub(super) fn asks(&self) -> bool {
        !self.manner.asks_beside
    }

    /// Whether texts are shown whole.
    pub(super) fn whole(&self) -> bool {
        self.manner.whole
    }

    /// A line as it is.
    pub(super) fn line(&mut self, line: String) {
        self.lines.push(line);
    }

    /// A line of relight's own words about the task as a whole.
    pub(super) fn note(&mut self, colour: AnsiColor, words: &str) {
        self.lines.push(coloured(colour, one_line(words)));
    }

    /// The same, with a text.
    pub(super) fn note_text(&mut self, colour: AnsiColor, words: &str, text: &str) {
        if self.manner.whole {
            self.note(colour, words);
            return self.block(STEP, "", text, None);
        }
        let room = self.room(columns(words) + 2);
        self.note(colour, &format!("{words}: {}", cut(text, room)));
    }

    /// A line about a step.
    pub(super) fn step(&mut self, told: &Told<'_>) {
        let Told { key, what, text, after, colour } = *told;
        // What a step is called, and what its tool is, may come from a model too.
        let (key, what) = (cut(key, self.manner.columns), cut(what, WHAT_COLUMNS));
        let taken = STEP + columns(&key) + columns(&what) + columns(after) + 5;
        let text_here = if self.manner.whole { String::new() } else { cut(text, self.room(taken)) };
        let space = if what.is_empty() || text_here.is_empty() { "" } else { " " };
        let said = format!("{what}{space}{text_here}");
        let said = match colour {
            Some(colour) => coloured(colour, said),
            None => said,
        };
        let mut line = format!("{:STEP$}{}", "", dim(format!("{key}:")));
        if !(what.is_empty() && text_here.is_empty()) {
            line = format!("{line} {said}");
        }
        if !after.is_empty() {
            line = format!("{line}  {}", dim(after));
        }
        self.lines.push(line);
        if self.manner.whole {
            self.block(BELOW, "", text, colour);
        }
    }

    /// A text below a step: what came of it, or what was said.
    pub(super) fn below(&mut self, before: &str, text: &str, colour: Option<AnsiColor>) {
        if self.manner.whole {
            return self.block(BELOW, before, text, colour);
        }
        let text = cut(text, self.room(BELOW + columns(before)));
        if !text.is_empty() {
            self.push(BELOW, before, &text, colour);
        }
    }

    /// The same on several lines, for what says more than a result: what a model said, why something
    /// failed.
    pub(super) fn at_length(&mut self, before: &str, text: &str, colour: Option<AnsiColor>) {
        if self.manner.whole {
            return self.block(BELOW, before, text, colour);
        }
        let lines = wrapped(text, self.room(BELOW + columns(before)), LINES);
        self.block(BELOW, before, &lines.join("\n"), colour);
    }

    /// All lines of a text.
    pub(super) fn block(
        &mut self,
        indent: usize,
        before: &str,
        text: &str,
        colour: Option<AnsiColor>,
    ) {
        for (n, line) in plain(text.trim_end()).lines().enumerate() {
            let before = if n == 0 { before.to_owned() } else { " ".repeat(columns(before)) };
            self.push(indent, &before, line, colour);
        }
    }

    fn push(&mut self, indent: usize, before: &str, text: &str, colour: Option<AnsiColor>) {
        let text = match colour {
            Some(colour) => coloured(colour, text),
            None => text.to_owned(),
        };
        let before = if before.is_empty() { String::new() } else { dim(before) };
        self.lines.push(format!("{:indent$}{before}{text}", ""));
    }

    fn room(&self, taken: usize) -> usize {
        self.manner.columns.saturating_sub(taken).max(LEAST_COLUMNS)
    }
}
