//! The one place where the wall clock is read.

use std::future::ready;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Longest sleep before the wall clock is looked at again, so that a clock that jumps moves timers
/// by no more than this.
const LOOK_AGAIN_MS: u64 = 1_000;

/// Tells the time and waits for it. Times are Unix milliseconds.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now_ms(&self) -> i64;

    /// Returns once [`Clock::now_ms`] is at least `at_ms`.
    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'static, ()>;

    /// Waits for the time of a durable timer, as a clock sees fit: [`HurriedClock`] does not wait.
    fn reach(&self, at_ms: i64) -> BoxFuture<'static, ()> {
        self.sleep_until(at_ms)
    }
}

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the wall clock")]
    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let left_ms = at_ms.saturating_sub(Self.now_ms());
                let Ok(left_ms @ 1..) = u64::try_from(left_ms) else { return };
                tokio::time::sleep(Duration::from_millis(left_ms.min(LOOK_AGAIN_MS))).await;
            }
        })
    }
}

/// A clock that only moves when it is told to: for tests of timers that last for weeks.
#[derive(Debug, Clone)]
pub struct ManualClock(watch::Sender<i64>);

impl ManualClock {
    /// A clock that stands at this time.
    pub fn at_ms(now_ms: i64) -> Self {
        Self(watch::Sender::new(now_ms))
    }

    /// Moves the clock, back too where `by_ms` is negative.
    pub fn advance_ms(&self, by_ms: i64) {
        self.0.send_modify(|now_ms| *now_ms += by_ms);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        *self.0.borrow()
    }

    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'static, ()> {
        let mut time = self.0.subscribe();
        Box::pin(async move {
            // The sender lives as long as the clock; once it is gone, time stands still.
            if time.wait_for(|now_ms| *now_ms >= at_ms).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// A clock that begins at a time of one's choice and runs on with the machine's, but is put forward
/// by every durable timer instead of having it waited for.
#[derive(Debug, Clone)]
pub struct HurriedClock {
    /// What it shows more than the machine's clock.
    ahead_ms: watch::Sender<i64>,
}

impl HurriedClock {
    /// A clock that shows this time now.
    pub fn at_ms(now_ms: i64) -> Self {
        Self { ahead_ms: watch::Sender::new(now_ms.saturating_sub(SystemClock.now_ms())) }
    }
}

impl Clock for HurriedClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms().saturating_add(*self.ahead_ms.borrow())
    }

    fn sleep_until(&self, at_ms: i64) -> BoxFuture<'static, ()> {
        let mut ahead_ms = self.ahead_ms.subscribe();
        Box::pin(async move {
            loop {
                let ahead = *ahead_ms.borrow_and_update();
                let machine = SystemClock.sleep_until(at_ms.saturating_sub(ahead));
                tokio::select! {
                    () = machine => return,
                    // Once the clock itself is gone nothing puts it forward any more.
                    Ok(()) = ahead_ms.changed() => {}
                }
            }
        })
    }

    fn reach(&self, at_ms: i64) -> BoxFuture<'static, ()> {
        self.ahead_ms.send_if_modified(|ahead_ms| {
            let left_ms = at_ms.saturating_sub(SystemClock.now_ms().saturating_add(*ahead_ms));
            *ahead_ms = ahead_ms.saturating_add(left_ms.max(0));
            left_ms > 0
        });
        Box::pin(ready(()))
    }
}
