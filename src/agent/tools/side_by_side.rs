//! Calls that run side by side, and end together.

use std::future::{Future, poll_fn};
use std::task::Poll;

use futures_util::future::maybe_done;

use crate::journal::Failure;

/// Runs all to their ends, or to the first failure: what the others have under way is dropped then.
///
/// All are polled before a failure counts, so a replay asks for whatever is recorded of each,
/// whichever of them fails.
pub(super) async fn all_or_first_failure<T, F>(
    calls: impl IntoIterator<Item = F>,
) -> Result<Vec<T>, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut calls: Vec<_> = calls.into_iter().map(|call| Box::pin(maybe_done(call))).collect();
    poll_fn(|cx| {
        let (mut waits, mut fails) = (false, false);
        for call in &mut calls {
            match call.as_mut().poll(cx) {
                Poll::Pending => waits = true,
                Poll::Ready(()) => fails |= matches!(call.as_mut().output_mut(), Some(Err(_))),
            }
        }
        if fails || !waits { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    calls.iter_mut().filter_map(|call| call.as_mut().take_output()).collect()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::future::{BoxFuture, FutureExt};

    use super::*;

    fn fails(why: &str) -> BoxFuture<'static, Result<u8, Failure>> {
        ready(Err(Failure::is_final(why))).boxed()
    }

    #[tokio::test]
    async fn results_are_in_the_order_of_the_calls() {
        let late = async {
            tokio::task::yield_now().await;
            Ok(1)
        };
        let all = all_or_first_failure([late.boxed(), ready(Ok(2)).boxed()]).await;
        assert_eq!(all.unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn a_failure_waits_for_nobody_and_all_were_asked() {
        let mut asked = false;
        let last = async {
            asked = true;
            Ok(3)
        };
        let all = all_or_first_failure([pending().boxed(), fails("b"), last.boxed()]).await;
        assert_eq!(all.unwrap_err().message, "b");
        assert!(asked);
    }
}
