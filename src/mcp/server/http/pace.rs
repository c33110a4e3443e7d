//! How often one owner may ask: a bucket of tokens each, filled at a steady rate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;
use crate::mcp::server::Owner;

/// The buckets of all owners.
pub(super) struct Pace {
    /// Requests a second that are taken in the long run. A bucket holds as much as two seconds bring.
    per_second: f64,
    buckets: Mutex<HashMap<Owner, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    since: Instant,
}

impl Pace {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second: f64::from(per_second.get()), buckets: Mutex::default() }
    }

    /// Takes one request of an owner.
    ///
    /// # Errors
    /// How long to wait before the next one.
    pub(super) fn take(&self, owner: &Owner, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= limits::PACED_OWNERS && !buckets.contains_key(owner) {
            // A full bucket is like none.
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.full());
        }
        let full = Bucket { left: self.full(), since: now };
        let bucket = buckets.entry(owner.clone()).or_insert(full);
        let left = self.filled(*bucket, now);
        let taken = left >= 1.0;
        *bucket = Bucket { left: if taken { left - 1.0 } else { left }, since: now };
        if taken { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - left) / self.per_second)) }
    }

    fn full(&self) -> f64 {
        2.0 * self.per_second
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.since).as_secs_f64() * self.per_second;
        (bucket.left + gained).min(self.full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_a_steady_rate_for_each_owner() {
        let pace = Pace::new(NonZeroU32::new(10).unwrap());
        let (ann, bob) = (Owner(Some("ann".to_owned())), Owner(Some("bob".to_owned())));
        let mut now = Instant::now();
        assert_eq!((0..30).filter(|_| pace.take(&ann, now).is_ok()).count(), 20);
        assert_eq!(pace.take(&ann, now), Err(Duration::from_millis(100)));
        assert_eq!(pace.take(&bob, now), Ok(()));
        now += Duration::from_millis(250);
        assert_eq!((0..30).filter(|_| pace.take(&ann, now).is_ok()).count(), 2);
        now += Duration::from_secs(3600);
        assert_eq!((0..30).filter(|_| pace.take(&ann, now).is_ok()).count(), 20);
    }

    #[test]
    fn owners_who_ask_no_more_are_forgotten() {
        let pace = Pace::new(NonZeroU32::new(1).unwrap());
        let now = Instant::now();
        for n in 0..limits::PACED_OWNERS {
            pace.take(&Owner(Some(n.to_string())), now).unwrap();
        }
        let later = now + Duration::from_secs(10);
        pace.take(&Owner::default(), later).unwrap();
        assert_eq!(pace.buckets.lock().unwrap().len(), 1);
    }
}
