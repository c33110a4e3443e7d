//! `relight serve`: the agents as MCP tools.

use std::sync::Arc;

use relight::agent::Pinned;
use relight::config::{self, Environment, Settings};
use relight::journal::Payload;
use relight::limits;
use relight::mcp::server::{Options, Served, Server};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::host::{Host, Runs, pin};
use super::{Error, interrupted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long a call of a client without MCP Tasks waits for its task before it is answered with
    /// the task's id and how to follow it
    #[arg(long, value_name = "SECONDS", default_value_t = limits::PLAIN_WAIT_MS / 1000)]
    plain_wait: u64,
}

/// Serves until the client goes away or a signal stops it.
pub(super) async fn serve(
    args: &Args,
    settings: &Settings,
    environment: &Environment,
) -> Result<(), Error> {
    let agents = config::load_agents(settings)?;
    let tools =
        agents.into_iter().map(|agent| served(pin(agent, settings), settings.ttl_ms)).collect();
    let host = Host::start(settings, environment, Runs::All).await?;
    let stop = CancellationToken::new();
    let (interrupted, stopped) = (interrupted()?, stop.clone());
    let stopper = tokio::spawn(async move {
        interrupted.await;
        stopped.cancel();
    });
    let plain_wait_ms = args.plain_wait.saturating_mul(1000);
    let options = Options { plain_wait_ms, ..Options::default() };
    let server = Server::new(host.runtime.clone(), tools, options)?;
    let served = server.serve_stdio(stop).await;
    stopper.abort();
    host.stop().await;
    Ok(served?)
}

/// An agent as a tool.
fn served(pinned: Pinned, ttl_ms: u64) -> Served {
    let agent = &pinned.agent;
    if pinned.models.is_empty() {
        warn!(
            agent = agent.name(),
            "no model is configured; calls will fail: set `model` in its file, --model or RELIGHT_MODEL"
        );
    }
    let (name, description) = (agent.name().to_owned(), agent.description().to_owned());
    let (input_schema, output_schema) =
        (agent.input_schema().clone(), agent.output_schema().cloned());
    let start = move |arguments: Payload| {
        let mut start = pinned.start(arguments);
        start.ttl_ms = Some(ttl_ms);
        start
    };
    Served {
        name,
        title: None,
        description: Some(description),
        input_schema,
        output_schema,
        start: Arc::new(start),
    }
}
