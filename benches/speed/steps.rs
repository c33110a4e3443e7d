//! Durable steps: one after another, and of many tasks at once.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relight::durable::{Context, Runtime, StartTask};
use relight::journal::sqlite::Sqlite;
use relight::journal::{End, Failure, Payload};
use tokio::sync::Barrier;

use crate::floor::Floor;
use crate::report::Row;
use crate::stats::{Ratio, median, micros_each};
use crate::{Error, tokio};

const ROUNDS: usize = 100;
/// Steps of one task in a round: short, so that floor and subject have the same neighbours.
const STEPS: u32 = 100;
/// Tasks at once, and the steps of each in a round.
const TASKS: u32 = 64;
const STEPS_EACH: u32 = 40;

/// One durable step after another against a bare commit.
pub(crate) fn one_task(dir: &Path) -> Result<Vec<Row>, Error> {
    const BAR: f64 = 1.25;
    let journal = dir.join("journal.db");
    let tokio = tokio()?;
    let (mut steps_us, mut commits_us) = (Vec::new(), Vec::new());
    tokio.block_on(async {
        let bench = Bench::start(&journal).await?;
        let floor = Floor::beside(&journal)?;
        bench.round(1, STEPS).await?;
        for _ in 0..ROUNDS {
            commits_us.push(micros_each(floor.commits(STEPS)?, STEPS));
            steps_us.push(micros_each(bench.round(1, STEPS).await?, STEPS));
        }
        bench.stop().await;
        Ok::<_, Error>(())
    })?;
    let (step_us, commit_us) = (median(&steps_us), median(&commits_us));
    let ratio = Ratio::of(&steps_us, &commits_us);
    Ok(vec![Row {
        measure: "one durable step after another, one task".to_owned(),
        result: format!("{step_us:.0} µs a step"),
        floor: format!("{commit_us:.0} µs a bare one-row commit, warm WAL"),
        ratio: ratio.shown(2),
        bar: format!("at most {BAR}"),
        met: Some(ratio.median <= BAR),
    }])
}

/// Steps a second of many tasks at once against those of one.
pub(crate) fn many_tasks(dir: &Path) -> Result<Vec<Row>, Error> {
    const BAR: f64 = 10.0;
    let tokio = tokio()?;
    let (mut one, mut many) = (Vec::new(), Vec::new());
    tokio.block_on(async {
        let bench = Bench::start(&dir.join("journal.db")).await?;
        bench.round(1, STEPS).await?;
        for _ in 0..ROUNDS {
            one.push(f64::from(STEPS) / bench.round(1, STEPS).await?.as_secs_f64());
            let time = bench.round(TASKS, STEPS_EACH).await?;
            many.push(f64::from(TASKS * STEPS_EACH) / time.as_secs_f64());
        }
        bench.stop().await;
        Ok::<_, Error>(())
    })?;
    let ratio = Ratio::of(&many, &one);
    let (one, many) = (median(&one), median(&many));
    Ok(vec![Row {
        measure: format!("durable steps a second, {TASKS} tasks at once"),
        result: format!("{many:.0} a second"),
        floor: format!("{one:.0} a second, one task"),
        ratio: ratio.shown(1),
        bar: format!("at least {BAR}"),
        met: Some(ratio.median >= BAR),
    }])
}

/// A runtime over a journal, and tasks that begin together.
struct Bench {
    runtime: Runtime,
    epoch: Instant,
}

/// When a task's steps began and ended, in nanoseconds from the bench's start.
type Span = (u64, u64);

impl Bench {
    async fn start(journal: &Path) -> Result<Self, Error> {
        let store = Arc::new(Sqlite::open(journal)?);
        let epoch = Instant::now();
        let alone = Arc::new(Barrier::new(1));
        let together = Arc::new(Barrier::new(usize::try_from(TASKS)?));
        let runtime = Runtime::builder(store)
            .function("alone", move |ctx, count| steps(ctx, count, epoch, Arc::clone(&alone)))
            .function("together", move |ctx, count| steps(ctx, count, epoch, Arc::clone(&together)))
            .start()
            .await?;
        Ok(Self { runtime, epoch })
    }

    /// From the first task's first step to the last one's last.
    async fn round(&self, tasks: u32, steps: u32) -> Result<Duration, Error> {
        let function = if tasks == 1 { "alone" } else { "together" };
        let mut ids = Vec::new();
        for _ in 0..tasks {
            let start = StartTask::new(function, "bench", Payload::of(&steps)?);
            ids.push(self.runtime.start(start).await?);
        }
        let (mut begun, mut ended) = (u64::MAX, 0);
        for id in ids {
            match self.runtime.wait(id).await? {
                End::Completed(output) => {
                    let span: Span = output.read()?;
                    (begun, ended) = (begun.min(span.0), ended.max(span.1));
                }
                end => return Err(format!("a task did not complete: {end:?}").into()),
            }
        }
        debug_assert!(self.epoch.elapsed().as_nanos() >= u128::from(ended));
        Ok(Duration::from_nanos(ended.saturating_sub(begun)))
    }

    async fn stop(self) {
        self.runtime.shutdown().await;
        self.runtime.store().close().await;
    }
}

async fn steps(
    ctx: Context,
    count: u32,
    epoch: Instant,
    begin: Arc<Barrier>,
) -> Result<Span, Failure> {
    let elapsed = || u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
    begin.wait().await;
    let begun = elapsed();
    for n in 0..count {
        let _: u32 = ctx.idempotent(format!("step-{n}")).run(|_| ready(Ok(n))).await?;
    }
    Ok((begun, elapsed()))
}
