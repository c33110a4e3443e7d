//! What a run came to: counted, added up, and how its time was spent.
//!
//! A fork's sums begin where it ran by itself: what it took over was paid for by another task.

use std::collections::HashMap;

use relight::agent::{Answered, Outcome, Prices, Spent, Usage, dollars};
use relight::journal::{Event, History, Payload, StepKind};
use serde_json::{Value, json};

use super::shown::{Shown, part, turn};
use super::words::{count, duration, times};

/// The sums of a run.
#[derive(Debug, Default)]
pub(in crate::cli) struct Totals {
    prices: Prices,
    /// The turns of the agent loop that a model replied in, and the last of them.
    turns: u64,
    last_turn: Option<u32>,
    model_calls: u64,
    tool_calls: u64,
    /// Steps of any kind that have ended.
    steps: u64,
    usage: Usage,
    /// Some calls did not say what they used.
    unknown_usage: bool,
    microdollars: u64,
    /// Some calls have no price.
    unpriced: bool,
    children: u64,
    spent_by_children: Spent,
    retries: u64,
    restarts: u64,
    from_journal: u64,
    began_at_ms: i64,
    ended: bool,
    /// When what follows began.
    since_ms: i64,
    /// The steps without an outcome, and whether each only waits.
    open: HashMap<String, bool>,
    doing: Doing,
    worked_ms: i64,
    waited_ms: i64,
}

/// What a task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Doing {
    /// Nothing is under way.
    #[default]
    Nothing,
    /// Some step is.
    Work,
    /// It waits for a time, a person or a child, and for nothing else.
    Wait,
}

impl Totals {
    pub(super) fn new(prices: Prices, began_at_ms: i64) -> Self {
        Self { prices, began_at_ms, since_ms: began_at_ms, ..Self::default() }
    }

    /// What a call of this model cost, in micro-dollars; `None` where it has no price.
    pub(super) fn cost(&self, model: &str, usage: &Usage) -> Option<u64> {
        self.prices.cost(model, usage)
    }

    /// Takes in that a restart answered so many steps from the journal.
    pub(super) fn restarted(&mut self, from_journal: u64) {
        self.restarts += 1;
        self.from_journal += from_journal;
        // Nobody ran it between the last that is known and now.
        self.doing = Doing::Nothing;
    }

    /// What the task is at after the last event.
    pub(super) fn doing(&self) -> Doing {
        self.doing
    }

