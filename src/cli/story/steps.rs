//! What a step has to say when it begins and when it ends, whatever it does.

use anstyle::AnsiColor;
use relight::agent::{Answered, LISTING_STEP};
use relight::durable::child_id;
use relight::journal::{Failure, FailureKind, Payload, StepKind};

use super::Teller;
use super::page::{Page, Told};
use super::shown::Shown;
use super::words::{duration, text, value};
use crate::cli::run::short_id;

impl Teller {
    /// A step began; `again` where an attempt before this one was cut off.
    pub(super) fn started(
        &self,
        key: &str,
        kind: StepKind,
        again: bool,
        wait_ms: Option<i64>,
        page: &mut Page,
    ) {
        let shown = Shown::of(&self.history, key);
        match kind {
            StepKind::Question if page.asks() => self.asked(key, wait_ms, page),
            StepKind::Timer => {
                let what = format!("sleeps for {}", duration(wait_ms.unwrap_or_default()));
                page.step(&Told { key, what: &what, ..Told::default() });
            }
            StepKind::Child => {
                let arguments = self.calls.get(key).map(|call| call.arguments.as_str());
                let text = text(arguments.unwrap_or_default(), page.whole());
                let child = short_id(child_id(self.task, key));
                let after = if self.taken_over { String::new() } else { format!("task {child}") };
                page.step(&Told {
                    key,
                    what: shown.child(),
                    text: &text,
                    after: &after,
                    colour: None,
                });
            }
            StepKind::Run | StepKind::Model | StepKind::Tool | StepKind::Clock if again => {
                let (what, text) = self.what(key, kind, &shown, page);
                let what = format!("begun again, for its outcome was lost: {what}");
                let colour = Some(AnsiColor::Yellow);
                page.step(&Told { key, what: &what, text: &text, after: "", colour });
            }
            StepKind::Run
            | StepKind::Model
            | StepKind::Tool
            | StepKind::Clock
            | StepKind::Question => {}
        }
    }

    /// A step ended well.
    pub(super) fn completed(&mut self, key: &str, output: &Payload, at_ms: i64, page: &mut Page) {
        let took = self.took(key, at_ms);
        let Some(kind) = self.history.step(key).map(|step| step.kind) else { return };
        match kind {
            StepKind::Clock | StepKind::Timer => {}
            StepKind::Model => self.replied(key, output, self.after(key, at_ms), page),
            StepKind::Tool => self.called(key, output, &self.after(key, at_ms), page),
            StepKind::Question => self.answered(key, output, &took, page),
            StepKind::Child => self.child_ended(key, output, &took, page),
            StepKind::Run if key == LISTING_STEP && self.is_agent() => {
                self.listed(output, &took, page);
            }
            StepKind::Run => {
                let (what, text) = self.what(key, kind, &Shown::default(), page);
                let after = self.after(key, at_ms);
                page.step(&Told { key, what: &what, text: &text, after: &after, colour: None });
                page.below("-> ", &value(output, page.whole()), None);
            }
        }
    }

    fn child_ended(&self, key: &str, output: &Payload, took: &str, page: &mut Page) {
        let shown = Shown::of(&self.history, key);
        let what = format!("{} answered", shown.child());
        let (spent, answer) = match output.read::<Answered>() {
            Ok(Answered { answer, spent }) => (Some(spent.words()), answer),
            Err(_) => (None, output.clone()),
        };
        let after = [Some(took.to_owned()).filter(|it| !it.is_empty()), spent];
        let after = after.into_iter().flatten().collect::<Vec<_>>().join("  ");
        page.step(&Told { key, what: &what, text: "", after: &after, colour: None });
        page.below("-> ", &value(&answer, page.whole()), None);
    }

    /// A step failed for good.
    pub(super) fn failed(&self, key: &str, failure: &Failure, at_ms: i64, page: &mut Page) {
        let Some(kind) = self.history.step(key).map(|step| step.kind) else { return };
        let (what, text) = self.what(key, kind, &Shown::of(&self.history, key), page);
        let (word, colour) = match failure.kind {
            FailureKind::InDoubt => ("in doubt: ", AnsiColor::Yellow),
            FailureKind::Cancelled => ("cancelled: ", AnsiColor::Yellow),
            _ => ("failed: ", AnsiColor::Red),
        };
        let after = self.after(key, at_ms);
        page.step(&Told { key, what: &what, text: &text, after: &after, colour: None });
        page.at_length(word, &failure.message, Some(colour));
    }

    /// What a step does, in relight's words and in those of others.
    fn what(&self, key: &str, kind: StepKind, shown: &Shown, page: &Page) -> (String, String) {
        match kind {
            StepKind::Tool => self.call(key, shown, page),
            StepKind::Model => (shown.model().to_owned(), String::new()),
            StepKind::Child => (shown.child().to_owned(), String::new()),
            StepKind::Question => ("its question".to_owned(), String::new()),
            StepKind::Timer => ("sleeps".to_owned(), String::new()),
            StepKind::Clock => ("reads the clock".to_owned(), String::new()),
            StepKind::Run => {
                let input = self.history.step(key).and_then(|step| step.shown.as_ref());
                (String::new(), input.map(|input| value(input, page.whole())).unwrap_or_default())
            }
        }
    }

    /// How long a step's last attempt took, where that is known: not of one that was cut off.
    pub(super) fn took(&self, key: &str, at_ms: i64) -> String {
        let kind = self.history.step(key).map(|step| step.kind);
        let outlives = matches!(kind, Some(StepKind::Timer | StepKind::Child | StepKind::Question));
        match self.began_at_ms.get(key) {
            Some(began_at_ms)
                if !self.taken_over && (outlives || *began_at_ms >= self.claimed_at_ms) =>
            {
                duration(at_ms.saturating_sub(*began_at_ms))
            }
            _ => String::new(),
        }
    }

    /// How long it took, and how often it was begun where once was not enough.
    fn after(&self, key: &str, at_ms: i64) -> String {
        let attempts = self.history.step(key).map_or(1, |step| step.attempts);
        let attempts = (attempts > 1).then(|| format!("{attempts} attempts"));
        let took = Some(self.took(key, at_ms)).filter(|took| !took.is_empty());
        [took, attempts].into_iter().flatten().collect::<Vec<_>>().join("  ")
    }
}
