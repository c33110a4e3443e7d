-- Format 1. Never edited: what follows from a change is a new file beside this one.

-- What is known of each task without reading its events. `number` is the order of creation; the
-- other tables use it because it is shorter than the id, and newer tasks sort to the right.
-- `wake_at_ms` is set only while nobody runs the task and it has not ended.
CREATE TABLE tasks (
    number           INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    function         TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    owner            TEXT,
    parent           BLOB,
    parent_key       TEXT,
    parent_depth     INTEGER,
    idempotency_key  TEXT,
    request          BLOB    NOT NULL,
    created_at_ms    INTEGER NOT NULL,
    ttl_ms           INTEGER,
    status           TEXT    NOT NULL,
    message          TEXT,
    updated_at_ms    INTEGER NOT NULL,
    wake_at_ms       INTEGER,
    runner           INTEGER,
    epoch            INTEGER NOT NULL DEFAULT 0,
    nudges           INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX tasks_due ON tasks (function, wake_at_ms) WHERE wake_at_ms IS NOT NULL;
-- With the nudges, so that a runner of many tasks finds the few that have news.
CREATE INDEX tasks_leased ON tasks (runner, nudges) WHERE runner IS NOT NULL;
CREATE INDEX tasks_of_owner ON tasks (owner);
-- How many tasks of an owner are under way is asked before each new one where there is a bound.
CREATE INDEX tasks_under_way ON tasks (owner)
    WHERE parent IS NULL AND status IN ('working', 'input_required');
CREATE INDEX tasks_of_parent ON tasks (parent) WHERE parent IS NOT NULL;
CREATE INDEX tasks_expiring ON tasks (created_at_ms + ttl_ms)
    WHERE ttl_ms IS NOT NULL AND status NOT IN ('working', 'input_required');
CREATE UNIQUE INDEX tasks_of_key ON tasks (idempotency_key, owner IS NULL, ifnull(owner, ''))
    WHERE idempotency_key IS NOT NULL;

-- The log. A task's events lie side by side, so that a commit touches one page for each of its
-- tasks, and a history is read in one go. A long body is cut into parts, a row each: pages hold
-- whole rows, and rows of two KiB would leave a fifth of the file empty.
CREATE TABLE events (
    task  INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    part  INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    body  BLOB    NOT NULL,
    PRIMARY KEY (task, seq, part)
) STRICT, WITHOUT ROWID;

-- Large payloads by content. `data` is a zstd frame where it is shorter than `bytes`, and the JSON
-- text itself where it is not.
CREATE TABLE blobs (
    number INTEGER PRIMARY KEY,
    hash   BLOB    NOT NULL UNIQUE,
    bytes  INTEGER NOT NULL,
    data   BLOB    NOT NULL
) STRICT;

-- Which tasks hold which blobs. A count beside the data would rewrite the data.
CREATE TABLE blob_uses (
    task INTEGER NOT NULL,
    blob INTEGER NOT NULL,
    PRIMARY KEY (task, blob)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_uses_of_blob ON blob_uses (blob);

CREATE TABLE signals (
    number INTEGER PRIMARY KEY,
    task   INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

CREATE INDEX signals_of_task ON signals (task);

-- Who may hold leases, and until when.
CREATE TABLE runners (
    id       INTEGER PRIMARY KEY,
    until_ms INTEGER NOT NULL
) STRICT;
