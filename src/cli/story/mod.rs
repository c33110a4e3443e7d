//! A task's history as a story: what a model said and what tools answered, turn by turn; what was tried
//! again, asked of people, waited for, lost and found again.
//!
//! It is told from the events alone, in their order, so a run that is followed reads as one that is
//! looked at afterwards. What models, tools and people wrote gets into a line through [`page`] only,
//! which leaves nothing in it that a terminal acts on.

mod calls;
mod head;
mod models;
mod page;
mod people;
mod shown;
mod totals;
mod words;

use std::collections::HashMap;

use anstyle::AnsiColor;
use relight::agent::{AGENT_FUNCTION, Answered, LISTING_STEP, Pinned, Prices, ToolCall};
use relight::durable::child_id;
use relight::journal::{
    Event, Failure, FailureKind, History, IllegalEvent, Payload, Record, StepKind, StepState,
    TaskId,
};

pub(super) use self::head::head;
pub(super) use self::page::{Manner, TIMES};
use self::page::{Page, Told};
use self::shown::{Shown, turn};
use self::totals::Doing;
pub(super) use self::totals::Totals;
pub(super) use self::words::{beside, cut, since};
use self::words::{count, duration, value};
use super::run::short_id;

/// Tells a history event by event.
#[derive(Debug)]
pub(super) struct Teller {
    task: TaskId,
    manner: Manner,
    history: History,
    totals: Totals,
    /// When each step's newest attempt began.
    began_at_ms: HashMap<String, i64>,
    /// When it was last taken up.
    claimed_at_ms: i64,
    /// What models have asked for, by the keys of the steps that do it.
    calls: HashMap<String, ToolCall>,
    /// The last that a model said.
    said: Option<String>,
    /// The turn that was told of last.
    turn: Option<u32>,
    /// What is told happened to another task, which this one is a fork of.
    taken_over: bool,
}

/// What an event says.
#[derive(Debug)]
pub(super) struct News {
    /// When it happened, in Unix milliseconds; `None` where that is not known, for it happened to the
    /// task that this one is a fork of.
    pub(super) at_ms: Option<i64>,
    /// Empty where it says nothing by itself.
    pub(super) lines: Vec<String>,
}

impl Teller {
    pub(super) fn new(task: TaskId, manner: Manner) -> Self {
        Self {
            task,
            manner,
            history: History::default(),
            totals: Totals::default(),
            began_at_ms: HashMap::new(),
            claimed_at_ms: i64::MIN,
            calls: HashMap::new(),
            said: None,
            turn: None,
            taken_over: false,
        }
    }

    /// What this event says to a person.
    ///
    /// # Errors
    /// When the event cannot follow the ones before it.
    pub(super) fn tell(&mut self, record: Record) -> Result<News, IllegalEvent> {
        let Record { event, at_ms, .. } = record.clone();
        let was_lost = matches!(
            event.step().and_then(|key| self.history.step(key)).map(|step| &step.state),
            Some(StepState::Started)
        );
        self.history.apply(record)?;
        match &event {
            Event::TaskCreated { definition, .. } => {
                let pinned = definition.as_ref().and_then(|it| it.read::<Pinned>().ok());
                let prices = pinned.map_or_else(Prices::default, |pinned| pinned.prices);
                self.totals = Totals::new(prices, at_ms);
            }
            Event::TaskForked { .. } => self.taken_over = true,
            Event::TaskClaimed { .. } => self.claimed_at_ms = at_ms,
            Event::StepStarted { key, .. } => {
                self.began_at_ms.insert(key.clone(), at_ms);
            }
            _ => {}
        }
        let at = (!self.taken_over).then_some(at_ms);
        let mut page = Page::new(self.manner);
        self.line(&event, at_ms, was_lost, &mut page);
        if !self.taken_over {
            self.totals.add(&event, &self.history, at_ms);
        }
        let mut lines = page.lines();
        // Turns stand apart from each other.
        if let Some(turn) = event.step().and_then(turn)
            && !lines.is_empty()
            && self.turn.replace(turn) != Some(turn)
        {
            lines.insert(0, String::new());
        }
        Ok(News { at_ms: at, lines })
    }

    /// What is known after what was told.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// What the run came to by this time (Unix milliseconds).
    pub(super) fn totals(&mut self, now_ms: i64) -> &Totals {
        if self.history.end().is_none() {
            self.totals.pass(now_ms);
        }
        &self.totals
    }

