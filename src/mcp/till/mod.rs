//! The demo's tool server: a till that charges cards, mails receipts and keeps a ledger.
//!
//! It is an ordinary MCP server over stdio that knows nothing of relight, and stands for all of
//! those outside. Every effect is one line in a ledger file, synced before the tool answers, so the
//! file tells what really happened, whoever was killed in between. `charge_card` takes effect each
//! time it is called; that is the point of it.

mod ledger;
mod server;
mod tools;

use std::io;
use std::path::PathBuf;

use rmcp::ServiceExt;

pub use self::ledger::{Entry, entries};
pub use self::server::{Moment, pause_file};

use self::ledger::Ledger;
use self::server::Till;

/// How the till is started.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The file that each effect is written to, one JSON object a line
    #[arg(long, value_name = "PATH")]
    pub ledger: PathBuf,
}

/// Why the till ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger cannot be written.
    #[error("the ledger {} cannot be opened: {source}; give another path by --ledger", path.display())]
    Ledger {
        /// Where it was to be.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The client did not shake hands.
    #[error("no MCP client on stdin: {0}")]
    Handshake(String),
}

/// Serves the till on stdin and stdout until the client goes away. `now_ms` is the wall clock in
/// Unix milliseconds.
///
/// # Errors
/// When the ledger cannot be opened, or whoever is on stdin speaks no MCP.
pub async fn serve(
    options: Options,
    now_ms: impl Fn() -> i64 + Send + Sync + 'static,
) -> Result<(), Error> {
    let path = options.ledger.clone();
    Ledger(path.clone()).open().map_err(|source| Error::Ledger { path, source })?;
    let running = Till::new(options.ledger, now_ms)
        .serve(rmcp::transport::stdio_pipes())
        .await
        .map_err(|error| Error::Handshake(error.to_string()))?;
    // Its end is the client's going away, however the service loop words it.
    let _ = running.waiting().await;
    Ok(())
}
