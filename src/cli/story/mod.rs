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
mod steps;
mod totals;
mod words;

use std::collections::HashMap;

use anstyle::AnsiColor;
use relight::agent::{AGENT_FUNCTION, Answered, Pinned, Prices, ToolCall};
use relight::durable::child_id;
use relight::journal::{
    Event, History, IllegalEvent, Payload, Record, StepKind, StepState, TaskId,
};

pub(super) use self::head::head;
use self::page::{BELOW, Page, Told};
pub(super) use self::page::{Manner, TIMES};
pub(super) use self::shown::part;
use self::shown::turn;
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
    /// The task that was started by it.
    pub(super) child: Option<TaskId>,
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
        let child = match &event {
            Event::StepStarted { key, kind: StepKind::Child, .. } if !self.taken_over => {
                Some(child_id(self.task, key))
            }
            _ => None,
        };
        Ok(News { at_ms: at, lines, child })
    }

    /// What is known after what was told.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// What the run came to by this time (Unix milliseconds), at which somebody runs it or nobody does.
    pub(super) fn totals(&mut self, now_ms: i64, is_run: bool) -> &Totals {
        self.totals.until(now_ms, is_run);
        &self.totals
    }

    /// The steps without an outcome, in the order in which they began: since when, and what they are
    /// at.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (i64, String)> {
        let open = self.history.steps().filter(|(_, step)| !step.state.is_finished());
        let ended = self.history.end().is_some();
        open.map(move |(key, step)| {
            let what = match (step.kind, &step.state) {
                _ if ended => "came to no end".to_owned(),
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
                    page.at_length("", &output, None);
                }
            }
            Event::TaskFailed { failure } => {
                page.note(Red, "failed:");
                page.at_length("", &failure.message, Some(Red));
            }
            Event::TaskStopped { failure } => {
                // It is a diff: cut, it says nothing.
                page.note(Red, "stopped:");
                page.block(BELOW, "", &failure.message, Some(Red));
            }
            Event::TaskCancelled { message } => {
                page.note(Yellow, "ended:");
                page.at_length("", message, Some(Yellow));
            }
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

    fn is_agent(&self) -> bool {
        matches!(self.history.created(), Some(Event::TaskCreated { function, .. }) if function == AGENT_FUNCTION)
    }
}