    /// The steps without an outcome, in the order in which they began: since when, and what they are
    /// at.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (i64, String)> {
        let open = self.history.steps().filter(|(_, step)| !step.state.is_finished());
        open.map(|(key, step)| {
            let what = match (step.kind, &step.state) {
                (StepKind::Question, _) => "waits for an answer (relight tasks answer)".to_owned(),
                (StepKind::Timer, _) => "sleeps".to_owned(),
                (StepKind::Child, _) => {
                    format!("waits for task {}", short_id(child_id(self.task, key)))
                }
                (_, StepState::Waiting { .. }) => "waits to be tried again".to_owned(),
                _ => "under way".to_owned(),
            };
            let mut page = Page::new(self.manner);
            page.step(&Told { key, what: &what, ..Told::default() });
            (step.started_at_ms, page.lines().concat())
        })
    }

    fn line(&mut self, event: &Event, at_ms: i64, was_lost: bool, page: &mut Page) {
        use AnsiColor::{Green, Red, Yellow};
        match event {
            Event::TaskCreated { name, input, definition, .. } => {
                self.created(name, input, definition.as_ref(), page);
            }
            Event::TaskForked { task, at } => {
                page.note(Yellow, &format!("what follows was done by task {task} before {at}"));
            }
            Event::TaskClaimed { .. } => self.claimed(page),
            Event::StepStarted { key, kind, attempt, until_ms, .. } => {
                let wait_ms = until_ms.map(|until_ms| until_ms.saturating_sub(at_ms));
                self.started(key, *kind, *attempt > 1 && was_lost, wait_ms, page);
            }
            Event::StepAttemptFailed { key, attempt, failure, retry_at_ms } => {
                let after =
                    format!("tried again in {}", duration(retry_at_ms.saturating_sub(at_ms)));
                let (what, text) = (format!("attempt {attempt} failed:"), &failure.message);
                let colour = Some(Yellow);
                page.step(&Told { key, what: &what, text, after: &after, colour });
            }
            Event::StepCompleted { key, output } => self.completed(key, output, at_ms, page),
            Event::StepFailed { key, failure } => self.failed(key, failure, at_ms, page),
            Event::InputRequested {} | Event::InputReceived {} => {}
            Event::DriftAccepted {} => {
                page.note(Yellow, "what was recorded so far stands, whatever is asked for now");
            }
            Event::TaskResumed {} => page.note(Yellow, "set going again by hand"),
            Event::CancelRequested { reason: None } => page.note(Yellow, "asked to stop"),
            Event::CancelRequested { reason: Some(reason) } => {
                page.note_text(Yellow, "asked to stop", reason);
            }
            Event::TaskCompleted { output } => {
                let output = match output.read::<Answered>() {
                    Ok(Answered { answer, .. }) => value(&answer, page.whole()),
                    Err(_) => value(output, page.whole()),
                };
                page.note(Green, "completed");
                // Most often it is what was told last.
                if self.said.as_ref().is_none_or(|said| said.trim() != output) {
                    page.said(&output);
                }
            }
            Event::TaskFailed { failure } => page.note_text(Red, "failed", &failure.message),
            Event::TaskStopped { failure } => {
                // It is a diff: cut, it says nothing.
                page.note(Red, "stopped:");
                page.block(2, "", &failure.message, Some(Red));
            }
            Event::TaskCancelled { message } => page.note_text(Yellow, "ended", message),
        }
    }

    fn created(&self, name: &str, input: &Payload, definition: Option<&Payload>, page: &mut Page) {
        let input = value(input, page.whole());
        let pinned = definition.and_then(|it| it.read::<Pinned>().ok()).filter(|_| page.whole());
        if let Some(pinned) = pinned {
            page.note_text(AnsiColor::Blue, "system prompt", pinned.agent.system_prompt());
        }
        let words = format!("{name} was called with");
        page.note_text(AnsiColor::Blue, &words, &input);
    }

    /// The first claim, and one that ends a wait, say nothing new.
    fn claimed(&mut self, page: &mut Page) {
        if self.history.claims() == 1 {
            if std::mem::take(&mut self.taken_over) {
                page.note(AnsiColor::Yellow, "from here on it ran by itself");
            }
            return;
        }
        if self.totals.doing() == Doing::Wait {
            return;
        }
        let finished = self.history.steps().filter(|(_, step)| step.state.is_finished()).count();
        self.totals.restarted(finished as u64);
        let finished = count(finished as u64, "step");
        let words = format!("restarted: taken up again, {finished} answered from the journal");
        page.note(AnsiColor::Yellow, &words);
    }

    /// `again` where an attempt before this one was cut off.
    fn started(
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
                let text = words::text(arguments.unwrap_or_default(), page.whole());
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

    fn completed(&mut self, key: &str, output: &Payload, at_ms: i64, page: &mut Page) {
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

    fn failed(&self, key: &str, failure: &Failure, at_ms: i64, page: &mut Page) {
        let Some(kind) = self.history.step(key).map(|step| step.kind) else { return };
        let (what, text) = self.what(key, kind, &Shown::of(&self.history, key), page);
        let (word, colour) = match failure.kind {
            FailureKind::InDoubt => ("in doubt: ", AnsiColor::Yellow),
            FailureKind::Cancelled => ("cancelled: ", AnsiColor::Yellow),
            _ => ("failed: ", AnsiColor::Red),
        };
        let after = self.after(key, at_ms);
        page.step(&Told { key, what: &what, text: &text, after: &after, colour: None });
        page.below(word, &failure.message, Some(colour));
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
    fn took(&self, key: &str, at_ms: i64) -> String {
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

    fn is_agent(&self) -> bool {
        matches!(self.history.created(), Some(Event::TaskCreated { function, .. }) if function == AGENT_FUNCTION)
    }
}
