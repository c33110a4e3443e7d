//! Every bound of the system in one place, with its unit in its name and its reason beside it.
//!
//! A queue, loop, retry, payload or timeout that has no bound here is a bug.

/// Payloads longer than this many bytes of JSON leave the event and become a content-addressed,
/// compressed blob. Below it, a second row costs more than it saves.
pub const INLINE_PAYLOAD_BYTES: usize = 4 * 1024;

/// The longest single payload (an input, a tool's output, a model's reply) that the journal takes.
/// SQLite's own ceiling is 1 GB; this one keeps a single row from stalling every other task's commit.
pub const PAYLOAD_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The longest recording that is read. It is held in memory as a whole.
pub const RECORDING_MAX_BYTES: usize = 512 * 1024 * 1024;

/// How long a replayed function may wait for something that is no step. Steps answer at once.
pub const REPLAY_STALL_MS: u64 = 2_000;

/// How much of a call's arguments, of a result or of a question is shown where a run is compared with
/// its recording.
pub const REPLAY_SHOWN_BYTES: usize = 400;

/// How many recorded requests are named where one is not recorded: enough to see a pattern.
pub const REPLAY_NEAREST: usize = 3;

/// The longest message of a failure. Servers answer errors with whole web pages.
pub const FAILURE_MESSAGE_BYTES: usize = 64 * 1024;

/// The longest text of what a task is at: clients show it on a line.
pub const STATUS_MESSAGE_BYTES: usize = 1024;

/// Threads that run the program's async code: one for each core, but for one that is left to the
/// journal's writer. A commit wakes the tasks that wait for it; with a thread more, the two stand in
/// each other's way (where all commits were the writer's, a durable step on two cores took a tenth
/// longer).
pub fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// How many appends may wait for the writer before callers are made to wait for a place.
pub const WRITE_QUEUE: usize = 1024;

/// How many waiting writes share one transaction. Larger groups only add latency to the first in it.
pub const GROUP_COMMIT_MAX: usize = 256;

/// Where a commit takes longer than this on the average, none runs on a thread that serves other tasks
/// too. To hand one to the journal's own thread and back takes some 80 µs (measured), so this is where
/// that does not count any more.
pub const COMMIT_ASIDE_US: u64 = 1_000;

/// Nor does one with payloads beyond this many bytes: to write them takes as long as a quick sync.
pub const COMMIT_ASIDE_BYTES: usize = 64 * 1024;

/// How long a write waits for another process to end its own. Theirs take milliseconds: waiting
/// longer than this means that a process hangs with the journal locked.
pub const JOURNAL_BUSY_MS: u64 = 5_000;

/// Pages of the write-ahead log after which they are copied into the journal. More would make the
/// log larger (4 MiB at this size) and a start after a crash slower; fewer would copy more often
/// (measured: 0.7 ms a time).
pub const CHECKPOINT_PAGES: i64 = 1024;

/// What a write-ahead log that a burst has blown up shrinks back to.
pub const WAL_MAX_BYTES: i64 = 64 * 1024 * 1024;

/// Connections that read side by side. Each holds a page cache of half a MiB.
pub const READERS: usize = 4;

/// The longest part of an event that one row holds. SQLite keeps rows whole: shorter ones fill pages
/// better, and longer ones cost less around them.
pub const EVENT_ROW_BYTES: usize = 500;

/// What the texts and the event of a new task may have together for it to wait for its place in one row of
/// one page (see `journal/sqlite/newest.rs`): a page of 4 KiB, less some room for numbers and lengths.
pub const NEWEST_BYTES: usize = 3_800;

/// Events whose JSON is no longer than this many bytes are not compressed: the frame around it would
/// take what is won.
pub const PACK_BYTES: usize = 64;

/// As [`PACK_BYTES`] for the first event of a task: there is one, and its caller waits for the handle.
/// To pack a short one takes some 10 µs, a tenth of the commit.
pub const PACK_FIRST_BYTES: usize = 512;

