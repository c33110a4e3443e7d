-- Format 3. Never edited: what follows from a change is a new file beside this one.

-- The newest task, while nothing has been written after it: what will stand in `tasks` and `events` of
-- it, as one row in one page, because its caller waits for the commit. The next write puts it there.
CREATE TABLE newest (
    -- It comes after all others, and there is only one.
    number           INTEGER PRIMARY KEY CHECK (number = 9223372036854775807),
    id               BLOB    NOT NULL,
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
    runner           INTEGER NOT NULL,
    event            BLOB    NOT NULL
) STRICT;
