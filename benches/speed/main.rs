//! The bars on speed and size, each against a floor measured in the same run.
//!
//! ```text
//! cargo bench --bench speed              all of them
//! cargo bench --bench speed -- replay    those whose names are given
//! ```
//!
//! Floor and subject take turns, round by round, so that a noisy disk or neighbour hits both. A
//! result is the median of its rounds, a ratio that of each round's own. All files are under
//! `target/`, on a real disk. The program fails where a bar is not met.

mod cancel;
mod growth;
mod idle;
mod parked;
mod recorded;
mod replay;
mod served;
mod steps;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use report::Row;
use support::{Error, floor, report, stats, tokio};

type Measure = fn(&Path) -> Result<Vec<Row>, Error>;

const MEASURES: [(&str, Measure); 8] = [
    ("step", steps::one_task),
    ("parallel", steps::many_tasks),
    ("replay", replay::replay),
    ("recorded", recorded::recorded),
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
            let dir = support::directory("speed-")?;
            rows.extend(measure(dir.path())?);
        }
    }
    Ok(support::conclude(&rows)?)
}