/// Payloads whose sum is beyond this many bytes are compressed off the caller's thread: about a
/// millisecond of work, too long for a thread that serves other tasks.
pub const PACK_ASIDE_BYTES: usize = 256 * 1024;

/// Pages that a removal gives back to the file system at a time, so that it does not hold up others.
pub const VACUUM_PAGES: i64 = 1_024;

/// How long a `StepStarted` that nobody waits for may stay in memory before it is committed by itself.
/// Short enough that a crash in a model call shows that the call was under way.
pub const STARTED_FLUSH_MS: u64 = 20;

/// The longest wait that a model may ask for: it is more likely to have got a date wrong.
pub const SLEEP_MAX_MS: u64 = 400 * 24 * 60 * 60 * 1_000;

/// How long a lease lasts unless it is renewed. Only a hung process is waited out for this long:
/// a dead one is noticed at once.
pub const LEASE_MS: u64 = 15_000;

/// How often a runner renews its leases: three tries before the first can run out.
pub const LEASE_RENEW_MS: u64 = 5_000;

/// A busy runtime looks for dead processes, whose tasks it then takes up, so much apart. One with
/// nothing to do looks every [`LEASE_RENEW_MS`].
pub const DEAD_CHECK_MS: u64 = 500;

/// How often the journal is looked at for what other processes wrote (signals, new tasks).
pub const WATCH_MS: u64 = 50;

/// A task that has waited this long, on nothing but timers, answers or children, is parked.
/// Shorter waits stay in memory: parking costs two commits and a replay.
pub const PARK_AFTER_MS: u64 = 1_000;

/// As [`PARK_AFTER_MS`] for a task that waits for nothing but times further off than that: what is to
/// begin beside the wait has begun by then.
pub const PARK_TIMER_AFTER_MS: u64 = 20;

/// Tasks that one process runs side by side. More wait, unclaimed, for a place.
pub const LIVE_TASKS: usize = 256;

/// Steps of one task that run side by side.
pub const PARALLEL_STEPS: usize = 64;

/// Events of one task. A loop that never ends stops here with a clear error, not on a full disk.
pub const TASK_EVENTS_MAX: u64 = 200_000;

/// Agents that one task has called and that run side by side. More calls wait. Each may call as many
/// in its turn, so this is far below [`LIVE_TASKS`].
pub const PARALLEL_CHILDREN: usize = 8;

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

/// The longest JSON-RPC message taken from a client or a tool server. Twice the largest payload:
/// JSON within JSON is escaped.
pub const MESSAGE_MAX_BYTES: usize = 2 * PAYLOAD_MAX_BYTES;

/// How long a tool server may take to start and shake hands: `npx` may have to download it first.
pub const SERVER_START_MS: u64 = 30_000;

/// How long a connection to a tool server over HTTP may take to come up. Less than the 10 s that rmcp
/// waits for an answer to `server/discover`, so that no connection is told from no answer.
pub const SERVER_CONNECT_MS: u64 = 5_000;

/// How long a stopping tool server may take after its stdin was closed, and again after `SIGTERM`,
/// before it is killed. Both together stay within [`SHUTDOWN_GRACE_MS`].
pub const SERVER_STOP_MS: u64 = 1_500;

/// How long a tool call may take. Only a server that hangs is waited out for this long; nothing
/// short of that tells it from a slow one.
pub const TOOL_CALL_MS: u64 = 60 * 60 * 1000;

/// How long one request about a task of a tool server may take: a look, an answer, a cancel. They are
/// answered from what the server knows.
pub const REMOTE_TASK_REQUEST_MS: u64 = 30_000;

/// How long a server of the older Tasks may take to put the question that its task waits with, once
/// its result was asked for. It has the question already.
pub const REMOTE_QUESTION_MS: u64 = 2_000;

/// Questions of one tool server of the older Tasks that wait for their answers. A person answers them;
/// one more is cancelled, so that a server that asks without end does not fill the memory. As many may
/// be on their way to the calls that they belong to.
pub const REMOTE_QUESTIONS: usize = 1_024;

