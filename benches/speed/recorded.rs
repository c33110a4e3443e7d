//! A recorded run of many turns, read from its file and replayed.

use std::path::Path;
use std::time::Instant;

use relight::journal::Recording;
use relight::journal::sqlite::Sqlite;
use relight::replay::Replay;

use crate::growth::run_agent;
use crate::report::Row;
use crate::stats::median;
use crate::{Error, tokio};

const TURNS: u32 = 1_000;
const ROUNDS: usize = 9;

pub(crate) fn recorded(dir: &Path) -> Result<Vec<Row>, Error> {
    const BAR_MS: f64 = 1_000.0;
    let (journal, file) = (dir.join("recorded.db"), dir.join("recorded.jsonl"));
    tokio()?.block_on(async {
        let task = run_agent(&journal, TURNS).await?;
        let recording = Recording::of(&Sqlite::open(&journal)?, task).await?;
        std::fs::write(&file, recording.write())?;
        let bytes = std::fs::metadata(&file)?.len();
        let mut times_ms = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let run = Replay::open(&file)?.as_recorded().await?;
            times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
            run.assert_same();
        }
        let time_ms = median(&times_ms);
        Ok(vec![Row {
            measure: format!("replay of a recorded run of {TURNS} turns, its file read"),
            result: format!("{time_ms:.0} ms"),
            floor: format!("{} KiB of recording", bytes / 1024),
            ratio: String::new(),
            bar: format!("at most {BAR_MS} ms"),
            met: Some(time_ms <= BAR_MS),
        }])
    })
}
