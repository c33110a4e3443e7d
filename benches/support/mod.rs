//! What the benchmarks share: the floor, numbers of many rounds made into one, the table.

pub(crate) mod floor;
pub(crate) mod report;
pub(crate) mod stats;

use std::io::{self, Write};
use std::process::ExitCode;

use report::Row;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// The tokio that the program itself runs on.
pub(crate) fn tokio() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(relight::limits::worker_threads())
        .enable_all()
        .build()
}

/// A directory for a measure's files, on a real disk.
pub(crate) fn directory(prefix: &str) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(prefix).tempdir_in(env!("CARGO_TARGET_TMPDIR"))
}

/// Prints the table. Fails where a bar is missed.
pub(crate) fn conclude(rows: &[Row]) -> io::Result<ExitCode> {
    writeln!(io::stdout(), "{}", report::table(rows))?;
    let missed = rows.iter().any(|row| row.met == Some(false));
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
