//! The bars on MCP, over stdio and HTTP: a call until its handle, and looks at tasks, beside a server
//! on rmcp's own `TaskManager`, which keeps tasks in memory.
//!
//! ```text
//! cargo bench --bench mcp              both transports
//! cargo bench --bench mcp -- stdio     the one that is given
//! ```
//!
//! Each server is a process of its own, this program started again: the same tools, the same async
//! runtime, the same rmcp. One client drives both by turns, round by round, so that a noisy disk or
//! neighbour hits both. A result is the median of its rounds, a ratio that of each round's own. The
//! program fails where a bar is not met.

mod connection;
mod handle;
mod look;
mod peer;
mod relight_server;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use server::{Role, Transport};
use support::{Error, floor, report, stats};

fn main() -> Result<ExitCode, Error> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(role) = Role::of(&arguments) {
        return support::tokio()?.block_on(role?.serve());
    }
    // Cargo passes `--bench`, and whoever calls it may pass flags of other harnesses.
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let wanted: Vec<_> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let names = Transport::ALL.map(Transport::name);
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_ref())) {
        return Err(format!("no transport {unknown:?}; there are {}", names.join(", ")).into());
    }
    let mut rows = Vec::new();
    for transport in Transport::ALL {
        if wanted.is_empty() || wanted.iter().any(|name| name.as_ref() == transport.name()) {
            writeln!(std::io::stderr(), "measuring: {}", transport.name())?;
            rows.extend(look::looks(transport)?);
            rows.push(handle::handle(transport)?);
        }
    }
    Ok(support::conclude(&rows)?)
}
