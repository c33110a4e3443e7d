//! The demo's tool server as a program of its own: an ordinary MCP server over stdio that writes
//! each of its effects to a ledger file.
//!
//! ```text
//! cargo run --example till -- --ledger /tmp/ledger.jsonl
//! ```
//!
//! An agent reaches it by `mcpServers: {till: {command: target/debug/examples/till, args: […]}}`.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use relight::mcp::till;

/// A till: charges cards, mails receipts, keeps a ledger
#[derive(Parser)]
#[command(name = "till")]
struct Arguments {
    #[command(flatten)]
    till: till::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), till::Error> {
    till::serve(Arguments::parse().till, now_ms).await
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, outside the runtime")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
