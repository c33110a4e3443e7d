//! Replay: running a function again over a history that holds all of its steps.

use std::future::{pending, ready};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relight::durable::{Context, Cursor, Runtime, StartTask};
use relight::journal::sqlite::Sqlite;
use relight::journal::{Failure, Payload, Store};
use tokio::sync::mpsc;

use crate::report::Row;
use crate::stats::{median, micros_each};
use crate::{Error, tokio};

const ROUNDS: usize = 25;
const STEPS: u32 = 1_000;

/// What a step costs on replay over reading its rows: the fold of its events, and the run of the
/// function over them.
pub(crate) fn replay(dir: &Path) -> Result<Vec<Row>, Error> {
    const BAR_US: f64 = 10.0;
    let tokio = tokio()?;
    let (mut reads_us, mut replays_us) = (Vec::new(), Vec::new());
    tokio.block_on(async {
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&dir.join("journal.db"))?);
        let (runtime, mut runs) = start(&store).await?;
        let task = runtime.start(StartTask::new("bench", "bench", Payload::null())).await?;
        runs.recv().await.ok_or("the recording run did not end")?;
        runtime.shutdown().await;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let records = store.history(task, 0).await?;
            reads_us.push(micros_each(begun.elapsed(), STEPS));

            let begun = Instant::now();
            black_box(Cursor::new(records)?);
            let fold = begun.elapsed();
            let (runtime, mut runs) = start(&store).await?;
            let run = runs.recv().await.ok_or("a replay did not end")?;
            replays_us.push(micros_each(fold + run, STEPS));
            runtime.shutdown().await;
        }
        store.close().await;
        Ok::<_, Error>(())
    })?;
    let (read_us, replay_us) = (median(&reads_us), median(&replays_us));
    Ok(vec![Row {
        measure: format!("replay of a task with {STEPS} finished steps"),
        result: format!("{replay_us:.1} µs a step, over reading"),
        floor: format!("{read_us:.1} µs a step to read its rows"),
        ratio: String::new(),
        bar: format!("at most {BAR_US} µs a step"),
        met: Some(replay_us <= BAR_US),
    }])
}

/// A runtime that says how long the function took to get through its steps, and then leaves the
/// task unfinished, so that the next runtime replays it.
async fn start(
    store: &Arc<dyn Store>,
) -> Result<(Runtime, mpsc::UnboundedReceiver<Duration>), Error> {
    let (sender, runs) = mpsc::unbounded_channel();
    let runtime = Runtime::builder(Arc::clone(store))
        .function("bench", move |ctx, (): ()| steps(ctx, sender.clone()))
        .start()
        .await?;
    Ok((runtime, runs))
}

async fn steps(ctx: Context, done: mpsc::UnboundedSender<Duration>) -> Result<(), Failure> {
    let begun = Instant::now();
    for n in 0..STEPS {
        let receipt =
            || format!("receipt {n:06}: charged 42.00 EUR to card 4242, reference {n:032x}");
        let _: String = black_box(
            ctx.idempotent(format!("step-{n}")).input(&n).run(|_| ready(Ok(receipt()))).await?,
        );
    }
    // Whoever waited has gone away where it does not want it.
    let _ = done.send(begun.elapsed());
    pending().await
}
