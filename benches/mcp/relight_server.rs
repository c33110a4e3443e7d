//! The tools as durable functions.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relight::durable::{Context, Runtime};
use relight::journal::Failure;
use relight::journal::sqlite::Sqlite;
use relight::mcp::server::{HttpOptions, HttpServer, Options, Served, Server};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::peer::NoArguments;
use crate::server::Transport;
use crate::support::Error;

pub(crate) async fn serve(transport: Transport, journal: &Path) -> Result<(), Error> {
    let runtime = Runtime::builder(Arc::new(Sqlite::open(journal)?))
        .function("greet", greet)
        .function("nap", nap)
        .start()
        .await?;
    let tools = vec![
        Served::function::<NoArguments>("greet", "Answers at once"),
        Served::function::<NoArguments>("nap", "Sleeps for an hour"),
    ];
    let server = Server::new(runtime, tools, Options::default())?;
    let stop = CancellationToken::new();
    if transport == Transport::Stdio {
        return Ok(server.serve_stdio(stop).await?);
    }
    // Without bounds on an owner's requests and tasks: there is one owner, and he asks a lot.
    let http = HttpServer::bind(&server, "127.0.0.1:0".parse()?, HttpOptions::default()).await?;
    writeln!(std::io::stdout(), "{}", http.address())?;
    http.serve(stop).await;
    Ok(())
}

async fn greet(_ctx: Context, _input: Value) -> Result<String, Failure> {
    Ok("Hello!".to_owned())
}

async fn nap(ctx: Context, _input: Value) -> Result<String, Failure> {
    ctx.sleep("nap", Duration::from_secs(3600)).await?;
    Ok("slept".to_owned())
}
