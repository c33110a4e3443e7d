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
mod desk;
mod expand;
mod http;
mod in_flight;
mod opening;
mod outcome;
mod seam;
mod tasks;
mod tools;
mod wire;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};
use tokio_util::sync::CancellationToken;

use self::connection::Connection;
use self::expand::expand;
use crate::agent::expand::Env;
use crate::agent::{
    Called, Invocation, People, RemoteTask, ServerConfig, Servers, TaskNews, Tool, Toolbox,
};
use crate::durable::{Answer, Look};
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

/// What is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    server: String,
    config: ServerConfig,
    /// A session that another process has begun, and that has a task in it.
    session: Option<String>,
}

/// The connections to all tool servers, shared by all tasks.
///
/// A server is started at its first use, and again at the next use after it has died. Two agents
/// that describe it alike share one.
pub struct Downstream {
    env: Arc<Env>,
    timeouts: Timeouts,
    /// The newest attempt at each, done or not.
    pool: Mutex<HashMap<Target, Opening>>,
    /// Sessions of others that could not be taken up.
    gone: Mutex<HashSet<String>>,
    stopping: CancellationToken,
}

impl Downstream {
    /// `env` looks up the variables of `${VAR}` in configurations, and the few that programs are given
    /// without being named there, such as `PATH`.
    pub fn new(env: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::with_timeouts(env, Timeouts::default())
    }

    /// The same, with other bounds on waiting.
    pub fn with_timeouts(
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        timeouts: Timeouts,
    ) -> Self {
        let (pool, gone, stopping) = Default::default();
        Self { env: Arc::new(env), timeouts, pool, gone, stopping }
    }

    /// Closes all connections, and stops and reaps the servers that are programs. Calls in flight
    /// are lost; later ones are refused.
    pub async fn close(&self) {
        self.stopping.cancel();
        let pool = std::mem::take(&mut *self.pool());
        join_all(pool.into_values().map(|opening| async {
            if let Ok(connection) = opening.await {
                connection.close().await;
            }
        }))
        .await;
    }

    /// The connection that calls go over.
    async fn to_call(&self, servers: &Servers, server: &str) -> Result<Arc<Connection>, Failure> {
        self.connection(Target::new(servers, server)?).await
    }

    /// The connection over which a task can be found again.
    async fn to_follow(
        &self,
        servers: &Servers,
        task: &RemoteTask,
    ) -> Result<Arc<Connection>, Failure> {
        let target = Target::new(servers, &task.server)?;
        let Some(session) = task.session.clone().filter(|session| !self.is_gone(session)) else {
            return self.connection(target).await;
        };
        let ours = self.pool().get(&target).and_then(|opening| opening.peek().cloned());
        if let Some(Ok(connection)) = ours
            && connection.is_alive()
            && connection.session.id().as_ref() == Some(&session)
        {
            return Ok(connection);
        }
        let taken_up = self.connection(Target { session: Some(session), ..target }).await;
        if taken_up.is_err() {
            self.is_of_no_use(task);
        }
        taken_up
    }

    /// Makes a note of a session of another process over which a request has failed: its task is looked
    /// for over our own connection from then on.
    fn note<T>(
        &self,
        task: &RemoteTask,
        connection: &Connection,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        if outcome.is_err() && connection.session.is_taken_up() {
            self.is_of_no_use(task);
        }
        outcome
    }

