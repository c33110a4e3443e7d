//! The runtime: claims due tasks, drives them side by side, and stops cleanly.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::function::function;
use super::live::{Halt, Live};
use super::own::Own;
use super::{Clock, Context, Entropy, Fork, Function, StandIn, SystemClock, TimeLimit, drive};
use crate::journal::{
    Created, End, Error, Failure, Lease, NewTask, Payload, Renewal, Result, RunnerId, Sent, Signal,
    Store, Task, TaskId,
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

pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) functions: HashMap<String, Arc<dyn Function>>,
    /// What answers steps in the place of the world.
    pub(super) stand_in: Option<Arc<dyn StandIn>>,
    pub(super) stop: CancellationToken,
    /// Drops what has not stopped in time.
    give_up: CancellationToken,
    entropy: Entropy,
    runner: RunnerId,
    /// When the leases were last renewed, in Unix milliseconds.
    renewed_at_ms: AtomicI64,
    /// Whether leases may have been lost that live tasks still rely on.
    leases_in_question: AtomicBool,
    /// The names of `functions`, as the store wants them.
    names: Vec<String>,
    live: Mutex<HashMap<TaskId, Arc<Live>>>,
    pub(super) drivers: TaskTracker,
    /// The scheduler, which may be about to take up a task.
    scheduler: TaskTracker,
    /// Tells the scheduler that something is due, or that a place is free.
    look: Notify,
    /// Whose tasks this runtime runs.
    pub(super) own: Own,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("runner", &self.runner).finish_non_exhaustive()
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
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Entropy,
    functions: HashMap<String, Arc<dyn Function>>,
    stand_in: Option<Arc<dyn StandIn>>,
    only_own: bool,
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
        };
        let looks = Task::created(&task);
        let created = shared.store.create(task).await?;
        let id = created.id();
        shared.own.adopt(id);
        shared.look.notify_one();
        Ok((id, matches!(created, Created::New(_)).then_some(looks)))
    }

    /// Takes a task among those that a runtime of [its own tasks only](Builder::only_own) runs.
    pub fn adopt(&self, task: TaskId) {
        self.shared.own.adopt(task);
        self.shared.look.notify_one();
    }

    /// Asks a task to stop. It stops wherever it runs; one that nobody runs is ended here and now.
    ///
    /// # Errors
    /// As [`Store::signal`].
    pub async fn cancel(&self, task: TaskId, reason: Option<String>) -> Result<Sent> {
        let shared = &self.shared;
        let now_ms = shared.clock.now_ms();
        let sent = shared.store.signal(task, Signal::Cancel { reason }, now_ms).await?;
        // A lease of this process is left as it is: its driver hears of the signal by itself.
        let known = shared.store.task(task).await?;
        let ours = known.is_some_and(|task| task.runner == Some(shared.runner));
        if sent == Sent::Delivered && !ours {
            // A claim makes a runner known again, and would hide that it had lost its leases.
            shared.renew_if_overdue().await?;
            if let Some(lease) = shared.store.claim_one(shared.runner, task, now_ms).await? {
                shared.drive(lease);
            }
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

impl Shared {
    fn new(parts: Builder, runner: RunnerId) -> Self {
        let Builder { store, clock, entropy, functions, stand_in, only_own } = parts;
        let mut names: Vec<_> = functions.keys().cloned().collect();
        names.sort();
        Self {
            store,
            clock,
            functions,
            stand_in,
            stop: CancellationToken::new(),
            give_up: CancellationToken::new(),
            entropy,
            runner,
            renewed_at_ms: AtomicI64::new(0),
            leases_in_question: AtomicBool::new(false),
            names,
            live: Mutex::default(),
            drivers: TaskTracker::new(),
            scheduler: TaskTracker::new(),
            look: Notify::new(),
            own: Own::new(only_own),
        }
    }

    /// What a task needs that only reads this store: no runner is known by it, and nothing runs.
    pub(super) fn reading(store: Arc<dyn Store>) -> Self {
        Self::new(Runtime::builder(store).only_own(), RunnerId::from_bits(0))
    }

    pub(super) fn insert(&self, live: Arc<Live>) {
        if self.stop.is_cancelled() {
            live.stopping.send_replace(true);
        }
        let mut all = self.lock();
        // Two looks at the journal may have taken the task up one after the other, and whoever holds
        // the older lease comes last.
        if all.get(&live.lease.task).is_some_and(|newer| newer.lease.epoch > live.lease.epoch) {
            live.halt(Halt::LeaseLost);
        } else if let Some(former) = all.insert(live.lease.task, live) {
            former.halt(Halt::LeaseLost);
        }
    }

    /// Forgets the task, unless it lives on under a newer lease.
    pub(super) fn remove(&self, lease: &Lease) {
        let mut live = self.lock();
        if live.get(&lease.task).is_some_and(|live| live.lease == *lease) {
            live.remove(&lease.task);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_live(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }

    async fn renew(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let until_ms = now_ms.saturating_add_unsigned(limits::LEASE_MS);
        let renewal = self.store.renew(self.runner, until_ms).await?;
        self.renewed_at_ms.store(now_ms, Ordering::Relaxed);
        if renewal == Renewal::Afresh {
            self.leases_in_question.store(true, Ordering::Relaxed);
        }
        if self.leases_in_question.load(Ordering::Relaxed) {
            self.let_go().await?;
            self.leases_in_question.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Halts every task whose lease is not held any more: what it has under way is dropped now, and
    /// not only when its outcome is refused.
    async fn let_go(&self) -> Result<()> {
        for live in self.all_live() {
            let Lease { task, runner, epoch } = live.lease;
            let found = self.store.task(task).await?;
            if found.is_none_or(|found| (found.runner, found.epoch) != (Some(runner), epoch)) {
                live.halt(Halt::LeaseLost);
            }
        }
        Ok(())
    }

    /// Renews the leases where that is overdue: a process that was stopped for a while must not take
    /// up tasks on leases that have run out.
    async fn renew_if_overdue(&self) -> Result<()> {
        let since_ms = self.clock.now_ms() - self.renewed_at_ms.load(Ordering::Relaxed);
        if since_ms.unsigned_abs() > 2 * limits::LEASE_RENEW_MS {
            self.renew().await?;
        }
        Ok(())
    }

    /// Renews the leases and removes what has expired.
    async fn keep_house(self: Arc<Self>) {
        const PURGED_AT_ONCE: usize = 100;
        let mut renewals: u64 = 0;
        let mut tick = tokio::time::interval(Duration::from_millis(limits::LEASE_RENEW_MS));
        while self.stop.run_until_cancelled(tick.tick()).await.is_some() {
            match self.renew().await {
                Err(Error::Closed) => return,
                Err(error) => warn!(%error, "cannot renew the leases"),
                Ok(()) => {}
            }
            renewals += 1;
            if renewals % (limits::PURGE_EVERY_MS / limits::LEASE_RENEW_MS) != 1 {
                continue;
            }
            match self.store.purge(self.clock.now_ms(), PURGED_AT_ONCE).await {
                Err(Error::Closed) => return,
                Err(error) => warn!(%error, "cannot remove expired tasks"),
                Ok(_) => {}
            }
        }
    }

    /// Takes up what is due, and tells live tasks of their signals, until the runtime stops.
    async fn schedule(self: Arc<Self>) {
        let mut changes = self.store.changes();
        let retry = Duration::from_millis(limits::JOURNAL_RETRY_MS);
        // Said once, and not every half second for as long as it lasts.
        let mut told = false;
        while !self.stop.is_cancelled() {
            changes.mark_unchanged();
            let next_due_ms = match self.look().await {
                Ok(next_due_ms) => {
                    told = false;
                    next_due_ms
                }
                Err(Error::Closed) => return,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(%error, "cannot look for due tasks");
                    }
                    tokio::time::sleep(retry).await;
                    continue;
                }
            };
            let due = async {
                match next_due_ms {
                    Some(at_ms) => self.clock.sleep_until(at_ms).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.look.notified() => {}
                () = due => {}
                () = tokio::time::sleep(Duration::from_millis(limits::LEASE_RENEW_MS)) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// One look at the journal. Returns when the next parked task is due, where there is a place
    /// for it.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Option<i64>> {
        for (task, count) in self.store.nudged(self.runner).await? {
            if let Some(live) = self.lock().get(&task) {
                live.nudges
                    .send_if_modified(|known| count > std::mem::replace(known, count.max(*known)));
            }
        }
        let places = limits::LIVE_TASKS.saturating_sub(self.drivers.len());
        if places == 0 {
            return Ok(None);
        }
        self.renew_if_overdue().await?;
        let now_ms = self.clock.now_ms();
        match self.own.only() {
            None => {
                for lease in self.store.claim(self.runner, &self.names, now_ms, places).await? {
                    self.drive(lease);
                }
                self.store.next_due(&self.names).await
            }
            Some(own) => self.claim_own(own, now_ms).await,
        }
    }

    /// Drives a task on the side. Every lease comes here at once: one that is dropped is held by
    /// this process and run by nobody.
    fn drive(self: &Arc<Self>, lease: Lease) {
        let shared = Arc::clone(self);
        self.own.begun(lease.task);
        self.drivers.spawn(async move {
            let driven = drive::drive(Arc::clone(&shared), lease);
            shared.give_up.run_until_cancelled(driven).await;
            shared.own.let_go(lease.task);
            shared.look.notify_one();
        });
    }

    async fn claim_own(self: &Arc<Self>, own: Vec<TaskId>, now_ms: i64) -> Result<Option<i64>> {
        let mut next_due_ms = None;
        for id in own {
            match self.store.task(id).await? {
                Some(task) if !task.status.is_ended() => match task.wake_at_ms {
                    // A child that only others can run is theirs to claim.
                    _ if !self.functions.contains_key(&task.function) => {}
                    // A runner that died leaves its tasks without a time to wake at.
                    None if task.runner == Some(self.runner) => {}
                    Some(at_ms) if at_ms > now_ms => {
                        next_due_ms = Some(next_due_ms.map_or(at_ms, |due: i64| due.min(at_ms)));
                    }
                    Some(_) | None if task.runner.is_some() || task.wake_at_ms.is_some() => {
                        let lease = self.store.claim_one(self.runner, id, now_ms).await?;
                        lease.into_iter().for_each(|lease| self.drive(lease));
                    }
                    _ => {}
                },
                _ => self.own.has_ended(id),
            }
        }
        Ok(next_due_ms)
    }
}
