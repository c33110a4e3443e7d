//! `relight serve`: the agents as MCP tools.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use relight::agent::Pinned;
use relight::config::{self, AuthFiles, AuthFlags, Changed, Environment, Settings};
use relight::durable::SystemClock;
use relight::journal::Payload;
use relight::limits;
use relight::mcp::server::{
    Auth, HttpOptions, HttpServer, Identify, Options, Served, Server, TaskSupport,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::host::{Host, Runs, pin, unusable};
use super::named::Named;
use super::screen::Screen;
use super::{Error, interrupted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How clients reach the server
    #[arg(long, value_enum, default_value_t = Transport::Stdio)]
    transport: Transport,

    /// How long a call of a client without MCP Tasks waits for its task before it is answered with
    /// the task's id and how to follow it
    #[arg(long, value_name = "SECONDS", default_value_t = limits::PLAIN_WAIT_MS / 1000)]
    plain_wait: u64,

    /// Over stdio, what becomes of running tasks when the client goes away
    #[arg(long, value_enum, default_value_t = OnDisconnect::Release)]
    on_disconnect: OnDisconnect,

    #[command(flatten)]
    http: Named<HttpArgs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// One client, on stdin and stdout
    Stdio,
    /// Any number of clients, over Streamable HTTP at /mcp
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnDisconnect {
    /// They stop at their next step, and the next relight goes on with them
    Release,
    /// They are finished first; those that wait for a time or a person are left
    Linger,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "With --transport http")]
struct HttpArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8377")]
    listen: SocketAddr,

    /// A name under which clients reach the server, besides localhost; may be repeated
    #[arg(long = "allow-host", value_name = "HOST[:PORT]")]
    hosts: Vec<String>,

    /// An origin of web pages that may use the server; may be repeated
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    origins: Vec<String>,

    /// Requests a second that one owner may make; 0 for any number
    #[arg(long, value_name = "N", default_value_t = limits::OWNER_REQUESTS_PER_SECOND)]
    owner_rate: u32,

    /// Tasks of one owner that may be under way; 0 for any number
    #[arg(long, value_name = "N", default_value_t = limits::OWNER_LIVE_TASKS)]
    owner_tasks: usize,

    /// Let everybody on the network start tasks and read them, with an address that other machines
    /// can reach
    #[arg(long)]
    allow_unauthenticated: bool,

    #[command(flatten)]
    auth: AuthFlags,
}

/// Serves until the client goes away or a signal stops it.
pub(super) async fn serve(
    args: Args,
    settings: &Settings,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Error> {
    let auth = match (args.transport, args.http.named.first()) {
        (Transport::Http, _) => {
            config::load_auth(&args.http.flags.auth, environment, Arc::new(SystemClock))?
        }
        (Transport::Stdio, None) => None,
        (Transport::Stdio, Some(flag)) => {
            return Err(Error::Usage(format!(
                "--{flag} is for HTTP only: add --transport http, or leave it out"
            )));
        }
    };
    let agents = config::load_agents(settings)?;
    for why in unusable(&agents, settings) {
        warn!("calls will fail: {why}");
    }
    let tools = agents
        .into_iter()
        .map(|agent| Ok(served(pin(agent, settings)?, settings.ttl_ms)))
        .collect::<Result<Vec<_>, Error>>()?;
    let host = Host::start(settings, environment, Runs::All).await?;
    let served = serve_on(&host, tools, args, auth, screen).await;
    host.stop().await;
    served
}

async fn serve_on(
    host: &Host,
    tools: Vec<Served>,
    args: Args,
    auth: Option<(Arc<Auth>, AuthFiles)>,
    screen: &Screen,
) -> Result<(), Error> {
    let plain_wait_ms = args.plain_wait.saturating_mul(1000);
    let options = Options { plain_wait_ms, ..Options::default() };
    let server = Server::new(host.runtime.clone(), tools, options)?;
    let stop = CancellationToken::new();
    let (interrupted, stopped) = (interrupted()?, stop.clone());
    let stopper = tokio::spawn(async move {
        interrupted.await;
        stopped.cancel();
    });
    let served = match args.transport {
        Transport::Stdio => {
            let served = server.serve_stdio(stop.clone()).await.map_err(Error::from);
            if args.on_disconnect == OnDisconnect::Linger {
                // A signal still stops it at once.
                if let Some(Err(error)) = stop.run_until_cancelled(host.runtime.finish()).await {
                    warn!(%error, "the running tasks are left to the next relight");
                }
            }
            served
        }
        Transport::Http => serve_http(&server, args.http.flags, auth, stop, screen).await,
    };
    stopper.abort();
    served
}

async fn serve_http(
    server: &Server,
    args: HttpArgs,
    auth: Option<(Arc<Auth>, AuthFiles)>,
    stop: CancellationToken,
    screen: &Screen,
) -> Result<(), Error> {
    let (identify, files) = auth.unzip();
    let identify = identify.map(|auth| auth as Arc<dyn Identify>);
    let options = HttpOptions {
        hosts: args.hosts,
        origins: args.origins,
        identify,
        requests_per_second: NonZeroU32::new(args.owner_rate),
        live_tasks: NonZeroUsize::new(args.owner_tasks),
        allow_unauthenticated: args.allow_unauthenticated,
    };
    let http = HttpServer::bind(server, args.listen, options).await?;
    screen.note(format_args!("serving MCP at http://{}/mcp", http.address()));
    let watch = async {
        match files {
            Some(files) => watch(files, screen).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = http.serve(stop) => Ok(()),
        broken = watch => broken,
    }
}

/// Has changes of the files of tokens and keys taken, and tells the operator of them.
async fn watch(mut files: AuthFiles, screen: &Screen) -> Result<(), Error> {
    loop {
        tokio::time::sleep(Duration::from_millis(limits::AUTH_FILES_MS)).await;
        let looked = tokio::task::spawn_blocking(move || {
            let changed = files.look();
            (files, changed)
        });
        let (again, changed) = looked.await.map_err(std::io::Error::other)?;
        files = again;
        for changed in changed {
            match changed {
                Changed::Taken(path) => {
                    screen.note(format_args!("{} has changed, and counts now", path.display()));
                }
                Changed::Kept(path, why) => screen.note(format_args!(
                    "{} has changed and cannot be used, so what it said before still counts: {why}",
                    path.display()
                )),
            }
        }
    }
}

/// An agent as a tool.
pub(super) fn served(pinned: Pinned, ttl_ms: u64) -> Served {
    let agent = &pinned.agent;
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
        task_support: TaskSupport::default(),
        asks_first: false,
        start: Arc::new(start),
    }
}
