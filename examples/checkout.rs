//! Three effects as an ordinary `async fn`, durable, served as an MCP tool over stdio.
//!
//!     cargo run --example checkout -- checkout.db
//!
//! Kill it anywhere and start it again: the order goes on where it was, and the card is charged once.

use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Attempt, Context, Runtime};
use relight::journal::{Failure, FailureKind, sqlite::Sqlite};
use relight::mcp::server::{Options, Served, Server};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Order {
    id: String,
    amount_cents: u64,
    email: String,
}

async fn checkout(ctx: Context, order: Order) -> Result<String, Failure> {
    let charged = ctx.once("charge").input(&order).run(|attempt| charge(attempt, &order)).await;
    let charge = match charged {
        // It was begun, and the process died before the answer came: look before doing it again.
        Err(failure) if failure.kind == FailureKind::InDoubt => {
            ctx.pure("find charge").run(|_| find_charge(&order)).await?
        }
        charged => charged?,
    };
    ctx.sleep("settle", Duration::from_secs(2)).await?;
    let (mail, ledger) = (ctx.scope("mail"), ctx.scope("ledger"));
    tokio::try_join!(
        mail.idempotent("receipt").run(|attempt| post("mail", attempt)),
        ledger.idempotent("sale").run(|attempt| post("ledger", attempt)),
    )?;
    Ok(format!("order {} is paid: {charge}", order.id))
}

async fn charge(attempt: Attempt, order: &Order) -> Result<String, Failure> {
    // A real one hands the key to its payment provider.
    Ok(format!("{} cents under {}", order.amount_cents, attempt.idempotency_key))
}

async fn find_charge(order: &Order) -> Result<String, Failure> {
    Ok(format!("{} cents, found", order.amount_cents))
}

async fn post(what: &str, attempt: Attempt) -> Result<(), Failure> {
    tracing::info!(what, key = attempt.idempotency_key, "posted");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "checkout.db".to_owned());
    let store = Arc::new(Sqlite::open(path.as_ref())?);
    let runtime = Runtime::builder(store).function("checkout", checkout).start().await?;
    let tool = Served::function::<Order>("checkout", "Checks out one order");
    let server = Server::new(runtime.clone(), vec![tool], Options::default())?;
    server.serve_stdio(CancellationToken::new()).await?;
    runtime.shutdown().await;
    Ok(())
}