    fn is_of_no_use(&self, task: &RemoteTask) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if gone.len() == limits::GONE_SESSIONS {
            gone.clear();
        }
        gone.extend(task.session.clone());
    }

    fn is_gone(&self, session: &str) -> bool {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).contains(session)
    }

    fn pool(&self) -> MutexGuard<'_, HashMap<Target, Opening>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live connection to a server: the one there is, the one being opened, or a new one.
    async fn connection(&self, target: Target) -> Result<Arc<Connection>, Failure> {
        let opening = {
            let mut pool = self.pool();
            match pool.get(&target) {
                Some(opening) if usable(opening) => opening.clone(),
                _ => {
                    let opening = self.open(&target)?;
                    make_room(&mut pool);
                    pool.insert(target, opening.clone());
                    opening
                }
            }
        };
        opening.await
    }

    /// Begins to open a connection. It goes on whoever waits: half-started servers are of no use.
    fn open(&self, target: &Target) -> Result<Opening, Failure> {
        let Target { server, config, session } = target.clone();
        if self.stopping.is_cancelled() {
            return Err(stopping(&server));
        }
        let config = expand(&server, &config, &*self.env)?;
        let (name, timeouts) = (server.clone(), self.timeouts);
        let opening = async move {
            match session {
                None => Connection::open(name, config, timeouts).await,
                Some(session) => Connection::take_up(name, config, timeouts, session).await,
            }
        };
        let token = self.stopping.clone();
        let task = tokio::spawn(async move {
            match token.run_until_cancelled(opening).await {
                Some(connection) => connection.map(Arc::new),
                None => Err(stopping(&server)),
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

impl Target {
    fn new(servers: &Servers, server: &str) -> Result<Self, Failure> {
        let config = servers.get(server).ok_or_else(|| {
            Failure::is_final(format!(
                "there is no tool server {server:?}; the agent has: {}",
                servers.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            ))
        })?;
        Ok(Self { server: server.to_owned(), config: config.clone(), session: None })
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

/// Forgets connections that are lost, and those to sessions of others that nobody uses now where there
/// are many: whoever follows a task in one takes it up again.
fn make_room(pool: &mut HashMap<Target, Opening>) {
    pool.retain(|_, opening| usable(opening));
    let taken_up = pool.keys().filter(|target| target.session.is_some()).count();
    if taken_up >= limits::TAKEN_UP_SESSIONS {
        pool.retain(|target, opening| target.session.is_none() || is_used(opening));
    }
}

/// Whether an attempt is under way, or somebody makes a request over its connection.
fn is_used(opening: &Opening) -> bool {
    match opening.peek() {
        None => true,
        Some(Ok(connection)) => Arc::strong_count(connection) > 1,
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
            servers.keys().map(async |server| self.to_call(servers, server).await?.list().await),
        )
        .await;
        let mut tools = Vec::new();
        for list in lists {
            tools.extend(list?);
        }
        Ok(tools)
    }

    async fn call(&self, call: Invocation<'_>) -> Result<Called, Failure> {
        self.to_call(call.servers, call.server).await?.call(&call).await
    }

    async fn call_with(
        &self,
        call: Invocation<'_>,
        people: &dyn People,
    ) -> Result<Called, Failure> {
        self.to_call(call.servers, call.server).await?.call_with(&call, people).await
    }

    async fn look(
        &self,
        servers: &Servers,
        task: &RemoteTask,
        answered: &[String],
    ) -> Result<Look<TaskNews>, Failure> {
        let connection = self.to_follow(servers, task).await?;
        self.note(task, &connection, connection.look(task, answered).await)
    }

    async fn asks(&self, servers: &Servers, task: &RemoteTask, key: &str) -> Result<bool, Failure> {
        let connection = self.to_follow(servers, task).await?;
        self.note(task, &connection, connection.asks(task, key).await)
    }

    async fn answer(
        &self,
        servers: &Servers,
        task: &RemoteTask,
        key: &str,
        answer: &Answer,
    ) -> Result<(), Failure> {
        let connection = self.to_follow(servers, task).await?;
        self.note(task, &connection, connection.answer(task, key, answer).await)
    }

    async fn cancel(&self, servers: &Servers, task: &RemoteTask) -> Result<(), Failure> {
        let connection = self.to_follow(servers, task).await?;
        self.note(task, &connection, connection.cancel(task).await)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::agent::TaskDialect;

    #[tokio::test]
    async fn sessions_of_others_that_nobody_uses_are_forgotten_where_there_are_many() {
        let tools = Downstream::new(|_| None);
        // No server is needed: hands are shaken without it.
        let url = "http://127.0.0.1:9/mcp".to_owned();
        let config = ServerConfig::Http { url, headers: BTreeMap::new() };
        let servers = Servers::from([("jobs".to_owned(), config)]);
        let task = |session: usize| RemoteTask {
            server: "jobs".to_owned(),
            id: "t1".to_owned(),
            dialect: TaskDialect::Experimental,
            poll_interval_ms: None,
            ttl_ms: None,
            session: Some(session.to_string()),
        };
        let used = tools.to_follow(&servers, &task(0)).await.unwrap();
        let idle = tools.to_follow(&servers, &task(1)).await.unwrap().closing.clone();
        for session in 2..=2 * limits::TAKEN_UP_SESSIONS {
            tools.to_follow(&servers, &task(session)).await.unwrap();
            assert!(tools.pool().len() <= limits::TAKEN_UP_SESSIONS);
        }
        let again = tools.to_follow(&servers, &task(0)).await.unwrap();
        assert!(Arc::ptr_eq(&used, &again), "one that is used stays");
        assert!(idle.is_cancelled(), "its open questions are put away");
        tools.close().await;
    }
}