/// Sessions of former processes that are held open, beside those over which a request is under way.
/// Each has a client of its own; one that is closed is taken up again when it is needed.
pub const TAKEN_UP_SESSIONS: usize = 64;

/// How long a question that a server asks in the middle of a call waits until it is clear which of
/// several calls it belongs to. Calls that ask nothing end meanwhile, as a rule.
pub const QUESTION_OF_CALL_MS: u64 = 30_000;

/// Questions that a server may have open at once in the middle of one call. Some ask a few side by
/// side; one more is cancelled, because each is an open step of the task and a form before a person.
pub const QUESTIONS_OF_CALL: usize = 16;

/// How long a server may go on asking in the middle of a call that was cancelled. What it asks over
/// that connection meanwhile may be of that call.
pub const CANCELLED_CALL_MS: u64 = 10_000;

/// Sessions of former processes that are remembered as gone, before all are forgotten: each costs one
/// more try to find out again.
pub const GONE_SESSIONS: usize = 1_024;

/// The wait between two looks at what happens elsewhere, where nobody says how long it should be.
pub const POLL_MS: u64 = 1_000;

/// The shortest such wait, whatever a server asks for: a look is a request to it.
pub const POLL_MIN_MS: u64 = 100;

/// The longest such wait, whatever a server asks for: what is over is to be noticed.
pub const POLL_MAX_MS: u64 = 60_000;

/// Looks in a row that may fail before a task elsewhere is given up: with [`STEP_RETRY_MAX_MS`]
/// between them, some 15 minutes, enough to restart a server.
pub const POLL_FAILURES: u32 = 20;

/// The longest wait between two looks whether a question is still asked that another server's task
/// waits with. Each costs a parked task a replay and two events.
pub const QUESTION_LOOK_MAX_MS: u64 = 5 * 60 * 1000;

/// How often one task of a tool server may come back with questions.
pub const REMOTE_TASK_ROUNDS: usize = 1_000;

/// How often a tool whose task was lost at its server is called again, where the agent's policy is to
/// retry. A server that loses one task after another is not helped by more.
pub const LOST_TASK_CALLS: u32 = 2;

/// How long a cancelled task's function may take to pass the cancel on. The task ends cancelled all
/// the same.
pub const CANCEL_HOOK_MS: u64 = 5_000;

/// Redirects that one request to a tool server may be sent on by.
pub const REDIRECTS: usize = 10;

/// How long a tool server may take to list its tools, for each page.
pub const TOOL_LIST_MS: u64 = 30_000;

/// Pages of one server's `tools/list`, against a cursor that never ends.
pub const TOOL_PAGES_MAX: usize = 100;

/// The last lines of a tool server's stderr that are kept, to be shown when it fails.
pub const STDERR_LINES: usize = 20;

/// How much of each of these lines is kept.
pub const STDERR_LINE_BYTES: usize = 500;

/// How long a failure's message waits for the exit status and the last words of a program that has
/// closed its stdout.
pub const LAST_WORDS_MS: u64 = 500;

/// How much of a tool's text a model is shown at most. The journal keeps all of it.
pub const TOOL_TEXT_SHOWN_BYTES: usize = 100_000;

/// How much of a model's last reply stands in the failure of a run that came to a limit.
pub const LAST_REPLY_BYTES: usize = 4 * 1024;
/// How much of it is shown at least, however many results share the room.
pub const TOOL_TEXT_SHOWN_MIN_BYTES: usize = 1_000;

/// Which part of what a model can read the results of one reply may take, all together: they have to
/// fit beside the task and a summary, because the newest exchange is never left out.
pub const TOOL_RESULTS_PERCENT: u64 = 50;

/// Room for the line below a text that was cut, which says how to read on.
pub const READ_NOTE_BYTES: usize = 256;

/// About how many bytes of English text and JSON come to a token, for whatever no server has counted.
/// Budgets and cuts of a replay follow from it, so another value stops tasks that are under way.
pub const TOKEN_BYTES: u64 = 4;

