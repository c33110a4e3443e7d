//! Whose tasks a runtime runs, and one call that is made twice.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Builder, Context};
use relight::journal::{Error, Failure};
use tokio::sync::Semaphore;

use crate::bench::{Log, Process, parked, start};
use crate::faulty::{Call, Faulty};
use crate::scratch::Scratch;
use crate::valve::Valve;

fn echo(builder: Builder, log: &Log, who: &'static str) -> Builder {
    let log = log.clone();
    builder
        .function("echo", move |_: Context, text: String| {
            log.note(format!("{who} {text}"));
            std::future::ready(Ok::<_, Failure>(text))
        })
        .function("twice", |ctx: Context, text: String| async move {
            let once: String = ctx.child("kid", "echo", &text).await?;
            Ok(format!("{once} {once}"))
        })
}

#[tokio::test]
async fn a_runtime_of_its_own_tasks_leaves_the_others_alone() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let idle = Process::start(scratch.open(), |builder| builder).await;
    let left = idle.task("echo", "left").await;
    let own = Process::start(scratch.open(), |b| echo(b, &log, "own").only_own()).await;
    let mine = own.task("twice", "mine").await;
    assert_eq!(own.answer::<String>(mine).await, "mine mine", "children are its own too");
    let other = own.runtime.store().task(left).await.unwrap().unwrap();
    assert_eq!((other.epoch, other.runner), (0, None));
    own.runtime.adopt(left);
    assert_eq!(own.answer::<String>(left).await, "left");
    assert_eq!(log.all(), ["own mine", "own left"]);
}

#[tokio::test]
async fn an_adopted_task_of_a_dead_process_is_taken_over() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let hung = log.clone();
    let first = Process::start(scratch.open(), |builder| {
        builder.function("echo", move |ctx: Context, _: String| {
            let log = hung.clone();
            async move {
                let code = |_| {
                    log.note("hangs");
                    pending::<Result<String, Failure>>()
                };
                ctx.pure("hang").run(code).await
            }
        })
    })
    .await;
    let task = first.task("echo", "again").await;
    log.saw("hangs").await;
    first.kill().await;
    let own = Process::start(scratch.open(), |b| echo(b, &log, "own").only_own()).await;
    own.runtime.adopt(task);
    assert_eq!(own.answer::<String>(task).await, "again");
}

#[tokio::test]
async fn an_own_task_of_an_unknown_function_is_left_to_others() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let valve = Arc::new(Valve::default());
    let store = Faulty::new(scratch.open(), Arc::clone(&valve));
    let own = Process::start(store, |builder| builder.only_own()).await;
    let task = own.task("echo", "hello").await;
    // Whatever wakes it, it takes no lease on what it cannot run.
    for _ in 0..5 {
        own.runtime.adopt(task);
        valve.more(Call::Nudged, 1).await;
    }
    assert_eq!(valve.arrived(Call::ClaimOne), 0);
    let able = Process::start(scratch.open(), |builder| echo(builder, &log, "able")).await;
    assert_eq!(able.answer::<String>(task).await, "hello");
}

#[tokio::test]
async fn a_call_made_twice_is_one_task() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let process = Process::start(scratch.open(), |builder| echo(builder, &log, "one")).await;
    let call = |text: &str, owner: Option<&str>| {
        let mut call = start("echo", text);
        call.idempotency_key = Some("key".to_owned());
        call.owner = owner.map(str::to_owned);
        call
    };
    let first = process.runtime.start(call("a", None)).await.unwrap();
    process.answer::<String>(first).await;
    assert_eq!(process.runtime.start(call("a", None)).await.unwrap(), first);
    let error = process.runtime.start(call("b", None)).await.unwrap_err();
    assert!(matches!(error, Error::KeyReused { .. }), "{error}");
    let other = process.runtime.start(call("b", Some("ada"))).await.unwrap();
    assert_ne!(other, first, "another owner's key is another key");
    process.answer::<String>(other).await;
    assert_eq!(log.all(), ["one a", "one b"]);
}

#[tokio::test]
async fn what_runs_is_finished_with_its_children_and_what_is_parked_is_left() {
    let (scratch, log) = (Scratch::new(), Log::default());
    let gate = Arc::new(Semaphore::new(0));
    let (entered, way) = (log.clone(), Arc::clone(&gate));
    let first = Process::start(scratch.open(), |builder| {
        builder
            .function("slow", move |ctx: Context, (): ()| {
                let (log, gate) = (entered.clone(), Arc::clone(&way));
                async move {
                    let code = |_| {
                        let (log, gate) = (log.clone(), Arc::clone(&gate));
                        async move {
                            log.note("slow");
                            gate.acquire().await.unwrap().forget();
                            Ok::<_, Failure>(7)
                        }
                    };
                    ctx.pure("count").run(code).await
                }
            })
            .function("parent", |ctx: Context, (): ()| async move {
                ctx.child::<u32>("kid", "slow", &()).await
            })
            .function("nap", |ctx: Context, (): ()| async move {
                ctx.sleep("nap", Duration::from_secs(3600)).await
            })
    })
    .await;
    let (parent, nap) = (first.task("parent", &()).await, first.task("nap", &()).await);
    log.saw("slow").await;
    let finishing = tokio::spawn({
        let runtime = first.runtime.clone();
        async move { runtime.finish().await }
    });
    let store = Arc::clone(first.runtime.store());
    parked(store.as_ref(), parent).await;
    parked(store.as_ref(), nap).await;
    assert!(!finishing.is_finished(), "the child still runs");
    gate.add_permits(1);
    finishing.await.unwrap().unwrap();
    assert_eq!(first.answer::<u32>(parent).await, 7);
    assert!(!store.task(nap).await.unwrap().unwrap().status.is_ended());
}