    /// Takes in an event that has just been folded into the history.
    pub(super) fn add(&mut self, event: &Event, history: &History, at_ms: i64) {
        self.pass(at_ms);
        match event {
            Event::StepStarted { key, kind, .. } => {
                let waits = matches!(kind, StepKind::Timer | StepKind::Child | StepKind::Question);
                self.open.insert(key.clone(), waits);
            }
            Event::StepAttemptFailed { key, .. } => {
                self.open.insert(key.clone(), true);
                self.retries += 1;
            }
            Event::StepCompleted { key, output } => {
                self.open.remove(key);
                self.completed(key, output, history);
            }
            Event::StepFailed { key, failure } => {
                self.open.remove(key);
                self.steps += 1;
                match history.step(key).map(|step| step.kind) {
                    Some(StepKind::Tool) => self.tool_calls += u64::from(is_call(key)),
                    Some(StepKind::Child) => {
                        self.children += 1;
                        self.child_spent(failure.details.as_ref().and_then(|it| it.read().ok()));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        self.ended = event.end().is_some();
        self.doing = if self.ended || self.open.is_empty() {
            Doing::Nothing
        } else if self.open.values().all(|waits| *waits) {
            Doing::Wait
        } else {
            Doing::Work
        };
    }

    /// Takes in that it is now so late. What nobody runs is not worked at.
    pub(super) fn until(&mut self, now_ms: i64, is_run: bool) {
        if self.doing == Doing::Work && !is_run {
            self.doing = Doing::Nothing;
        }
        if !self.ended {
            self.pass(now_ms);
        }
    }

    fn pass(&mut self, now_ms: i64) {
        let passed_ms = now_ms.saturating_sub(self.since_ms).max(0);
        match self.doing {
            Doing::Nothing => {}
            Doing::Work => self.worked_ms += passed_ms,
            Doing::Wait => self.waited_ms += passed_ms,
        }
        self.since_ms = self.since_ms.max(now_ms);
    }

    fn completed(&mut self, key: &str, output: &Payload, history: &History) {
        self.steps += 1;
        match history.step(key).map(|step| step.kind) {
            Some(StepKind::Model) => {
                let Ok(Outcome::Reply(reply)) = output.read() else { return };
                self.model_calls += 1;
                let turn = turn(key);
                if turn.is_some() && self.last_turn != turn {
                    self.last_turn = turn;
                    self.turns += 1;
                }
                let Some(usage) = reply.usage else {
                    self.unknown_usage = true;
                    return;
                };
                self.usage.input_tokens += usage.input_tokens;
                self.usage.output_tokens += usage.output_tokens;
                self.usage.cached_tokens += usage.cached_tokens;
                match self.cost(&Shown::of(history, key).model, &usage) {
                    Some(cost) => self.microdollars += cost,
                    None => self.unpriced = true,
                }
            }
            Some(StepKind::Tool) => self.tool_calls += u64::from(is_call(key)),
            Some(StepKind::Child) => {
                self.children += 1;
                self.child_spent(output.read::<Answered>().ok().map(|answered| answered.spent));
            }
            _ => {}
        }
    }

    fn child_spent(&mut self, spent: Option<Spent>) {
        let Some(spent) = spent else { return };
        self.spent_by_children.tokens += spent.tokens;
        self.spent_by_children.microdollars += spent.microdollars;
    }

    /// The last lines of a story.
    pub(in crate::cli) fn lines(&self) -> [String; 2] {
        let mut did = Vec::new();
        if self.turns > 0 {
            did.push(count(self.turns, "turn"));
        }
        if self.model_calls == 0 {
            did.push(count(self.steps, "step"));
        }
        if self.tool_calls > 0 {
            did.push(count(self.tool_calls, "tool call"));
        }
        if self.model_calls > 0 {
            let least = if self.unknown_usage { "at least " } else { "" };
            did.push(format!("{least}{}", tokens(&self.usage)));
            did.extend(self.money());
        }
        if self.children > 0 {
            let Spent { tokens, microdollars, .. } = self.spent_by_children;
            let children = if self.children == 1 {
                "1 child".to_owned()
            } else {
                format!("{} children", self.children)
            };
            let paid = if microdollars > 0 {
                format!(", {}", dollars(microdollars))
            } else {
                String::new()
            };
            did.push(format!("{children} ({tokens} tokens{paid})"));
        }
        let took_ms = self.since_ms.saturating_sub(self.began_at_ms);
        let mut took = vec![match self.ended {
            true => format!("took {}", duration(took_ms)),
            false => format!("{} so far", duration(took_ms)),
        }];
        took.push(format!("{} of it at work", duration(self.worked_ms)));
        if self.waited_ms > 0 {
            took.push(format!("{} waiting", duration(self.waited_ms)));
        }
        if self.retries > 0 {
            took.push(format!("{} tried again", count(self.retries, "failure")));
        }
        if self.restarts > 0 {
            took.push(format!(
                "restarted {}, {} answered from the journal",
                times(self.restarts),
                count(self.from_journal, "step"),
            ));
        }
        [did.join(", "), took.join(", ")]
    }

    fn money(&self) -> Option<String> {
        let least = if self.unpriced { "at least " } else { "" };
        (self.microdollars > 0).then(|| format!("{least}{}", dollars(self.microdollars)))
    }

    /// As scripts read it. Times are milliseconds, money is millionths of a dollar; `null` is what
    /// nobody knows.
    pub(in crate::cli) fn json(&self) -> Value {
        let known = |known: bool, amount: u64| if known { json!(amount) } else { Value::Null };
        json!({
            "turns": self.turns,
            "steps": self.steps,
            "modelCalls": self.model_calls,
            "toolCalls": self.tool_calls,
            "inputTokens": known(!self.unknown_usage, self.usage.input_tokens),
            "outputTokens": known(!self.unknown_usage, self.usage.output_tokens),
            "cachedTokens": known(!self.unknown_usage, self.usage.cached_tokens),
            "microdollars": known(!self.unpriced && !self.unknown_usage, self.microdollars),
            "children": self.children,
            "childrenTokens": self.spent_by_children.tokens,
            "childrenMicrodollars": self.spent_by_children.microdollars,
            "retries": self.retries,
            "restarts": self.restarts,
            "answeredFromJournal": self.from_journal,
            "tookMs": self.since_ms.saturating_sub(self.began_at_ms),
            "workedMs": self.worked_ms,
            "waitedMs": self.waited_ms,
        })
    }
}

/// `812 in / 96 out tokens`.
pub(super) fn tokens(usage: &Usage) -> String {
    let cached = match usage.cached_tokens {
        0 => String::new(),
        cached => format!(" ({cached} cached)"),
    };
    format!("{} in{cached} / {} out tokens", usage.input_tokens, usage.output_tokens)
}

/// Whether the step of a tool is a call that a model asked for, and not what followed from one.
fn is_call(key: &str) -> bool {
    !matches!(part(key), "task" | "answer" | "check")
}