/// How many tokens a model is taken to read where the agent's file does not say. Most models of today
/// read at least as many; one that reads fewer says so when it is asked, and is asked again.
pub const CONTEXT_TOKENS: u64 = 128_000;

/// The least that `contextTokens` may be: a system prompt and an exchange have to fit.
pub const CONTEXT_TOKENS_MIN: u64 = 1_000;

/// At which part of that a conversation is shortened. The rest is for the reply, and for what tokens
/// were estimated too low. Tasks under way keep the value that they began with, of this and the three
/// below.
pub const COMPACT_AT_PERCENT: u64 = 80;

/// Which part of it the newest exchanges may take that stay as they are.
pub const KEPT_PERCENT: u64 = 25;

/// Which part of it a summary may take. Less is not worth leaving out.
pub const SUMMARY_PERCENT: u64 = 12;

/// Which part of it the request for a summary may take: half, as the bytes of a token are estimated.
pub const TRANSCRIPT_PERCENT: u64 = 50;

/// The least that is shown of a message to the model that sums up, however many there are.
pub const TRANSCRIPT_MESSAGE_MIN_BYTES: usize = 200;

/// The most that is shown of a message to the model that sums up: what matters in a long tool output
/// is in the replies to it.
pub const TRANSCRIPT_MESSAGE_MAX_BYTES: usize = 8 * 1024;
/// Fields of one form that a model makes. More are not read by anybody.
pub const FORM_FIELDS: usize = 20;

/// How often a person is shown one form again because what they filled in cannot be used. Programs
/// fill in forms too, and make the same mistake for ever.
pub const FORM_TRIES: u32 = 5;

/// How much of what a check tool says stands in a question. It is there to be read.
pub const CHECK_SAID_BYTES: usize = 4 * 1024;

/// How long a request of the tool `http_request` may take, redirects and body included, where the
/// agent's file says nothing else: what takes longer is no answer to wait for within a turn.
pub const HTTP_TOOL_MS: u64 = 60_000;

/// How long such a request may take to connect. Only within this time is it sure that the server has
/// not seen it.
pub const HTTP_TOOL_CONNECT_MS: u64 = 10_000;

/// How much of an answer's body is read where the agent's file says nothing else. A model is shown
/// [`TOOL_TEXT_SHOWN_BYTES`] of it.
pub const HTTP_TOOL_BYTES: u64 = 1024 * 1024;

/// The most that an agent's file may ask for: a quarter of [`PAYLOAD_MAX_BYTES`], because the text is
/// escaped as JSON.
pub const HTTP_TOOL_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Redirects that are followed one after another: more than that is a loop, as a rule.
pub const HTTP_TOOL_REDIRECTS: usize = 5;

/// How many replies in a row may say nothing at all before the run fails.
pub const EMPTY_REPLIES_MAX: u32 = 3;

/// How often a client is asked to poll a task. A `tasks/get` is one read of the journal.
pub const TASK_POLL_MS: u64 = 500;

/// Tasks whose last look is remembered, and how long each may be as JSON: 4 MiB at most in all.
pub const TASK_VIEWS: usize = 1_024;

/// See [`TASK_VIEWS`]. Longer results are read from the journal each time.
pub const TASK_VIEW_BYTES: usize = 4 * 1024;

/// How long a call of a client without Tasks waits for its task before it is answered with how to
/// follow it. Common clients give up after a minute.
pub const PLAIN_WAIT_MS: u64 = 50_000;

/// How long a `tasks/cancel` of the experimental dialect waits for the task's end. It answers
/// "cancelled" either way: this only lets most tasks have ended by then.
pub const CANCEL_REPLY_MS: u64 = 2_000;

/// Tasks on one page of a listing.
pub const TASK_PAGE: usize = 50;

/// How often a client is told at most that its tasks' status has changed.
pub const NOTICE_MS: u64 = 250;

/// Tasks of one connection whose changes of status are told. Each costs a read per change of the
/// journal; the others are polled.
pub const NOTICE_TASKS: usize = 256;

