//! The contract of a store.
//!
//! Nothing above this room may assume one file or one process: several processes share a journal,
//! and each sees the other's tasks. `tests/journal/store.rs` is the contract as a suite; a new
//! store is put under it and nowhere else.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Deadline, End, Event, Payload, Record, Result, RunnerId, TaskId};
use crate::limits;

/// Where a child task hangs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentLink {
    /// The parent.
    pub task: TaskId,
    /// The parent's step that waits for it.
    pub key: String,
    /// Levels above it: 1 for the child of a task that nobody called.
    pub depth: u32,
}

/// A task to be.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Its id, made by the caller of random bits.
    pub id: TaskId,
    /// The registered function that is to run it.
    pub function: String,
    /// What people call it.
    pub name: String,
    /// What it is called with.
    pub input: Payload,
    /// What it is pinned to.
    pub definition: Option<Payload>,
    /// Where its randomness comes from.
    pub seed: u64,
    /// Where it hangs, for a child.
    pub parent: Option<ParentLink>,
    /// Whose it is. `None` where there is only one user.
    pub owner: Option<String>,
    /// How many tasks of the owner may be under way, this one among them; `None` for any number.
    /// Children do not count.
    pub owner_tasks_max: Option<usize>,
    /// A second call with the same key and owner finds the first one's task.
    pub idempotency_key: Option<String>,
    /// How long to keep it, counted from its creation; a task that still runs is kept longer.
    /// `None` keeps it until it is removed by hand.
    pub ttl_ms: Option<u64>,
    /// When it must have ended; `None` where it may take as long as it wants.
    pub deadline: Option<Deadline>,
    /// What it has behind it already: the events that follow its first one. Empty but for a fork.
    pub past: Vec<Event>,
    /// Now, in Unix milliseconds.
    pub created_at_ms: i64,
    /// Who runs it from the first moment on, under its first lease. `None` leaves it to the claims.
    pub runner: Option<RunnerId>,
}

impl NewTask {
    /// What its history begins with.
    pub fn records(&self) -> Vec<Record> {
        let created = Event::TaskCreated {
            function: self.function.clone(),
            name: self.name.clone(),
            input: self.input.clone(),
            definition: self.definition.clone(),
            seed: self.seed,
            parent: self.parent.clone(),
            deadline: self.deadline.clone(),
        };
        let events = std::iter::once(created).chain(self.past.iter().cloned());
        let at_ms = self.created_at_ms;
        (0..).zip(events).map(|(seq, event)| Record { seq, at_ms, event }).collect()
    }

    /// The lease that it is created under.
    pub fn lease(&self) -> Option<Lease> {
        self.runner.map(|runner| Lease { task: self.id, runner, epoch: 1 })
    }
}

/// What became of a [`NewTask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is committed, under the lease of the runner that was named, or for anyone to claim.
    New(TaskId),
    /// The id or the idempotency key was there already; this is its task.
    Existing(TaskId),
}

impl Created {
    /// The task, either way.
    pub fn id(self) -> TaskId {
        match self {
            Self::New(id) | Self::Existing(id) => id,
        }
    }
}

/// A task's state as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It runs, or waits for a place, a timer or a child.
    Working,
    /// It waits for a person.
    InputRequired,
    /// It ended well.
    Completed,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It cannot go on with this code; its history is kept.
    Stopped,
}

impl Status {
    /// Whether nothing more will happen by itself.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Working | Self::InputRequired)
    }

    /// The stored and printed word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }
}

impl From<&End> for Status {
    fn from(end: &End) -> Self {
        match end {
            End::Completed(_) => Self::Completed,
            End::Failed(_) => Self::Failed,
            End::Cancelled(_) => Self::Cancelled,
            End::Stopped(_) => Self::Stopped,
        }
    }
}

