//! A recorded durable function replayed on its code as it is now.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Context, Runtime, StartTask};
use relight::journal::sqlite::Sqlite;
use relight::journal::{Failure, Hash, Payload, Recording, Redaction};
use relight::replay::{Replay, own_hashes, redacted};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Charges, waits, and has a child mail the receipt.
async fn sell(ctx: Context, cents: u32) -> Result<String, Failure> {
    let charge: String =
        ctx.once("charge").input(&cents).run(|_| ready(Ok("ch_1".to_owned()))).await?;
    ctx.sleep("pause", Duration::from_millis(1)).await?;
    let mailed: bool = ctx.child("receipt", "mail", &charge).await?;
    Ok(format!("{charge} {mailed}"))
}

async fn mail(ctx: Context, charge: String) -> Result<bool, Failure> {
    ctx.once("send").input(&charge).run(|_| ready(Ok(true))).await
}

async fn recording() -> Recording {
    recorded(sell, 500).await
}

async fn recorded<F, In, Out, Fut>(sell: F, input: impl Serialize) -> Recording
where
    F: Fn(Context, In) -> Fut + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
    Fut: Future<Output = Result<Out, Failure>> + Send + 'static,
{
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(&dir.path().join("journal.db")).unwrap());
    let runtime = Runtime::builder(store)
        .function("sell", sell)
        .function("mail", mail)
        .start()
        .await
        .unwrap();
    let task = StartTask::new("sell", "sell", Payload::of(&input).unwrap());
    let task = runtime.start(task).await.unwrap();
    runtime.wait(task).await.unwrap();
    let recording = Recording::of(runtime.store().as_ref(), task).await.unwrap();
    runtime.shutdown().await;
    recording
}

#[tokio::test]
async fn unchanged_code_is_the_same_with_its_children() {
    let recording = recording().await;
    assert_eq!(recording.tasks().len(), 2);
    let run = Replay::of(recording).function("sell", sell).function("mail", mail);
    let run = run.as_recorded().await.unwrap();
    run.assert_same();
    assert_eq!(run.steps(), ["charge", "pause", "receipt"]);
    assert_eq!(run.answer().unwrap().json(), "\"ch_1 true\"");
}

#[tokio::test]
async fn changed_code_is_told_by_its_first_step_that_differs() {
    let replay = Replay::of(recording().await).function("mail", mail);
    let tell = async |replay: Replay| {
        let run = replay.as_recorded().await.unwrap();
        run.drifts().iter().map(|drift| drift.what.clone()).collect::<Vec<_>>()
    };
    let other_input = replay.clone().function("sell", |ctx: Context, cents: u32| async move {
        let _: String =
            ctx.once("charge").input(&(cents + 1)).run(|_| ready(Ok(String::new()))).await?;
        Ok(())
    });
    assert_eq!(tell(other_input).await, ["step \"charge\" is asked for with another input"]);
    let other_step = replay.clone().function("sell", |ctx: Context, _: u32| async move {
        let _: String = ctx.pure("look").run(|_| ready(Ok(String::new()))).await?;
        Ok(())
    });
    let [what] = &tell(other_step).await[..] else { panic!() };
    assert!(what.contains("\"look\"") && what.contains("\"charge\""), "{what}");
    let shorter = replay.clone().function("sell", |_: Context, _: u32| ready(Ok(())));
    assert_eq!(tell(shorter).await, ["it ended without step \"charge\", which is recorded"]);
    let other_end = replay.clone().function("sell", |ctx: Context, cents: u32| async move {
        sell(ctx, cents).await.map(|answer| answer.to_uppercase())
    });
    assert_eq!(tell(other_end).await, ["it ended otherwise"]);
    let error = replay.as_recorded().await.err().unwrap().to_string();
    assert!(error.contains("the function \"sell\""), "{error}");
}

#[tokio::test]
async fn code_that_waits_outside_of_steps_does_not_hang_the_test() {
    let replay = Replay::of(recording().await)
        .function("mail", mail)
        .function("sell", |_: Context, _: u32| std::future::pending::<Result<(), Failure>>());
    let run = replay.as_recorded().await.unwrap();
    assert!(run.drifts()[0].what.contains("waits for something that is no step"));
}

const SECRET: &str = "sk-live-0123456789abcdefghij";

/// Hands a secret to a step by a hash of its own, and to a child.
async fn hide(ctx: Context, secret: String) -> Result<bool, Failure> {
    let hash = Hash::of(secret.as_bytes());
    let _: bool = ctx.once("own").input_hash(hash, None).run(|_| ready(Ok(true))).await?;
    ctx.child("receipt", "mail", &secret).await
}

#[tokio::test]
async fn a_secret_in_a_hash_of_their_own_is_replayed_by_those_who_know_the_function() {
    let recording = recorded(hide, SECRET).await;
    let rules = Redaction::usual();
    let alone = redacted(recording.clone(), &rules).await.unwrap();
    assert!(!alone.write().contains(SECRET));
    let own: Vec<String> = own_hashes(&alone).into_iter().map(|(_, key)| key).collect();
    assert_eq!(own, ["own"], "the child's step fits by itself");
    let replay = |recording| Replay::of(recording).function("sell", hide).function("mail", mail);
    let run = replay(alone).as_recorded().await.unwrap();
    let [drift] = run.drifts() else { panic!("{:?}", run.drifts()) };
    assert_eq!(drift.key.as_deref(), Some("own"));

    let fitting = replay(recording).redacted(&rules).await.unwrap();
    assert!(!fitting.write().contains(SECRET));
    replay(fitting).as_recorded().await.unwrap().assert_same();
}
