//! What the parts of one runtime share: its journal, clock and functions, and the tasks that it runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::live::{Halt, Live};
use super::own::Own;
use super::runtime::{Builder, Runtime};
use super::{Clock, Entropy, Function, StandIn};
use crate::journal::{Lease, RunnerId, Store, TaskId};

pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) functions: HashMap<String, Arc<dyn Function>>,
    /// What answers steps in the place of the world.
    pub(super) stand_in: Option<Arc<dyn StandIn>>,
    pub(super) stop: CancellationToken,
    /// Drops what has not stopped in time.
    pub(super) give_up: CancellationToken,
    pub(super) entropy: Entropy,
    pub(super) runner: RunnerId,
    /// The async runtime that this one was started in. Its tasks run there, whoever starts them and
    /// wherever.
    pub(super) tokio: Handle,
    /// When the leases were last renewed, in Unix milliseconds.
    pub(super) renewed_at_ms: AtomicI64,
    /// When due tasks were last claimed; dead runners are found on the way.
    pub(super) claimed_at: Mutex<Option<Instant>>,
    /// Whether leases may have been lost that live tasks still rely on.
    pub(super) leases_in_question: AtomicBool,
    /// The names of `functions`, as the store wants them.
    pub(super) names: Vec<String>,
    pub(super) live: Mutex<HashMap<TaskId, Arc<Live>>>,
    pub(super) drivers: TaskTracker,
    /// Places that are kept for tasks that are being created.
    pub(super) beginning: AtomicUsize,
    /// The scheduler, which may be about to take up a task.
    pub(super) scheduler: TaskTracker,
    /// Tells the scheduler that something is due, or that a place is free.
    pub(super) look: Notify,
    /// Whose tasks this runtime runs.
    pub(super) own: Own,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("runner", &self.runner).finish_non_exhaustive()
    }
}

impl Shared {
    /// Must be called within tokio.
    pub(super) fn new(parts: Builder, runner: RunnerId) -> Self {
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
            tokio: Handle::current(),
            renewed_at_ms: AtomicI64::new(0),
            claimed_at: Mutex::default(),
            leases_in_question: AtomicBool::new(false),
            names,
            live: Mutex::default(),
            drivers: TaskTracker::new(),
            beginning: AtomicUsize::new(0),
            scheduler: TaskTracker::new(),
            look: Notify::new(),
            own: Own::new(only_own),
        }
    }

    /// What a task needs that only reads this store: no runner is known by it, and nothing runs.
    pub(super) fn reading(store: Arc<dyn Store>) -> Self {
        Self::new(Runtime::builder(store).only_own(), RunnerId::from_bits(0))
    }

    /// Takes a task in, where this runtime runs those only. Others it hears of from the journal.
    pub(super) fn adopt(&self, task: TaskId) {
        if self.own.adopt(task) {
            self.look.notify_one();
        }
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

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the journal was asked for due tasks within this time.
    pub(super) fn has_claimed_within(&self, time: Duration) -> bool {
        let claimed_at = *self.claimed_at.lock().unwrap_or_else(PoisonError::into_inner);
        claimed_at.is_some_and(|at| at.elapsed() < time)
    }

    /// Notes that the journal was asked just now.
    pub(super) fn note_claim(&self) {
        *self.claimed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn all_live(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }
}