/// What a store tells of a task without its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The function that runs it.
    pub function: String,
    /// What people call it.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// Where it hangs, for a child.
    pub parent: Option<ParentLink>,
    /// Its state.
    pub status: Status,
    /// What it is at, for a person.
    pub message: Option<String>,
    /// When it was created, in Unix milliseconds.
    pub created_at_ms: i64,
    /// When its status or message last changed, in Unix milliseconds.
    pub updated_at_ms: i64,
    /// How long it is kept, from its creation.
    pub ttl_ms: Option<u64>,
    /// When a parked task is due, in Unix milliseconds; `None` while it runs, waits for a signal
    /// only, or has ended.
    pub wake_at_ms: Option<i64>,
    /// Who runs it now.
    pub runner: Option<RunnerId>,
    /// The epoch of its newest lease, 0 before the first.
    pub epoch: u64,
    /// Whether a cancel was sent.
    pub cancel_requested: bool,
    /// How many events it has.
    pub events: u64,
}

impl Task {
    /// How a new task looks once it is committed.
    pub fn created(task: &NewTask) -> Self {
        Self {
            id: task.id,
            function: task.function.clone(),
            name: task.name.clone(),
            owner: task.owner.clone(),
            parent: task.parent.clone(),
            status: Status::Working,
            message: None,
            created_at_ms: task.created_at_ms,
            updated_at_ms: task.created_at_ms,
            ttl_ms: task.ttl_ms,
            wake_at_ms: task.runner.is_none().then_some(task.created_at_ms),
            runner: task.runner,
            epoch: task.lease().map_or(0, |lease| lease.epoch),
            cancel_requested: false,
            events: task.past.len() as u64 + 1,
        }
    }
}

/// The right to run one task now. Every append carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Who holds it.
    pub runner: RunnerId,
    /// Higher than that of every lease of the task before it.
    pub epoch: u64,
}

/// What became of a runner's leases when they were renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It holds what it held.
    Held,
    /// The runner was not known: it is new, or was taken for dead, and then holds none of the leases
    /// that it had before.
    Afresh,
}

/// When a released task is to be taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// As soon as somebody has a place for it.
    Now,
    /// At this time (Unix milliseconds), or earlier on a signal or news of a child.
    At(i64),
    /// On a signal or news of a child.
    OnSignal,
}

/// A word to a task from outside, which needs no lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Stop.
    Cancel {
        /// Why, for the history.
        reason: Option<String>,
    },
    /// An answer to a question.
    Answer {
        /// The question's key.
        key: String,
        /// The answer.
        value: Payload,
    },
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is committed, and wakes the task.
    Delivered,
    /// The task had already ended; nothing was written.
    AlreadyEnded,
}

/// Which tasks to list. Newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this owner (`Some(None)`: only of nobody).
    pub owner: Option<Option<String>>,
    /// Only in one of these states; empty for all.
    pub status: Vec<Status>,
    /// Only children of this task.
    pub parent: Option<TaskId>,
    /// Only ids that begin with these hex digits.
    pub id_prefix: Option<String>,
    /// Only what comes after this task in the listing.
    pub after: Option<TaskId>,
    /// At most so many.
    pub limit: usize,
}

