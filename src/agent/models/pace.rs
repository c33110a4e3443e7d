//! Bounds on the calls of one provider: how many are under way at once, and how many begin within a
//! minute.
//!
//! Places go round among the tasks that wait, one call each, in the order in which the tasks came;
//! all the children of a task count as that task, so that one with many agents does not hold up the
//! others. Within a task the first come is the first served. Nothing of this is durable: a process
//! that starts again begins a new minute.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use crate::journal::TaskId;
use crate::limits;

const MINUTE: Duration = Duration::from_secs(60);

/// The bounds on one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceConfig {
    /// Calls under way at once; at least 1.
    pub concurrent: usize,
    /// Calls that begin within any minute; at least 1. `None` for any number.
    pub per_minute: Option<u32>,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { concurrent: limits::MODEL_CALLS, per_minute: None }
    }
}

/// Gives out the places of one provider.
#[derive(Debug)]
pub struct Pace {
    config: PaceConfig,
    /// What counts as a minute: less in tests.
    minute: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    /// When the calls of the last minute began, where that is bounded.
    begun: VecDeque<Instant>,
    /// Who waits, a task after the other; no task is without a call.
    waiting: VecDeque<(TaskId, VecDeque<oneshot::Sender<Place>>)>,
}

/// A place for one call, given back on drop.
#[derive(Debug)]
pub struct Place(Arc<Pace>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.give_out();
    }
}

impl Pace {
    /// With these bounds, and no call yet.
    pub fn new(config: PaceConfig) -> Arc<Self> {
        Self::with_minute(config, MINUTE)
    }

    fn with_minute(config: PaceConfig, minute: Duration) -> Arc<Self> {
        Arc::new(Self { config, minute, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, where one is free and nobody waits for it.
    pub fn try_enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        let free = state.waiting.is_empty() && self.next_place(&mut state, Instant::now()).is_ok();
        free.then(|| self.take(&mut state))
    }

    /// Waits for a place on behalf of a task, the topmost one of its family. Who stops waiting loses
    /// the turn.
    pub async fn enter(self: &Arc<Self>, root: TaskId) -> Place {
        let (give, mut place) = oneshot::channel();
        {
            let mut state = self.state();
            match state.waiting.iter_mut().find(|(task, _)| *task == root) {
                Some((_, calls)) => calls.push_back(give),
                None => state.waiting.push_back((root, VecDeque::from([give]))),
            }
        }
        loop {
            let again_at = self.give_out();
            let pause = async {
                match again_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The sender is dropped only with the whole queue.
                Ok(place) = &mut place => return place,
                () = pause => {}
            }
        }
    }

    /// Gives free places to who waits. Tells when to look again, where the minute may be what is
    /// waited for.
    fn give_out(self: &Arc<Self>) -> Option<Instant> {
        loop {
            let mut state = self.state();
            let (root, mut calls) = state.waiting.pop_front()?;
            calls.retain(|call| !call.is_closed());
            if calls.is_empty() {
                continue;
            }
            if let Err(again_at) = self.next_place(&mut state, Instant::now()) {
                state.waiting.push_front((root, calls));
                return again_at;
            }
            let call = calls.pop_front();
            if !calls.is_empty() {
                state.waiting.push_back((root, calls));
            }
            let place = self.take(&mut state);
            drop(state);
            // One that nobody takes any more is given back here.
            let _ = call.map(|call| call.send(place));
        }
    }

    fn take(self: &Arc<Self>, state: &mut State) -> Place {
        state.under_way += 1;
        if self.config.per_minute.is_some() {
            state.begun.push_back(Instant::now());
        }
        Place(Arc::clone(self))
    }

    /// Whether a call may begin; if not, when to look again where calls a minute are bounded: no
    /// earlier one falls out of its minute before that.
    fn next_place(&self, state: &mut State, now: Instant) -> Result<(), Option<Instant>> {
        while state.begun.front().is_some_and(|begun| now.duration_since(*begun) >= self.minute) {
            state.begun.pop_front();
        }
        let is_full = |most: u32| state.begun.len() >= most as usize;
        if state.under_way < self.config.concurrent && !self.config.per_minute.is_some_and(is_full)
        {
            return Ok(());
        }
        let again_at = *state.begun.front().unwrap_or(&now) + self.minute;
        Err(self.config.per_minute.map(|_| again_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_millis(60);

    fn pace(concurrent: usize, per_minute: Option<u32>) -> Arc<Pace> {
        Pace::with_minute(PaceConfig { concurrent, per_minute }, MINUTE)
    }

    fn task(n: u128) -> TaskId {
        TaskId::from_bits(n)
    }

    /// Calls that wait, by their names, and the order in which they get in.
    async fn order(pace: &Arc<Pace>, calls: &[(u128, &'static str)]) -> Vec<&'static str> {
        let held = pace.try_enter().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = Vec::new();
        for (root, name) in calls {
            let (pace, order, name, root) = (Arc::clone(pace), Arc::clone(&order), *name, *root);
            waiting.push(tokio::spawn(async move {
                let _place = pace.enter(task(root)).await;
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for call in waiting {
            call.await.unwrap();
        }
        let order = order.lock().unwrap();
        order.clone()
    }

    #[tokio::test]
    async fn places_go_round_among_tasks() {
        let calls = [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")];
        assert_eq!(order(&pace(1, None), &calls).await, ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }

    #[tokio::test]
    async fn no_more_than_the_bound_begin_within_a_minute() {
        let pace = pace(8, Some(2));
        let began = Instant::now();
        for n in 0..5 {
            drop(pace.enter(task(n)).await);
        }
        assert!(began.elapsed() >= 2 * MINUTE);
    }

    #[tokio::test]
    async fn a_place_that_comes_back_into_a_full_minute_is_given_out_later() {
        let pace = pace(1, Some(2));
        let began = Instant::now();
        let held = pace.try_enter().unwrap();
        let next = |root: u128| {
            let pace = Arc::clone(&pace);
            tokio::spawn(async move { drop(pace.enter(task(root)).await) })
        };
        let (second, third) = (next(2), next(3));
        tokio::task::yield_now().await;
        drop(held);
        second.await.unwrap();
        third.await.unwrap();
        assert!(began.elapsed() >= MINUTE);
    }

    #[tokio::test]
    async fn who_stops_waiting_holds_nobody_up() {
        let pace = pace(1, None);
        let held = pace.try_enter().unwrap();
        let gone = tokio::spawn({
            let pace = Arc::clone(&pace);
            async move { pace.enter(task(1)).await }
        });
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let next = tokio::spawn({
            let pace = Arc::clone(&pace);
            async move { drop(pace.enter(task(2)).await) }
        });
        tokio::task::yield_now().await;
        assert!(pace.try_enter().is_none());
        drop(held);
        next.await.unwrap();
        assert!(pace.try_enter().is_some());
    }
}
