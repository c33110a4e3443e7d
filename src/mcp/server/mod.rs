//! Durable functions as MCP tools: over stdio and HTTP, for clients with the Tasks extension (protocol
//! 2026-07-28), with the experimental Tasks before it (2025-11-25), and with none.
//!
//! ```text
//! stdin ── Stdio ──┬── rmcp ── Session ──┬── translate      the extension
//! HTTP ─── http ───┘                     ├── experimental   the older Tasks, which rmcp has not
//!                                        ├── plain, follow  no Tasks: calls that wait, tools to follow
//!                                        └── durable::Runtime ── journal
//! ```
//!
//! A call is answered with a handle only after its task is committed. From then on the client may
//! come and go: the answer is the journal's, and this code decides nothing about a task.

mod arguments;
mod calls;
mod elicit;
mod experimental;
mod follow;
mod http;
mod listen;
mod malformed;
mod owner;
mod plain;
mod questions;
mod rounds;
mod session;
mod stdio;
mod translate;
mod views;

use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::service::ServerInitializeError;
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

pub use self::http::{
    Auth, HttpError, HttpOptions, HttpServer, Identify, Jwt, JwtOptions, Keys, KeysError,
    PublicUrl, PublicUrlError, Refusal, Token, TokenError, Tokens,
};
pub use self::owner::Owner;

use self::arguments::Arguments;
use self::follow::Follower;
use self::session::Session;
use self::stdio::Stdio;
use self::views::Views;
use crate::durable::{Runtime, StartTask};
use crate::journal::Payload;
use crate::limits;

/// A durable function as a tool.
#[derive(Clone)]
pub struct Served {
    /// The tool's name; unique.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// JSON Schema of its arguments: an object with `"type": "object"`.
    pub input_schema: Payload,
    /// JSON Schema of what it returns, where that is an object.
    pub output_schema: Option<Payload>,
    /// Whether its calls are answered with a task.
    pub task_support: TaskSupport,
    /// Whether its first questions are asked before the call is answered with a task, of clients that
    /// can be asked so: as the call's own result, which the client answers by calling again. The
    /// function should ask them before it does anything that takes long.
    pub asks_first: bool,
    /// Makes a task of a call's arguments, which have passed the schema. The idempotency key of the
    /// call is put in afterwards.
    pub start: Arc<dyn Fn(Payload) -> StartTask + Send + Sync>,
}

/// Whether a tool's calls are answered with a task, to a client that knows what to do with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskSupport {
    /// They are, and other clients wait for the result.
    #[default]
    Optional,
    /// They are, and other clients cannot call the tool.
    Required,
    /// They never are: every client waits for the result.
    Forbidden,
}

impl TaskSupport {
    /// The word of the experimental dialect.
    fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
            Self::Forbidden => "forbidden",
        }
    }
}

impl Served {
    /// A function that is registered under `name`, called with an `In`.
    pub fn function<In: JsonSchema>(name: &str, description: &str) -> Self {
        let function = name.to_owned();
        Self {
            name: name.to_owned(),
            title: None,
            description: Some(description.to_owned()),
            // A schema is made of JSON and has a JSON form.
            input_schema: Payload::of(&schema_for!(In)).unwrap_or_else(|_| Payload::null()),
            output_schema: None,
            task_support: TaskSupport::default(),
            asks_first: false,
            start: Arc::new(move |arguments| StartTask::new(&function, &function, arguments)),
        }
    }
}

/// How the server introduces itself, and how it answers.
#[derive(Debug, Clone)]
pub struct Options {
    /// What a model should know about the server as a whole.
    pub instructions: Option<String>,
    /// How long a call of a client without Tasks waits for its task, in milliseconds, before it is
    /// answered with how to follow it.
    pub plain_wait_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { instructions: None, plain_wait_ms: limits::PLAIN_WAIT_MS }
    }
}

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two tools of one name.
    #[error("two tools are named {name:?}; rename one")]
    SameName {
        /// The name.
        name: String,
    },
    /// A tool with the name of one that clients without Tasks are shown.
    #[error(
        "no tool may be named {name:?}: clients without MCP Tasks follow their tasks by that name"
    )]
    Reserved {
        /// The name.
        name: String,
    },
    /// A schema that is none.
    #[error("tool {tool:?}: its {which} schema cannot be used: {why}")]
    Schema {
        /// The tool.
        tool: String,
        /// `input` or `output`.
        which: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The connection broke during the handshake.
    #[error("the MCP client was lost in the handshake: {0}")]
    Handshake(String),
}

