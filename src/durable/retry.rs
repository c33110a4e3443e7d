//! When a failed attempt is tried again.

use serde::{Deserialize, Serialize};

use super::entropy;
use crate::journal::Failure;
use crate::limits;

/// Exponential backoff with a bound on attempts.
///
/// The wait before attempt `n + 1` is `first_ms * 2^(n-1)`, at most `max_ms`, less a part of up to a
/// half that follows from the task's seed (jitter that a replay computes again). A failure that says
/// when to come back (`Retry-After`) is obeyed instead where it asks for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all; 1 never retries.
    pub attempts: u32,
    /// The wait after the first failed attempt.
    pub first_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: limits::STEP_ATTEMPTS,
            first_ms: limits::STEP_RETRY_FIRST_MS,
            max_ms: limits::STEP_RETRY_MAX_MS,
        }
    }
}

impl RetryPolicy {
    /// One attempt, and that is all.
    pub const fn none() -> Self {
        Self { attempts: 1, first_ms: 0, max_ms: 0 }
    }

    /// The wait after this many failures (from 1), in milliseconds, before anything is taken off it.
    pub fn backoff_ms(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        self.first_ms.saturating_mul(1 << doublings).min(self.max_ms)
    }

    /// How long to wait after attempt `attempt` (from 1) of step `key` failed, in milliseconds;
    /// `None` when there is no attempt left.
    pub(super) fn wait_ms(
        &self,
        seed: u64,
        key: &str,
        attempt: u32,
        failure: &Failure,
    ) -> Option<u64> {
        if attempt >= self.attempts {
            return None;
        }
        let full_ms = self.backoff_ms(attempt);
        let jitter = entropy::fraction(seed, &format!("jitter/{key}/{attempt}")) / 2.0;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a wait is not exact to the last of 2^52 milliseconds, and is never negative"
        )]
        let backoff_ms = (full_ms as f64 * (1.0 - jitter)) as u64;
        Some(backoff_ms.max(failure.retry_after_ms.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: RetryPolicy, failure: &Failure) -> Vec<Option<u64>> {
        (1..=policy.attempts).map(|n| policy.wait_ms(7, "k", n, failure)).collect()
    }

    #[test]
    fn waits_double_up_to_the_bound_and_lose_at_most_half() {
        let policy = RetryPolicy { attempts: 5, first_ms: 100, max_ms: 300 };
        let waits = waits(policy, &Failure::transient("x"));
        for (wait, full) in waits.iter().zip([100, 200, 300, 300]) {
            let wait = wait.unwrap();
            assert!((full / 2..=full).contains(&wait), "{wait} of {full}");
        }
        assert_eq!(waits[4], None);
    }

    #[test]
    fn the_same_seed_waits_the_same() {
        let policy = RetryPolicy::default();
        let failure = Failure::transient("x");
        assert_eq!(waits(policy, &failure), waits(policy, &failure));
    }

    #[test]
    fn retry_after_is_obeyed_where_it_is_longer() {
        let policy = RetryPolicy { attempts: 2, first_ms: 100, max_ms: 100 };
        let failure = Failure::transient("x").retry_after_ms(Some(5_000));
        assert_eq!(policy.wait_ms(7, "k", 1, &failure), Some(5_000));
        let failure = Failure::transient("x").retry_after_ms(Some(1));
        assert!(policy.wait_ms(7, "k", 1, &failure).unwrap() >= 50);
    }
}
