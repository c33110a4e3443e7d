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

/// The longest agent file, settings file or `mcp.json` that is read. Prompts are pages, not books.
pub const AGENT_FILE_MAX_BYTES: usize = 1024 * 1024;

/// Levels of lists and maps in such a file. Reading is recursive: in an unoptimised build, 60
/// levels overflow a thread's stack of 2 MiB.
pub const DOCUMENT_DEPTH_MAX: usize = 28;

/// The longest name of a tool that model APIs take.
pub const TOOL_NAME_MAX_BYTES: usize = 64;

/// Model calls of one task where the agent's file sets no `maxTurns`. Enough for long work, and it
/// ends a conversation that goes in circles.
pub const TURNS: u32 = 50;

/// The most that `maxTurns` may be, so that a task stays well below [`TASK_EVENTS_MAX`].
pub const TURNS_MAX: u32 = 10_000;

/// Tries of a model or tool call that fails for the moment, where the agent's file sets none. With
/// the waits below, half a minute of trouble at the other side is waited out.
pub const CALL_ATTEMPTS: u32 = 6;

/// The most tries that an agent's file may ask for.
pub const CALL_ATTEMPTS_MAX: u32 = 100;

/// The wait before the second try of a call.
pub const CALL_RETRY_FIRST_MS: u64 = 1_000;

/// The longest wait between two tries of a call.
pub const CALL_RETRY_MAX_MS: u64 = 60_000;
