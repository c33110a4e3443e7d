//! The runtime as its users see it: it is built, starts tasks, cancels and waits for them, and stops
//! cleanly.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use super::function::function;
use super::shared::Shared;
use super::{Clock, Context, Entropy, Fork, Function, StandIn, SystemClock, TimeLimit};
use crate::journal::{
    End, Error, Failure, NewTask, Payload, Result, Sent, Signal, Store, Task, TaskId,
};
use crate::limits;

/// Runs the tasks of a journal. Cheap to clone; all clones are one runtime.
#[derive(Clone)]
pub struct Runtime {
    pub(super) shared: Arc<Shared>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("runner", &self.shared.runner).finish_non_exhaustive()
    }
}

/// A task to start.
#[derive(Debug, Clone)]
pub struct StartTask {
    /// The registered function.
    pub function: String,
    /// What people call the task.
    pub name: String,
    /// What it is called with.
    pub input: Payload,
    /// What it is pinned to.
    pub definition: Option<Payload>,
    /// Whose it is.
    pub owner: Option<String>,
    /// How many tasks of the owner may be under way, this one among them; `None` for any number.
    pub owner_tasks_max: Option<usize>,
    /// A second start with the same key and owner finds the first one's task.
    pub idempotency_key: Option<String>,
    /// How long it is kept from its creation; `None` keeps it until it is removed.
    pub ttl_ms: Option<u64>,
    /// How long it may take; `None` for as long as it wants.
    pub time_limit: Option<TimeLimit>,
    /// What it takes over from another task: see [`fork`](super::fork()).
    pub fork: Option<Fork>,
}

impl StartTask {
    /// A task of this function, kept for [`limits::TASK_TTL_MS`].
    pub fn new(function: impl Into<String>, name: impl Into<String>, input: Payload) -> Self {
        Self {
            function: function.into(),
            name: name.into(),
            input,
            definition: None,
            owner: None,
            owner_tasks_max: None,
            idempotency_key: None,
            ttl_ms: Some(limits::TASK_TTL_MS),
            time_limit: None,
            fork: None,
        }
    }
}

/// Collects what a runtime is made of.
pub struct Builder {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Entropy,
    pub(super) functions: HashMap<String, Arc<dyn Function>>,
    pub(super) stand_in: Option<Arc<dyn StandIn>>,
    pub(super) only_own: bool,
}

impl Builder {
    /// Registers an `async fn(Context, In) -> Result<Out, Failure>` under a name.
    #[must_use]
    pub fn function<F, In, Out, Fut>(self, name: impl Into<String>, code: F) -> Self
    where
        F: Fn(Context, In) -> Fut + Send + Sync + 'static,
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        Fut: Future<Output = std::result::Result<Out, Failure>> + Send + 'static,
    {
        self.register(name, function(code))
    }

    /// Registers a function of any kind under a name.
    #[must_use]
    pub fn register(mut self, name: impl Into<String>, function: Arc<dyn Function>) -> Self {
        self.functions.insert(name.into(), function);
        self
    }

    /// Runs only what is started or [adopted](Runtime::adopt) through this runtime, and the children
    /// of that, instead of every unfinished task of the journal.
    #[must_use]
    pub fn only_own(mut self) -> Self {
        self.only_own = true;
        self
    }

    /// Asks this about every step before it first runs: it may answer in the place of the world.
    #[must_use]
    pub fn stand_in(mut self, stand_in: Arc<dyn StandIn>) -> Self {
        self.stand_in = Some(stand_in);
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of ids and seeds than the operating system.
    #[must_use]
    pub fn entropy(mut self, entropy: Entropy) -> Self {
        self.entropy = entropy;
        self
    }

    /// Starts the runtime: it takes up every unfinished task of its functions that no live process
    /// has, and goes on doing so. Must be called within tokio.
    ///
    /// # Errors
    /// When the journal cannot be written, or the operating system has no random bits.
    pub async fn start(self) -> Result<Runtime> {
        let runner = self.entropy.runner_id().map_err(|error| no_entropy(&error))?;
        let shared = Arc::new(Shared::new(self, runner));
        shared.renew().await?;
        let runtime = Runtime { shared: Arc::clone(&shared) };
        tokio::spawn(Arc::clone(&shared).keep_house());
        shared.scheduler.spawn(Arc::clone(&shared).schedule());
        shared.scheduler.close();
        Ok(runtime)
    }
}

fn no_entropy(error: &getrandom::Error) -> Error {
    Error::Unavailable {
        operation: "write",
        why: format!("the operating system gives no random bits: {error}"),
    }
}

impl Runtime {
    /// A runtime over a journal, with the machine's clock and randomness and no functions.
    pub fn builder(store: Arc<dyn Store>) -> Builder {
        Builder {
            store,
            clock: Arc::new(SystemClock),
            entropy: Entropy::system(),
            functions: HashMap::new(),
            stand_in: None,
            only_own: false,
        }
    }

