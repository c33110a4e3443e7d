//! Code that holds on to a step without polling it any more.

use std::pin::pin;

use futures_util::FutureExt;
use relight::durable::Context;

use crate::bench::Process;
use crate::scratch::Scratch;

#[tokio::test]
async fn a_step_that_nobody_polls_holds_no_other_back() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder.function("f", |ctx: Context, (): ()| async move {
            // Polled once, it is at the commit of its start.
            let mut held = pin!(ctx.once("held").run(async |_| Ok(1)));
            assert!(held.as_mut().now_or_never().is_none());
            let next = ctx.once("next").run(async |_| Ok(2)).await?;
            Ok(next + held.await?)
        })
    })
    .await;
    let task = process.task("f", &()).await;
    assert_eq!(process.answer::<u32>(task).await, 3);
}