/// Serves tools over any number of connections. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

/// Whether a server could serve these tools.
///
/// # Errors
/// As [`Server::new`].
pub fn check(tools: Vec<Served>) -> Result<(), Error> {
    ready(tools).map(|_| ())
}

/// The tools as they are served, and those with which clients without Tasks follow tasks.
fn ready(tools: Vec<Served>) -> Result<(Vec<Tool>, Vec<Follower>), Error> {
    let followers = follow::tools()?;
    let mut ready: Vec<Tool> = Vec::with_capacity(tools.len());
    for served in tools {
        if ready.iter().any(|tool| tool.served.name == served.name) {
            return Err(Error::SameName { name: served.name });
        }
        if followers.iter().any(|tool| tool.shown.name == served.name) {
            return Err(Error::Reserved { name: served.name });
        }
        ready.push(Tool::new(served)?);
    }
    Ok((ready, followers))
}

struct Inner {
    runtime: Runtime,
    tools: Vec<Tool>,
    /// The tools of clients without Tasks.
    followers: Vec<Follower>,
    plain_wait: Duration,
    info: ServerConfig,
    views: Views,
}

struct Tool {
    served: Served,
    shown: rmcp::model::Tool,
    arguments: Arguments,
}

impl Server {
    /// A server of these tools, in this order.
    ///
    /// # Errors
    /// [`Error::SameName`], [`Error::Reserved`] and [`Error::Schema`].
    pub fn new(runtime: Runtime, tools: Vec<Served>, options: Options) -> Result<Self, Error> {
        let (tools, followers) = ready(tools)?;
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tasks().build();
        let name = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let mut info = ServerConfig::new(capabilities).with_server_info(name);
        info.instructions = options.instructions;
        let plain_wait = Duration::from_millis(options.plain_wait_ms);
        let views = Views::new(runtime.store().changes());
        let inner = Inner { runtime, tools, followers, plain_wait, info, views };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The requests of one client, until `stop` is cancelled.
    fn session(&self, stop: CancellationToken) -> Session {
        Session::new(Arc::clone(&self.inner), stop)
    }

    /// Serves the client on stdin and stdout until it goes away or `stop` is cancelled. Nothing else
    /// may write to stdout meanwhile.
    ///
    /// # Errors
    /// [`Error::Handshake`].
    pub async fn serve_stdio(&self, stop: CancellationToken) -> Result<(), Error> {
        let (stdin, stdout) = rmcp::transport::stdio_pipes();
        self.serve(stdin, stdout, stop).await
    }

    /// Serves one client on a pair of streams until it goes away or `stop` is cancelled.
    ///
    /// # Errors
    /// [`Error::Handshake`].
    pub async fn serve<R, W>(&self, read: R, write: W, stop: CancellationToken) -> Result<(), Error>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        // Whoever waits for a task stops when the client has gone: rmcp would let them wait on.
        let gone = stop.child_token();
        let session = self.session(gone.clone());
        let stdio = Stdio::new(read, write, gone);
        let running = session.serve_with_ct(stdio, stop.child_token()).await;
        match running {
            Ok(running) => {
                if let Err(error) = running.waiting().await {
                    tracing::error!(%error, "the connection to a client was broken off");
                }
                Ok(())
            }
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
                Ok(())
            }
            Err(error) => Err(Error::Handshake(error.to_string())),
        }
    }
}

impl Tool {
    fn new(served: Served) -> Result<Self, Error> {
        let bad = |which, why| Error::Schema { tool: served.name.clone(), which, why };
        let object = |which, schema: &Payload| {
            let schema = schema.read::<Map<String, Value>>();
            schema.map_err(|error| bad(which, error.to_string()))
        };
        let input = object("input", &served.input_schema)?;
        let output =
            served.output_schema.as_ref().map(|schema| object("output", schema)).transpose()?;
        let arguments =
            Arguments::new(&Value::Object(input.clone())).map_err(|why| bad("input", why))?;
        let description = served.description.clone().map(Into::into);
        let mut shown = rmcp::model::Tool::new_with_raw(served.name.clone(), description, input);
        shown.title = served.title.clone();
        shown.output_schema = output.map(Arc::new);
        Ok(Self { served, shown, arguments })
    }
}