    /// Commits a new task and returns its id; it runs by itself from then on, here or in another
    /// process.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub async fn start(&self, new: StartTask) -> Result<TaskId> {
        self.create(new).await.map(|(id, _)| id)
    }

    /// As [`Runtime::start`], and tells how a new task looks, without another look at the journal;
    /// `None` where the idempotency key stands for a task that was there already.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub async fn create(&self, new: StartTask) -> Result<(TaskId, Option<Task>)> {
        let shared = &self.shared;
        let StartTask {
            function,
            name,
            input,
            definition,
            owner,
            owner_tasks_max,
            idempotency_key,
            ttl_ms,
            time_limit,
            fork,
        } = new;
        let (seed, past) = match fork {
            Some(Fork { seed, events, .. }) => (seed, events),
            None => (shared.entropy.number().map_err(|error| no_entropy(&error))?, Vec::new()),
        };
        let now_ms = shared.clock.now_ms();
        let task = NewTask {
            id: shared.entropy.task_id().map_err(|error| no_entropy(&error))?,
            function,
            name,
            input,
            definition,
            seed,
            parent: None,
            owner,
            owner_tasks_max,
            idempotency_key,
            ttl_ms,
            deadline: time_limit.map(|limit| limit.from(now_ms)),
            past,
            created_at_ms: now_ms,
            runner: None,
        };
        shared.begin(task).await
    }

    /// Takes a task among those that a runtime of [its own tasks only](Builder::only_own) runs.
    pub fn adopt(&self, task: TaskId) {
        self.shared.adopt(task);
    }

    /// Asks a task to stop. It stops wherever it runs; one that nobody runs is ended here and now.
    ///
    /// # Errors
    /// As [`Store::signal`].
    pub async fn cancel(&self, task: TaskId, reason: Option<String>) -> Result<Sent> {
        let shared = &self.shared;
        let now_ms = shared.clock.now_ms();
        let sent = shared.store.signal(task, Signal::Cancel { reason }, now_ms).await?;
        if sent == Sent::Delivered
            && let Some(task) = shared.store.task(task).await?
        {
            shared.take_up_if_idle(&task).await?;
        }
        Ok(sent)
    }

    /// Waits for a task's end, whoever runs it.
    ///
    /// # Errors
    /// [`Error::UnknownTask`], or when the journal cannot be read.
    pub async fn wait(&self, task: TaskId) -> Result<End> {
        let mut changes = self.shared.store.changes();
        loop {
            changes.mark_unchanged();
            if let Some(end) = self.shared.store.end(task).await? {
                return Ok(end);
            }
            if self.shared.store.task(task).await?.is_none() {
                return Err(Error::UnknownTask { task });
            }
            if changes.changed().await.is_err() {
                return Err(Error::Closed);
            }
        }
    }

    /// Checks that the journal can be written and read, by renewing the leases and looking for what
    /// is due.
    ///
    /// # Errors
    /// What the journal says, or [`Error::Closed`] once the runtime stops.
    pub async fn check(&self) -> Result<()> {
        let shared = &self.shared;
        if shared.stop.is_cancelled() {
            return Err(Error::Closed);
        }
        shared.renew().await?;
        shared.store.next_due(&shared.names).await.map(|_| ())
    }

    /// The journal.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// The runtime's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Stops: no step begins any more, steps under way get [`limits::SHUTDOWN_GRACE_MS`] to end and
    /// be recorded and are dropped then, and every task is left to be taken up at once by the next
    /// process.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.stop.cancel();
        for live in shared.all_live() {
            live.stopping.send_replace(true);
        }
        shared.drivers.close();
        let grace = Duration::from_millis(limits::SHUTDOWN_GRACE_MS);
        let stopped = async {
            // A task that it takes up after the leases are given back would be held by nobody.
            shared.scheduler.wait().await;
            shared.drivers.wait().await;
        };
        if tokio::time::timeout(grace, stopped).await.is_err() {
            warn!(
                "steps were still under way after {} ms; they are in doubt now",
                limits::SHUTDOWN_GRACE_MS
            );
            // Nothing of them may go on once another process can take the tasks up. Only code that
            // blocks its thread does, and is not waited for any longer.
            shared.give_up.cancel();
            let _ = tokio::time::timeout(grace, shared.drivers.wait()).await;
        }
        if let Err(error) = shared.store.retire(shared.runner).await {
            debug!(%error, "the leases are left to run out");
        }
    }
}
