//! What a run may use up: reserved before each model call and each call of another agent, committed
//! after it.
//!
//! Nothing is begun that could overshoot. A model call's output is bounded by what is left, and
//! agents that are called side by side get disjoint shares of it. What a server does not say (usage)
//! is estimated, never taken as zero; a share whose use nobody told counts as used up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::limit::{Limit, Over};
use super::model::{Reply, Usage};
use super::share::{Share, Spent};
use super::{AtLimit, Definition, Prices};
use crate::journal::{Failure, TaskId};
use crate::limits;

/// The limits of one run, and what is used up of them. Shared by the loop and the calls of agents.
#[derive(Debug)]
pub(super) struct Purse {
    prices: Prices,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    /// The run's own turns; `None` where the budget's say the same.
    own_turns: Option<u32>,
    /// The turns of the run and of all that it calls.
    turns: Option<Bound>,
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
        // Of `budget: {turns: 5}` alone `maxTurns` is 5 too, and nobody is asked twice for one thing.
        let own_turns = Some(agent.max_turns()).filter(|own| budget.turns != Some(*own));
        let account = Account {
            own_turns,
            turns: Bound::of(budget.turns.map(u64::from), share.and_then(|share| share.turns)),
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
        let account = self.account();
        if let Some(most) = account.own_turns.filter(|most| turn > *most) {
            return Err(Over::own_turns(most));
        }
        match account.turns {
            Some(Bound { most, is_share }) if account.spent.turns >= most => {
                Err(Over::turns(account.spent.turns, most, is_share))
            }
            _ => Ok(()),
        }
    }

    /// Counts a turn that begins.
    pub(super) fn begin_turn(&self) {
        let mut account = self.account();
        if account.turns.is_some() {
            account.spent.turns = account.spent.turns.saturating_add(1);
        }
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
        let usage = reply.usage.unwrap_or_else(|| {
            let calls: usize =
                reply.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
            let bytes = reply.text.as_ref().map_or(0, String::len) + calls;
            let output_tokens = bytes as u64 / limits::TOKEN_BYTES + 1;
            Usage { input_tokens, output_tokens, cached_tokens: 0 }
        });
        self.charge(model, &usage, reply.usage.is_none());
    }

    /// Commits a call whose reply was lost: all that was reserved for it, because the server may
    /// have written as much. Where nothing bounds what it writes, only what it reads is known.
    pub(super) fn commit_lost(&self, model: &str, input_tokens: u64, most: Option<u32>) {
        let output_tokens = most.map_or(0, u64::from);
        self.charge(model, &Usage { input_tokens, output_tokens, cached_tokens: 0 }, true);
    }

    fn charge(&self, model: &str, usage: &Usage, is_estimate: bool) {
        let mut account = self.account();
        let spent = &mut account.spent;
        spent.estimated |= is_estimate;
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        spent.tokens = spent.tokens.saturating_add(tokens);
        match self.prices.cost(model, usage) {
            Some(cost) => spent.microdollars = spent.microdollars.saturating_add(cost),
            None => spent.unpriced = true,
        }
    }

    /// What the `nth` (from 0) of so many agents, called side by side, may use up: equal parts of
    /// what is left, after one such part for the caller, who is to make something of what they find.
    /// Turns are few: where they do not come out even, the caller has one more, then the first calls.
    pub(super) fn share(&self, root: TaskId, nth: usize, calls: usize) -> Share {
        let account = self.account();
        let (nth, calls) = (nth as u64, calls.max(1) as u64);
        let parts = calls.saturating_add(1);
        let left =
            |bound: Option<Bound>, spent: u64| bound.map(|bound| bound.most.saturating_sub(spent));
        let part = |bound, spent| left(bound, spent).map(|left| left / parts);
        let turns = left(account.turns, account.spent.turns).map(|left| {
            let given = left - left.div_ceil(parts);
            given / calls + u64::from(nth < given % calls)
        });
        Share {
            root,
            turns,
            tokens: part(account.tokens, account.spent.tokens),
            microdollars: part(account.microdollars, account.spent.microdollars),
            until_ms: account.until_ms,
        }
    }

    /// Commits what an agent with this share has used up; all of the share where nobody knows. What
    /// a person let it use beyond the share is beyond this run's own limits too.
    pub(super) fn settle(&self, share: &Share, spent: Option<Spent>) {
        let mut account = self.account();
        let spent = spent.unwrap_or_else(|| share.whole());
        let beyond = |spent: u64, share: Option<u64>, raised: u64| {
            share.map_or(0, |share| spent.saturating_sub(share).min(raised))
        };
        account.raise_turns(beyond(spent.turns, share.turns, spent.raised.turns));
        account.raise_tokens(beyond(spent.tokens, share.tokens, spent.raised.tokens));
        let dollars = beyond(spent.microdollars, share.microdollars, spent.raised.microdollars);
        account.raise_microdollars(dollars);
        account.add(spent);
    }

    /// Takes in what an agent has used up whose share is not known, for an account of a run that has
    /// ended.
    pub(super) fn take_in(&self, spent: Option<Spent>) {
        let mut account = self.account();
        let unknown = Spent { estimated: true, unpriced: true, ..Spent::default() };
        let spent = spent.unwrap_or(unknown);
        account.add(spent);
        let raised = &mut account.spent.raised;
        raised.turns = raised.turns.saturating_add(spent.raised.turns);
        raised.tokens = raised.tokens.saturating_add(spent.raised.tokens);
        raised.microdollars = raised.microdollars.saturating_add(spent.raised.microdollars);
    }

    /// Counts all of the share as used up.
    pub(super) fn use_up(&self, share: &Share) {
        let spent = &mut self.account().spent;
        let whole = share.whole();
        spent.turns = spent.turns.max(whole.turns);
        spent.tokens = spent.tokens.max(whole.tokens);
        spent.microdollars = spent.microdollars.max(whole.microdollars);
        spent.estimated = true;
    }

    /// Raises a limit by as much: turns, tokens, micro-dollars, or milliseconds from `now_ms` on.
    pub(super) fn raise(&self, limit: Limit, by: u64, now_ms: i64) {
        let mut account = self.account();
        match limit {
            Limit::OwnTurns => {
                let by = u32::try_from(by).unwrap_or(u32::MAX);
                account.own_turns = account.own_turns.map(|most| most.saturating_add(by));
            }
            Limit::Turns => account.raise_turns(by),
            Limit::Tokens => account.raise_tokens(by),
            Limit::Dollars => account.raise_microdollars(by),
            Limit::Time => account.until_ms = Some(now_ms.saturating_add_unsigned(by)),
        }
    }
}

impl Account {
    fn add(&mut self, spent: Spent) {
        let sum = &mut self.spent;
        if self.turns.is_some() {
            sum.turns = sum.turns.saturating_add(spent.turns);
        }
        sum.tokens = sum.tokens.saturating_add(spent.tokens);
        sum.microdollars = sum.microdollars.saturating_add(spent.microdollars);
        sum.estimated |= spent.estimated;
        sum.unpriced |= spent.unpriced;
    }

    fn raise_turns(&mut self, by: u64) {
        if let Some(bound) = &mut self.turns {
            bound.most = bound.most.saturating_add(by);
            self.spent.raised.turns = self.spent.raised.turns.saturating_add(by);
        }
    }

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
