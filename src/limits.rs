//! Every bound of the system in one place, with its unit in its name and its reason beside it.
//!
//! A queue, loop, retry, payload or timeout that has no bound here is a bug.

/// Payloads longer than this many bytes of JSON leave the event and become a content-addressed,
/// compressed blob. Below it, a second row costs more than it saves.
pub const INLINE_PAYLOAD_BYTES: usize = 4 * 1024;

/// The longest single payload (an input, a tool's output, a model's reply) that the journal takes.
/// SQLite's own ceiling is 1 GB; this one keeps a single row from stalling every other task's commit.
pub const PAYLOAD_MAX_BYTES: usize = 32 * 1024 * 1024;

/// How many appends may wait for the writer before callers are made to wait for a place.
pub const WRITE_QUEUE: usize = 1024;

/// How many waiting writes share one transaction. Larger groups only add latency to the first in it.
pub const GROUP_COMMIT_MAX: usize = 256;

/// How long a write waits for another process to end its own. Theirs take milliseconds: waiting
/// longer than this means that a process hangs with the journal locked.
pub const JOURNAL_BUSY_MS: u64 = 5_000;

/// Pages of the write-ahead log after which they are copied into the journal. More would make the
/// log larger (4 MiB at this size) and a start after a crash slower; fewer would copy more often
/// (measured: 0.7 ms a time).
pub const CHECKPOINT_PAGES: i64 = 512;

/// What a write-ahead log that a burst has blown up shrinks back to.
pub const WAL_MAX_BYTES: i64 = 64 * 1024 * 1024;

/// Connections that read side by side. Each holds a page cache of half a MiB.
pub const READERS: usize = 4;

/// Events whose JSON is no longer than this many bytes are not compressed: the frame around it would
/// take what is won.
pub const PACK_BYTES: usize = 64;

/// Payloads whose sum is beyond this many bytes are compressed off the caller's thread: about a
/// millisecond of work, too long for a thread that serves other tasks.
pub const PACK_ASIDE_BYTES: usize = 256 * 1024;

/// Pages that a removal gives back to the file system at a time, so that it does not hold up others.
pub const VACUUM_PAGES: i64 = 1_024;

/// How long a `StepStarted` that nobody waits for may stay in memory before it is committed by itself.
/// Short enough that a crash in a model call shows that the call was under way.
pub const STARTED_FLUSH_MS: u64 = 20;

/// How long a lease lasts unless it is renewed. Only a hung process is waited out for this long:
/// a dead one is noticed at once.
pub const LEASE_MS: u64 = 15_000;

/// How often a runner renews its leases: three tries before the first can run out.
pub const LEASE_RENEW_MS: u64 = 5_000;

/// How often the journal is looked at for what other processes wrote (signals, new tasks).
pub const WATCH_MS: u64 = 50;

/// A task that has waited this long, on nothing but timers, answers or children, is parked.
/// Shorter waits stay in memory: parking costs two commits and a replay.
pub const PARK_AFTER_MS: u64 = 1_000;

/// Tasks that one process runs side by side. More wait, unclaimed, for a place.
pub const LIVE_TASKS: usize = 256;

/// Steps of one task that run side by side.
pub const PARALLEL_STEPS: usize = 64;

/// Events of one task. A loop that never ends stops here with a clear error, not on a full disk.
pub const TASK_EVENTS_MAX: u64 = 200_000;

/// Levels of children below a task, against agents that call each other for ever.
pub const CHILD_DEPTH_MAX: u32 = 16;

/// Length of a step's name, so that keys stay readable in tables and messages.
pub const STEP_NAME_MAX_BYTES: usize = 200;

/// How long a finished task is kept by default, counted from its creation.
pub const TASK_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// How often expired tasks are looked for.
pub const PURGE_EVERY_MS: u64 = 60_000;

/// The wait before an append is tried again on a journal that cannot be written (a full disk).
pub const JOURNAL_RETRY_MS: u64 = 500;

/// How long a stopping process waits for steps in flight before it drops them.
pub const SHUTDOWN_GRACE_MS: u64 = 5_000;