/// The longest request to be told of changes. It names [`NOTICE_TASKS`] tasks in some ten KiB.
pub const LISTEN_MAX_BYTES: usize = 64 * 1024;

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

/// Tries of a step that fails for the moment, where nothing else is said. With the waits below, half a minute of trouble at the other side is waited out.
pub const STEP_ATTEMPTS: u32 = 6;

/// The most tries that an agent's file may ask for.
pub const STEP_ATTEMPTS_MAX: u32 = 100;

/// The wait before the second try of a step.
pub const STEP_RETRY_FIRST_MS: u64 = 1_000;

/// The longest wait between two tries of a step.
pub const STEP_RETRY_MAX_MS: u64 = 60_000;

/// Model calls under way at one provider where `relight.yaml` says nothing else. OpenAI would take
/// more. A server on the own machine answers a few at a time, and those that it queues run into
/// [`MODEL_FIRST_BYTE_MS`].
pub const MODEL_CALLS: usize = 8;

/// The most model calls under way that `relight.yaml` may allow: what one process can run tasks for.
pub const MODEL_CALLS_MAX: usize = LIVE_TASKS;

/// The most model calls a minute that `relight.yaml` may set a bound at. The time of each is kept.
pub const MODEL_CALLS_PER_MINUTE_MAX: u32 = 100_000;

/// How long a connection to a model server may take to come up.
pub const MODEL_CONNECT_MS: u64 = 10_000;

/// How long a model may think before the first byte of its reply. Reasoning models behind servers
/// that send nothing meanwhile need minutes.
pub const MODEL_FIRST_BYTE_MS: u64 = 300_000;

/// How long a reply that has begun may stay silent before it counts as stalled. Servers that are
/// alive send tokens, or comments to keep the connection open, far more often.
pub const MODEL_STALL_MS: u64 = 60_000;

/// How long one model call may take in all, against a server that keeps a reply alive for ever.
pub const MODEL_CALL_MS: u64 = 30 * 60 * 1000;

/// The wait between the first two looks at a response that a server works on in the background. It
/// doubles from there.
pub const MODEL_POLL_FIRST_MS: u64 = 250;

/// The longest wait between two such looks: what a reply may come later than it could.
pub const MODEL_POLL_MAX_MS: u64 = 2_000;

/// How long one process waits for a response in the background before it cancels it. Research models
/// take hours; nothing is known to take longer.
pub const MODEL_BACKGROUND_MS: u64 = 6 * 60 * 60 * 1000;

/// The longest id of a response that is taken from a server. OpenAI's have some 55 bytes.
pub const RESPONSE_ID_MAX_BYTES: usize = 256;

/// Parameters that a server refused and that are remembered. Past it, all are forgotten and asked for
/// again.
pub const MODEL_REFUSALS: usize = 1_024;

/// The longest stream of one reply. A token costs some 300 bytes on the wire, so this is far
/// above any model's output and far below what would hurt the process.
pub const MODEL_STREAM_MAX_BYTES: usize = 64 * 1024 * 1024;

/// How much of an error's body is read. Its message stands at the beginning.
pub const MODEL_ERROR_BODY_BYTES: usize = 16 * 1024;

/// How much of what a model server said about an error is shown and journalled.
pub const MODEL_ERROR_SHOWN_CHARS: usize = 500;

/// The longest file of scripted replies.
pub const SCRIPT_MAX_BYTES: u64 = 1024 * 1024;

/// The longest latency a scripted reply may pretend.
pub const SCRIPT_LATENCY_MAX_MS: u64 = 10 * 60 * 1000;

/// How many calls a script remembers as failing on purpose. Past it, it forgets them all.
pub const SCRIPT_FAILING_CALLS: usize = 4096;

/// HTTP connections at once. More wait to be accepted.
pub const HTTP_CONNECTIONS: usize = 1_024;

/// Tasks that one client of the older Tasks was shown waiting for answers, before all are forgotten:
/// each is then put its question one look later.
pub const SHOWN_ASKING: usize = 1_024;

