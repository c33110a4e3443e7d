//! What tasks cost that wait for weeks: memory of the server that has them, and time when it starts.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use relight::journal::sqlite::Sqlite;
use relight::journal::{Filter, Store};

use crate::idle::resident_kb;
use crate::report::Row;
use crate::served::Served;
use crate::stats::median;
use crate::{Error, tokio};

const TASKS: usize = 10_000;
/// Twice as many as run side by side.
const FIRST_TASKS: usize = 2 * relight::limits::LIVE_TASKS;
const STARTS: usize = 15;

/// An agent whose model goes to sleep at once.
const AGENT: &str = "---
name: sleeper
description: Sleeps.
model: script:sleeper.script.yaml
tools: [sleep]
---
Sleep.
";
const SCRIPT: &str = "replies:
  - calls:
      - tool: sleep
        arguments: { duration: 30d }
  - text: Good morning.
";

/// Lets tasks of an agent go to sleep in a server, and then starts servers over their journal and
/// over an empty one.
pub(crate) fn parked(dir: &Path) -> Result<Vec<Row>, Error> {
    let agents = dir.join("prompts");
    fs::create_dir(&agents)?;
    let script = dir.join("sleeper.script.yaml");
    fs::write(&script, SCRIPT)?;
    fs::write(agents.join("sleeper.md"), AGENT.replace("sleeper.script.yaml", path(&script)?))?;
    let full = dir.join("full.db");
    Ok(vec![memory(&full, &agents)?, start(dir, &full, &agents)?])
}

/// How much the memory of a server grows. The first tasks fill its places for live tasks, and what
/// those took the allocator keeps: it is shown by itself, so that the rest is what parked tasks cost.
fn memory(journal: &Path, agents: &Path) -> Result<Row, Error> {
    const BAR_MB: f64 = 10.0;
    let mut server = Served::start(journal, agents, &[])?;
    let mut at = vec![settled_kb(&server)?];
    for (from, to) in [(0, FIRST_TASKS), (FIRST_TASKS, TASKS)] {
        for _ in from..to {
            server.call("sleeper")?;
        }
        until_parked(journal, to)?;
        at.push(settled_kb(&server)?);
    }
    let mb = |kb: f64| kb * 1024.0 / 1e6;
    let [before, first, all] = at[..] else { return Err("a sample is missing".into()) };
    let grown = |from: Option<f64>| from.zip(all).map(|(from, all)| mb(all - from));
    let growth = grown(before);
    let shown = |growth: f64| {
        let parked = grown(first).unwrap_or_default();
        format!("{growth:.1} MB more, {parked:.1} of it after the first {FIRST_TASKS}")
    };
    Ok(Row {
        measure: format!("{TASKS} parked tasks, resident memory"),
        result: growth.map_or_else(|| "needs /proc".to_owned(), shown),
        floor: before.map(|kb| format!("{:.1} MB before", mb(kb))).unwrap_or_default(),
        ratio: String::new(),
        bar: format!("at most {BAR_MB} MB more"),
        met: growth.map(|growth| growth <= BAR_MB),
    })
}

/// How long a server takes until it answers.
fn start(dir: &Path, full: &Path, agents: &Path) -> Result<Row, Error> {
    const BAR_MS: f64 = 1_000.0;
    let (mut full_ms, mut empty_ms) = (Vec::new(), Vec::new());
    let timed = |journal: &Path| -> Result<f64, Error> {
        let begun = Instant::now();
        let mut server = Served::start(journal, agents, &[])?;
        // It is up once it takes a task, too.
        server.call("sleeper")?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    for n in 0..STARTS {
        empty_ms.push(timed(&dir.join(format!("empty-{n}.db")))?);
        full_ms.push(timed(full)?);
    }
    let over_ms: Vec<f64> =
        full_ms.iter().zip(&empty_ms).map(|(full, empty)| full - empty).collect();
    let over_ms = median(&over_ms);
    Ok(Row {
        measure: format!("start over {TASKS} parked tasks, to the first task taken"),
        result: format!("{:.0} ms", median(&full_ms)),
        floor: format!("{:.0} ms over an empty journal", median(&empty_ms)),
        ratio: String::new(),
        bar: format!("at most {BAR_MS} ms more"),
        met: Some(over_ms <= BAR_MS),
    })
}

/// The memory of a server that has had a moment to settle; `None` where it cannot be seen.
fn settled_kb(server: &Served) -> Result<Option<f64>, Error> {
    const SAMPLES: usize = 20;
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        sleep(Duration::from_millis(100));
        samples.push(f64::from(resident_kb(server.process())?));
    }
    Ok(Some(median(&samples)))
}

/// Waits until so many tasks have run and nobody runs them any more.
fn until_parked(journal: &Path, wanted: usize) -> Result<(), Error> {
    const PATIENCE: Duration = Duration::from_secs(600);
    let begun = Instant::now();
    tokio()?.block_on(async {
        let store = Sqlite::open(journal)?;
        loop {
            let filter = Filter { limit: TASKS + 1, ..Filter::default() };
            let tasks = store.tasks(filter).await?;
            let asleep = tasks.iter().filter(|task| task.epoch > 0 && task.runner.is_none());
            let asleep = asleep.count();
            if asleep >= wanted {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("only {asleep} of {wanted} tasks are parked").into());
            }
            sleep(Duration::from_millis(500));
        }
        store.close().await;
        Ok(())
    })
}

fn path(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| "the path is no text".into())
}
