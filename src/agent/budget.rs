//! What a run may use up: reserved before each model call and each call of another agent, committed
//! after it.
//!
//! Nothing is begun that could overshoot. A model call's output is bounded by what is left, and
//! agents that are called side by side get disjoint shares of it. What a server does not say (usage)
//! is estimated, never taken as zero; a share whose use nobody told counts as used up.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::limit::{Limit, Over};
use super::model::{Reply, Usage};
use super::{AtLimit, Definition, Prices};
use crate::journal::{Failure, TaskId};
use crate::limits;

/// What an agent that calls another lets it use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The task at the top, for which all of this is done.
    pub(super) root: TaskId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    microdollars: Option<u64>,
    /// In Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
}

/// What a run has used up: what an agent tells the one that called it, however it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens in and out.
    pub tokens: u64,
    /// Millionths of a dollar.
    pub microdollars: u64,
    /// Some of it is an estimate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    /// Some of it has no price.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unpriced: bool,
    /// By how much people raised its limits.
    #[serde(default, skip_serializing_if = "Raised::is_none")]
    raised: Raised,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    tokens: u64,
    microdollars: u64,
}

impl Raised {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Spent {
    /// Tokens and money in a few words, for a status message.
    pub fn words(&self) -> String {
        let about = if self.estimated { "about " } else { "" };
        let mut words = format!("{about}{} tokens", self.tokens);
        if self.microdollars > 0 {
            let least = if self.unpriced { "at least " } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(words, ", {least}{}", dollars(self.microdollars));
        }
        words
    }
}

/// The limits of one run, and what is used up of them. Shared by the loop and the calls of agents.
#[derive(Debug)]
pub(super) struct Purse {
    prices: Prices,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    turns: u32,
    tokens: Option<Bound>,
    microdollars: Option<Bound>,
    /// In Unix milliseconds.
    until_ms: Option<i64>,
    began_at_ms: i64,
    spent: Spent,
}

/// The most that may be used up.
#[derive(Debug, Clone, Copy)]
struct Bound {
    most: u64,
    /// Whether it is what the caller lets us have, rather than a budget of our own.
    is_share: bool,
}

impl Bound {
    fn of(own: Option<u64>, share: Option<u64>) -> Option<Self> {
        match (own, share) {
            (Some(most), Some(share)) if share < most => Some(Self { most: share, is_share: true }),
            (Some(most), _) => Some(Self { most, is_share: false }),
            (None, share) => share.map(|most| Self { most, is_share: true }),
        }
    }
}

impl Purse {
    /// The purse of a run that began at this time (Unix milliseconds). A bound on its time is looked
    /// at here only where it may be raised: the other kind is the task's deadline.
    pub(super) fn new(
        agent: &Definition,
        share: Option<&Share>,
        prices: Prices,
        began_at_ms: i64,
    ) -> Self {
        let budget = agent.budget();
        let own_ms = budget.wall_time_ms.filter(|_| budget.at_limit == AtLimit::Ask);
        let own_end = own_ms.map(|ms| began_at_ms.saturating_add_unsigned(ms));
        let ends = [own_end, share.and_then(|share| share.until_ms)];
        let account = Account {
            turns: agent.max_turns(),
            tokens: Bound::of(budget.tokens, share.and_then(|share| share.tokens)),
            microdollars: Bound::of(
                budget.microdollars,
                share.and_then(|share| share.microdollars),
            ),
            until_ms: ends.into_iter().flatten().min(),
            began_at_ms,
            spent: Spent::default(),
        };
        Self { prices, account: Mutex::new(account) }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is used up so far.
    pub(super) fn spent(&self) -> Spent {
        self.account().spent
    }

    /// Whether it matters what time it is.
    pub(super) fn is_timed(&self) -> bool {
        self.account().until_ms.is_some()
    }

    /// Whether there is a turn left (`turn` counts from 1).
    pub(super) fn check_turn(&self, turn: u32) -> Result<(), Over> {
        let turns = self.account().turns;
        if turn > turns { Err(Over::turns(turns)) } else { Ok(()) }
    }

    /// Whether time is left.
    pub(super) fn check_time(&self, now_ms: i64) -> Result<(), Over> {
        let account = self.account();
        match account.until_ms {
            Some(until_ms) if now_ms >= until_ms => {
                let ms = |to: i64| u64::try_from(to - account.began_at_ms).unwrap_or_default();
                Err(Over::time(ms(now_ms), ms(until_ms)))
            }
            _ => Ok(()),
        }
    }

    /// Reserves a call that reads about `input_tokens`. Returns the most tokens that it may write;
    /// `None` where nothing bounds it.
    ///
    /// # Errors
    /// [`Unaffordable::Over`] when not even one token can be written within the budget.
    pub(super) fn reserve(
        &self,
        model: &str,
        input_tokens: u64,
        wanted: Option<u32>,
    ) -> Result<Option<u32>, Unaffordable> {
        let account = self.account();
        let mut room = wanted.map(u64::from);
        if let Some(Bound { most, is_share }) = account.tokens {
            let spent = account.spent.tokens;
            let left = most.saturating_sub(spent).saturating_sub(input_tokens);
            if left == 0 {
                return Err(Over::tokens(spent, most, input_tokens, is_share).into());
            }
            room = Some(room.map_or(left, |room| room.min(left)));
        }
        if let Some(Bound { most, is_share }) = account.microdollars {
            let usage = |output_tokens| Usage { input_tokens, output_tokens, cached_tokens: 0 };
            let Some(input) = self.prices.cost(model, &usage(0)) else {
                return Err(Unaffordable::Unpriced(Failure::is_final(format!(
                    "the agent has a budget in dollars, and model {model:?} has no price: set `prices` in relight.yaml, or take `dollars` out of the agent's budget"
                ))));
            };
            let spent = account.spent.microdollars;
            let left = most.saturating_sub(spent).saturating_sub(input);
            // What a thousand tokens of output cost, rather than one, which may round to nothing.
            let thousand =
                self.prices.cost(model, &usage(1_000)).unwrap_or_default().saturating_sub(input);
            let affordable = left.saturating_mul(1_000).checked_div(thousand);
            if left == 0 && thousand > 0 || affordable == Some(0) {
                return Err(Over::dollars(spent, most, is_share).into());
            }
            if let Some(affordable) = affordable {
                room = Some(room.map_or(affordable, |room| room.min(affordable)));
            }
        }
        Ok(room.map(|room| u32::try_from(room).unwrap_or(u32::MAX)))
    }

    /// Commits what a call cost that was estimated to read `input_tokens`.
    pub(super) fn commit(&self, model: &str, input_tokens: u64, reply: &Reply) {
        let mut account = self.account();
        let usage = reply.usage.unwrap_or_else(|| {
            account.spent.estimated = true;
            let calls: usize =
                reply.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
            let bytes = reply.text.as_ref().map_or(0, String::len) + calls;
            Usage {
                input_tokens,
                output_tokens: bytes as u64 / limits::TOKEN_BYTES + 1,
                cached_tokens: 0,
            }
        });
        let spent = &mut account.spent;
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        spent.tokens = spent.tokens.saturating_add(tokens);
        match self.prices.cost(model, &usage) {
            Some(cost) => spent.microdollars = spent.microdollars.saturating_add(cost),
            None => spent.unpriced = true,
        }
    }

    /// What each of so many agents, called side by side, may use up: equal parts of what is left,
    /// after one such part for the caller, who is to make something of what they find.
    pub(super) fn share(&self, root: TaskId, calls: usize) -> Share {
        let account = self.account();
        let parts = (calls as u64).saturating_add(1);
        let part = |bound: Option<Bound>, spent: u64| {
            bound.map(|bound| bound.most.saturating_sub(spent) / parts)
        };
        Share {
            root,
            tokens: part(account.tokens, account.spent.tokens),
            microdollars: part(account.microdollars, account.spent.microdollars),
            until_ms: account.until_ms,
        }
    }

    /// Commits what an agent with this share has used up; all of the share where nobody knows. What
    /// a person let it use beyond the share is beyond this run's own limits too.
    pub(super) fn settle(&self, share: &Share, spent: Option<Spent>) {
        let mut account = self.account();
        let spent = spent.unwrap_or(Spent {
            tokens: share.tokens.unwrap_or_default(),
            microdollars: share.microdollars.unwrap_or_default(),
            estimated: true,
            unpriced: true,
            raised: Raised::default(),
        });
        let beyond = |spent: u64, share: Option<u64>, raised: u64| {
            share.map_or(0, |share| spent.saturating_sub(share).min(raised))
        };
        account.raise_tokens(beyond(spent.tokens, share.tokens, spent.raised.tokens));
        let dollars = beyond(spent.microdollars, share.microdollars, spent.raised.microdollars);
        account.raise_microdollars(dollars);
        let sum = &mut account.spent;
        sum.tokens = sum.tokens.saturating_add(spent.tokens);
        sum.microdollars = sum.microdollars.saturating_add(spent.microdollars);
        sum.estimated |= spent.estimated;
        sum.unpriced |= spent.unpriced;
    }

    /// Raises a limit by as much: turns, tokens, micro-dollars, or milliseconds from `now_ms` on.
    pub(super) fn raise(&self, limit: Limit, by: u64, now_ms: i64) {
        let mut account = self.account();
        match limit {
            Limit::Turns => {
                let by = u32::try_from(by).unwrap_or(u32::MAX);
                account.turns = account.turns.saturating_add(by);
            }
            Limit::Tokens => account.raise_tokens(by),
            Limit::Dollars => account.raise_microdollars(by),
            Limit::Time => account.until_ms = Some(now_ms.saturating_add_unsigned(by)),
        }
    }
}

impl Account {
    fn raise_tokens(&mut self, by: u64) {
        if let Some(bound) = &mut self.tokens {
            bound.most = bound.most.saturating_add(by);
            self.spent.raised.tokens = self.spent.raised.tokens.saturating_add(by);
        }
    }

    fn raise_microdollars(&mut self, by: u64) {
        if let Some(bound) = &mut self.microdollars {
            bound.most = bound.most.saturating_add(by);
            self.spent.raised.microdollars = self.spent.raised.microdollars.saturating_add(by);
        }
    }
}

/// Why a model call is not begun.
#[derive(Debug)]
pub(super) enum Unaffordable {
    /// A limit is reached.
    Over(Over),
    /// What it costs cannot be told.
    Unpriced(Failure),
}

impl From<Over> for Unaffordable {
    fn from(over: Over) -> Self {
        Self::Over(over)
    }
}

/// An amount of money for people.
pub fn dollars(microdollars: u64) -> String {
    format!("${}.{:04}", microdollars / 1_000_000, microdollars % 1_000_000 / 100)
}
