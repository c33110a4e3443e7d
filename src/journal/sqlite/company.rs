//! Whether a caller that wants to write is the only one.
//!
//! Others may be about to, and have not come yet: they are ready to run on the same thread of the async
//! runtime. To let them run first takes some microseconds, a tenth of a commit. Where others have been
//! met of late it is done before each write, because to share a commit saves all of it; and where nobody
//! has, every so often.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::task::yield_now;

/// After so many writes in a row without company, none is expected.
const ALONE: u32 = 16;

/// Every how many writes some is looked for then. A task that writes all the time keeps its thread from
/// others for so many commits at most.
const LOOKS: u32 = 5;

/// The small writes of one process that are on their way into the queue, or past it.
#[derive(Default)]
pub(super) struct Company {
    arriving: AtomicUsize,
    /// Writes in a row that met no other.
    alone: AtomicU32,
}

impl Company {
    /// Counts a write, until what is returned is dropped.
    pub(super) fn arrive(&self) -> Arrival<'_> {
        self.arriving.fetch_add(1, Ordering::Relaxed);
        Arrival(self)
    }
}

/// A write that is counted.
pub(super) struct Arrival<'a>(&'a Company);

impl Arrival<'_> {
    /// Whether this write is the only one. `queue_is_empty` says whether nobody is further than it.
    pub(super) async fn is_alone(&self, queue_is_empty: impl Fn() -> bool) -> bool {
        let Company { arriving, alone } = self.0;
        let is_alone = || arriving.load(Ordering::Relaxed) == 1 && queue_is_empty();
        let mut answer = is_alone();
        let so_far = alone.load(Ordering::Relaxed);
        if answer && (so_far < ALONE || so_far.is_multiple_of(LOOKS)) {
            yield_now().await;
            answer = is_alone();
        }
        alone.store(if answer { so_far.wrapping_add(1) } else { 0 }, Ordering::Relaxed);
        answer
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.arriving.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    /// Whether a write by itself looks for company before it finds that it is alone.
    async fn looks(company: &Company) -> bool {
        let arrival = company.arrive();
        let mut is_alone = pin!(arrival.is_alone(|| true));
        match is_alone.as_mut().now_or_never() {
            Some(is_alone) => {
                assert!(is_alone);
                false
            }
            None => {
                assert!(is_alone.await);
                true
            }
        }
    }

    #[tokio::test]
    async fn company_is_looked_for_where_there_was_some_of_late() {
        let company = Company::default();
        for write in 0..40 {
            assert_eq!(looks(&company).await, write < ALONE || write % LOOKS == 0, "{write}");
        }
        let (one, two) = (company.arrive(), company.arrive());
        assert!(!one.is_alone(|| true).await);
        drop(two);
        assert!(!one.is_alone(|| false).await);
        drop(one);
        assert!(looks(&company).await);
    }
}
