//! The bars on speed and size, each against a floor measured in the same run.
//!
//! ```text
//! cargo bench              all of them
//! cargo bench -- replay    those whose names are given
//! ```
//!
//! Floor and subject take turns, round by round, so that a noisy disk or neighbour hits both. A
//! result is the median of its rounds, a ratio that of each round's own. All files are under
//! `target/`, on a real disk. The program fails where a bar is not met.

mod cancel;
mod floor;
mod growth;
mod idle;
mod parked;
mod replay;
mod report;
mod served;
mod stats;
mod steps;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use report::Row;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Measure = fn(&Path) -> Result<Vec<Row>, Error>;

const MEASURES: [(&str, Measure); 7] = [
    ("step", steps::one_task),
    ("parallel", steps::many_tasks),
    ("replay", replay::replay),
    ("growth", growth::growth),
    ("idle", idle::idle),
    ("parked", parked::parked),
    ("cancel", cancel::cancel),
];

fn main() -> Result<ExitCode, Error> {
    // Cargo passes `--bench`, and whoever calls it may pass flags of other harnesses.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let known = MEASURES.map(|(name, _)| name);
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("no measure {unknown:?}; there are {}", known.join(", ")).into());
    }
    let mut rows = Vec::new();
    for (name, measure) in MEASURES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            writeln!(std::io::stderr(), "measuring: {name}")?;
            let dir = tempfile::Builder::new()
                .prefix("speed-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            rows.extend(measure(dir.path())?);
        }
    }
    writeln!(std::io::stdout(), "{}", report::table(&rows))?;
    let missed = rows.iter().any(|row| row.met == Some(false));
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The tokio that the program itself runs on.
fn tokio() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(relight::limits::worker_threads())
        .enable_all()
        .build()
}