/// Questions that one client of the older protocols has before it. Each holds a task of the async
/// runtime; one more is not put to the client until there is room, and stays open in the journal.
pub const ASKED_QUESTIONS: usize = 1_024;

/// Tasks whose questions are looked at again each time that their client is put another one, so that
/// those that are settled are taken back from a client that does not look. A look is one read.
pub const ASKED_LOOKS: usize = 8;

/// Sessions of HTTP clients that speak a protocol before 2026-07-28. Each holds a few tasks of the
/// async runtime, and rmcp drops it after five minutes without a request.
pub const HTTP_SESSIONS: usize = 1_024;

/// Those of one owner, so that no one of them leaves the others without.
pub const OWNER_SESSIONS: usize = HTTP_SESSIONS / 4;

/// The longest body of an HTTP request. Smaller than [`MESSAGE_MAX_BYTES`], because a thousand
/// connections may send one at a time; what large inputs need goes over stdio.
pub const HTTP_BODY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// How long a browser may remember that a page may use the server, in seconds.
pub const CORS_MAX_AGE_S: u32 = 600;

/// How long a request's body may take to arrive.
pub const HTTP_BODY_MS: u64 = 30_000;

/// How long a request's head may take to arrive, and how long a connection may stay open between two
/// requests.
pub const HTTP_HEADER_MS: u64 = 30_000;

/// The longest head of an HTTP request. Tokens take the most room in it.
pub const HTTP_HEADER_MAX_BYTES: usize = 64 * 1024;

/// The wait before the next connection is accepted when one could not be: out of file descriptors,
/// as a rule.
pub const HTTP_ACCEPT_RETRY_MS: u64 = 100;

/// How long a stopping server waits for requests that it has let in. Calls that wait for a task end
/// at once, so this is for slow readers.
pub const HTTP_DRAIN_MS: u64 = 2_000;

/// How long a connection may take to close once nothing is waited for.
pub const HTTP_CLOSE_MS: u64 = 500;

/// How long an answer to `/readyz` stands: each look at the journal is a commit.
pub const READY_MS: u64 = 1_000;

/// The longest name of an owner: an issuer and a subject fit in.
pub const OWNER_MAX_BYTES: usize = 1_024;

/// Requests a second that one owner may make over HTTP where nothing else is said. One who follows
/// 500 tasks at the pace of [`TASK_POLL_MS`] makes as many.
pub const OWNER_REQUESTS_PER_SECOND: u32 = 1_000;

/// Tasks of one owner that may be under way at once over HTTP where nothing else is said.
pub const OWNER_LIVE_TASKS: usize = 1_000;

/// Owners whose rate of requests is remembered before those who ask no more are forgotten.
pub const PACED_OWNERS: usize = 4_096;

/// How often the files of tokens and keys are looked at. What changes there counts after the second
/// look that finds it.
pub const AUTH_FILES_MS: u64 = 1_000;

/// How long the keys of an authorization server are used before they are fetched again, which is how
/// long a key that it takes back is still good here.
pub const JWKS_MAX_AGE_MS: u64 = 10 * 60 * 1000;

/// How long keys are used at most when they cannot be fetched again: an outage is bridged, and a key
/// that was taken back does not stay for ever.
pub const JWKS_STALE_MS: u64 = 24 * 60 * 60 * 1000;

/// The wait before keys are fetched again after the last try. Tokens with made-up key ids come to no
/// more fetches than that.
pub const JWKS_AGAIN_MS: u64 = 10_000;

/// How long a fetch of keys may take: a request waits for it.
pub const JWKS_FETCH_MS: u64 = 5_000;

/// The longest set of keys. A key takes about half a KiB.
pub const JWKS_MAX_BYTES: usize = 256 * 1024;

/// Keys of one set that are tried at most.
pub const JWKS_KEYS: usize = 64;

/// By how much the clocks of the authorization server and of this machine may differ.
pub const JWT_LEEWAY_MS: i64 = 60_000;
