//! Code that panics stops its own task, and nothing else.

use relight::durable::Context;
use relight::journal::{Failure, FailureKind};

use crate::bench::{Process, assert_says};
use crate::scratch::Scratch;

#[tokio::test]
async fn a_panic_stops_the_task_and_leaves_the_others_alone() {
    let scratch = Scratch::new();
    let process = Process::start(scratch.open(), |builder| {
        builder
            .function("between", |ctx: Context, (): ()| async move {
                ctx.pure("step").run(|_| async { Ok(()) }).await?;
                panic!("out of {}", "luck");
                #[expect(unreachable_code, reason = "it says what the function returns")]
                Ok::<(), Failure>(())
            })
            .function("in_step", |ctx: Context, (): ()| async move {
                ctx.pure("step").run::<(), _, _>(|_| async { panic!("in a step") }).await
            })
            .function("at_once", |_: Context, fail: bool| {
                assert!(!fail, "before the first await");
                std::future::ready(Ok::<_, Failure>("fine"))
            })
    })
    .await;
    for (function, words) in [("between", "out of luck"), ("in_step", "in a step")] {
        let task = process.task(function, &()).await;
        assert_says(&process.stopped(task).await, FailureKind::Final, &["panicked", words]);
    }
    let task = process.task("at_once", &true).await;
    let failure = process.stopped(task).await;
    assert_says(&failure, FailureKind::Final, &["panicked", "before the first await"]);
    let task = process.task("at_once", &false).await;
    assert_eq!(process.answer::<String>(task).await, "fine");
}
