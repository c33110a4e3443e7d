//! Tools of other MCP servers: the [`Toolbox`] of the agent's room.
//!
//! ```text
//! Downstream ── one Connection per (name, configuration) ── Wire ─┬─ ChildTransport    stdio
//!                                                                 └─ rmcp's            HTTP
//! ```
//!
//! A call is one attempt and never a second one: what may be tried again is for the step above to
//! decide, by the kind of the failure. So the one thing this code must get right is that kind.

mod child;
mod connection;
mod expand;
mod outcome;
mod tools;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};
use tokio_util::sync::CancellationToken;

use self::connection::Connection;
use self::expand::expand;
use crate::agent::expand::Env;
use crate::agent::{Invocation, ServerConfig, Servers, Tool, ToolOutput, Toolbox};
use crate::journal::Failure;
use crate::limits;

/// How long tool servers are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a start with its handshake, in milliseconds.
    pub start_ms: u64,
    /// For one call, in milliseconds.
    pub call_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { start_ms: limits::SERVER_START_MS, call_ms: limits::TOOL_CALL_MS }
    }
}

type Opening = Shared<BoxFuture<'static, Result<Arc<Connection>, Failure>>>;

/// The connections to all tool servers, shared by all tasks.
///
/// A server is started at its first use, and again at the next use after it has died. Two agents
/// that describe it alike share one.
pub struct Downstream {
    env: Arc<Env>,
    timeouts: Timeouts,
    /// The newest attempt at each, done or not.
    pool: Mutex<HashMap<(String, ServerConfig), Opening>>,
    stopping: CancellationToken,
}

impl Downstream {
    /// `env` looks up the variables of `${VAR}` in configurations.
    pub fn new(env: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::with_timeouts(env, Timeouts::default())
    }

    /// The same, with other bounds on waiting.
    pub fn with_timeouts(
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        timeouts: Timeouts,
    ) -> Self {
        let (pool, stopping) = Default::default();
        Self { env: Arc::new(env), timeouts, pool, stopping }
    }

    /// Closes all connections, and stops and reaps the servers that are programs. Calls in flight
    /// are lost; later ones are refused.
    pub async fn close(&self) {
        self.stopping.cancel();
        let pool = std::mem::take(&mut *self.pool.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(pool.into_values().map(|opening| async {
            if let Ok(connection) = opening.await {
                connection.close().await;
            }
        }))
        .await;
    }

    /// The live connection to a server: the one there is, the one being opened, or a new one.
    async fn connection(
        &self,
        server: &str,
        config: &ServerConfig,
    ) -> Result<Arc<Connection>, Failure> {
        let key = (server.to_owned(), config.clone());
        let opening = {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            match pool.get(&key) {
                Some(opening) if usable(opening) => opening.clone(),
                _ => {
                    let opening = self.open(server, config)?;
                    pool.insert(key, opening.clone());
                    opening
                }
            }
        };
        opening.await
    }

    /// Begins to open a connection. It goes on whoever waits: half-started servers are of no use.
    fn open(&self, server: &str, config: &ServerConfig) -> Result<Opening, Failure> {
        if self.stopping.is_cancelled() {
            return Err(stopping(server));
        }
        let name = server.to_owned();
        let config = expand(server, config, &*self.env)?;
        let opening = Connection::open(name.clone(), config, self.timeouts);
        let token = self.stopping.clone();
        let task = tokio::spawn(async move {
            match token.run_until_cancelled(opening).await {
                Some(connection) => connection.map(Arc::new),
                None => Err(stopping(&name)),
            }
        });
        let opening = async {
            task.await.unwrap_or_else(|error| {
                Err(Failure::transient(format!("opening a tool server was broken off: {error}")))
            })
        };
        Ok(opening.boxed().shared())
    }
}

/// Whether an attempt is under way, or has made a connection that still lives.
fn usable(opening: &Opening) -> bool {
    match opening.peek() {
        None => true,
        Some(Ok(connection)) => connection.is_alive(),
        Some(Err(_)) => false,
    }
}

fn stopping(server: &str) -> Failure {
    Failure::transient(format!("tool server {server:?} is not started: relight is stopping"))
}

#[async_trait]
impl Toolbox for Downstream {
    async fn list(&self, servers: &Servers) -> Result<Vec<Tool>, Failure> {
        let lists = join_all(
            servers
                .iter()
                .map(async |(server, config)| self.connection(server, config).await?.list().await),
        )
        .await;
        let mut tools = Vec::new();
        for list in lists {
            tools.extend(list?);
        }
        Ok(tools)
    }

    async fn call(&self, call: Invocation<'_>) -> Result<ToolOutput, Failure> {
        let Invocation { servers, server, tool, arguments, idempotency_key } = call;
        let Some(config) = servers.get(server) else {
            return Err(Failure::is_final(format!(
                "there is no tool server {server:?}; the agent has: {}",
                servers.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )));
        };
        let connection = self.connection(server, config).await?;
        connection.call(tool, arguments, idempotency_key).await
    }
}