/// All tasks that a filter lets through, newest first, however many there are: they are read page by
/// page, and the filter's own limit counts for nothing.
///
/// # Errors
/// As [`Store::tasks`].
pub async fn all_tasks(store: &dyn Store, filter: Filter) -> Result<Vec<Task>> {
    let limit = limits::TASK_PAGE;
    let mut page_of = Filter { limit, ..filter };
    let mut all = Vec::new();
    loop {
        let page = store.tasks(page_of.clone()).await?;
        let is_last = page.len() < limit;
        page_of.after = page.last().map(|task| task.id);
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// A durable, append-only log of tasks.
///
/// Every method that writes returns only after its write is on disk, and writes all of it or
/// nothing. All times are Unix milliseconds by the caller's clock.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Commits a new task with its [first events](NewTask::records): under its
    /// [lease](NewTask::lease) where it names a runner, and otherwise due at once.
    ///
    /// # Errors
    /// [`KeyReused`](super::Error::KeyReused) when the idempotency key (or the id) stands for a
    /// task of another function, name or input;
    /// [`TooManyTasks`](super::Error::TooManyTasks) when the owner has too many under way.
    async fn create(&self, task: NewTask) -> Result<Created>;

    /// Appends events, and sets the message that `tasks/get` shows where one is given.
    ///
    /// `records` continue the history without a gap. Records that are already there, to the letter,
    /// count as appended: an append whose reply was lost may be sent again. A record that ends the
    /// task also frees its lease; none may follow it. One that
    /// [concerns the parent](super::Event::concerns_parent) wakes it.
    ///
    /// # Errors
    /// [`LeaseLost`](super::Error::LeaseLost), [`Gap`](super::Error::Gap),
    /// [`TooLarge`](super::Error::TooLarge), [`Unavailable`](super::Error::Unavailable).
    async fn append(
        &self,
        lease: &Lease,
        records: Vec<Record>,
        message: Option<String>,
    ) -> Result<()>;

    /// A task's events from `from_seq` on, in order; empty for an unknown task.
    async fn history(&self, task: TaskId, from_seq: u64) -> Result<Vec<Record>>;

    /// One task; `None` where there is no such.
    async fn task(&self, task: TaskId) -> Result<Option<Task>>;

    /// How a task ended; `None` while it has not, or where there is no such.
    async fn end(&self, task: TaskId) -> Result<Option<End>>;

    /// Tasks, newest first.
    async fn tasks(&self, filter: Filter) -> Result<Vec<Task>>;

    /// Makes this runner known and its leases good until `until_ms`; again and again while it
    /// lives.
    async fn renew(&self, runner: RunnerId, until_ms: i64) -> Result<Renewal>;

    /// Takes leases on up to `limit` tasks that are due at `now_ms` and that one of `functions`
    /// runs: tasks nobody runs, and tasks whose runner is dead or has let its leases run out.
    async fn claim(
        &self,
        runner: RunnerId,
        functions: &[String],
        now_ms: i64,
        limit: usize,
    ) -> Result<Vec<Lease>>;

    /// Takes the lease on this task, due or not, whatever its function; `None` when another live
    /// runner has it or it has ended.
    async fn claim_one(&self, runner: RunnerId, task: TaskId, now_ms: i64)
    -> Result<Option<Lease>>;

    /// Sets a stopped task going again, with these events, and makes it due. `false` when it is not
    /// stopped; nothing is written then.
    ///
    /// # Errors
    /// [`UnknownTask`](super::Error::UnknownTask), [`Gap`](super::Error::Gap).
    async fn resume(&self, task: TaskId, records: Vec<Record>) -> Result<bool>;

    /// Gives a lease back. Where the task's count of signals and news of children (see
    /// [`Store::signals`]) is beyond `seen`, the task is due now, whatever `wake` says: no wake-up
    /// is ever lost. Nothing happens when the lease is not held any more.
    async fn release(&self, lease: &Lease, wake: Wake, seen: u64) -> Result<()>;

    /// Gives back all leases of a runner that stops, its tasks being due now, and forgets it.
    async fn retire(&self, runner: RunnerId) -> Result<()>;

    /// The earliest time at which a task nobody runs is due; `None` when none waits for a time.
    async fn next_due(&self, functions: &[String]) -> Result<Option<i64>>;

    /// Commits a signal and makes its task due.
    ///
    /// # Errors
    /// [`UnknownTask`](super::Error::UnknownTask).
    async fn signal(&self, task: TaskId, signal: Signal, now_ms: i64) -> Result<Sent>;

    /// The signals of a task in the order in which they came, with a count to give to
    /// [`Store::release`]: it grows by each signal and by each append of a child that
    /// [concerns its parent](super::Event::concerns_parent).
    async fn signals(&self, task: TaskId) -> Result<(Vec<Signal>, u64)>;

    /// The tasks held by this runner that have had a signal or news of a child, each with the count
    /// that [`Store::signals`] gives: whom to wake in memory.
    async fn nudged(&self, runner: RunnerId) -> Result<Vec<(TaskId, u64)>>;

    /// Removes ended tasks whose time to live is over, with their events, signals and the blobs
    /// that nothing else holds. Returns how many; at most `limit`.
    async fn purge(&self, now_ms: i64, limit: usize) -> Result<usize>;

    /// Removes one ended task now; `false` when it has not ended or there is no such.
    async fn remove(&self, task: TaskId) -> Result<bool>;

    /// A number that grows whenever a task is created, signalled, released, ended, or its message
    /// changed, by any process. What changed is for the watcher to look up. It has grown by the time
    /// that a write of this process returns.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Writes what is queued and closes the journal; later calls answer
    /// [`Closed`](super::Error::Closed).
    async fn close(&self);
}
