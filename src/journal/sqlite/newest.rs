//! The newest task, while nothing has been written after it.
//!
//! A caller waits until its task is on disk. One row of one page is there sooner than what a task is
//! from then on: a row, its places in two indexes, and an event, in a page each. So a task that is
//! created by itself is the one row of the table `newest`, until the next transaction that writes, of
//! whatever kind and process, puts it in its place ([`settle`]) before it does anything else. Commands
//! therefore never see this table, and who reads looks into both.

use rusqlite::{Connection, OptionalExtension};

use super::codec::Encoded;
use super::committer::Tx;
use super::events::{insert_body, runner_id};
use super::leases::know;
use super::tasks::bind;
use crate::journal::{Hash, NewTask, TaskId};
use crate::limits;

/// What is told of it, under the names that the columns have in `tasks`.
pub(super) const SELECT: &str =
    "SELECT id, function, name, owner, parent, parent_key, parent_depth,
    'working' AS status, NULL AS message, created_at_ms, created_at_ms AS updated_at_ms, ttl_ms,
    NULL AS wake_at_ms, runner, 1 AS epoch, 0 AS cancel_requested, 1 AS events FROM newest";

/// Leaves a new task here, whose id is in no place. `false`, and nothing is written, where it is to be
/// written in its place at once: it has no runner, or more than one event, or fills more than a page, or is
/// not written by itself.
pub(super) fn put(
    tx: &Tx<'_>,
    task: &NewTask,
    request: Hash,
    first: &[Encoded],
) -> rusqlite::Result<bool> {
    let (Some(_), [only]) = (task.runner, first) else { return Ok(false) };
    let parent_key = task.parent.as_ref().map(|parent| &parent.key);
    let texts = [Some(&task.function), Some(&task.name), parent_key].into_iter();
    let texts = texts.chain([task.owner.as_ref(), task.idempotency_key.as_ref()]);
    let bytes = only.body.len() + texts.flatten().map(String::len).sum::<usize>();
    if bytes > limits::NEWEST_BYTES || !only.blobs.is_empty() || !tx.may_leave_newest {
        return Ok(false);
    }
    let mut insert = tx.prepare_cached(
        "INSERT INTO newest (number, id, function, name, owner, parent, parent_key, parent_depth,
             idempotency_key, request, created_at_ms, ttl_ms, runner, event)
         VALUES (9223372036854775807, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    bind(&mut insert, task, request)?;
    insert.raw_bind_parameter(13, &only.body)?;
    insert.raw_execute()?;
    tx.changed();
    Ok(true)
}

/// Puts the task that is here in its place. Whether there was one.
pub(super) fn settle(db: &Connection) -> rusqlite::Result<bool> {
    let found: Option<(i64, i64, Vec<u8>)> = db
        .prepare_cached("SELECT runner, created_at_ms, event FROM newest")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((runner, created_at_ms, event)) = found else { return Ok(false) };
    let number = db
        .prepare_cached(
            "INSERT INTO tasks (id, function, name, owner, parent, parent_key, parent_depth,
                 idempotency_key, request, created_at_ms, ttl_ms, status, updated_at_ms, runner,
                 epoch)
             SELECT id, function, name, owner, parent, parent_key, parent_depth, idempotency_key,
                 request, created_at_ms, ttl_ms, 'working', created_at_ms, runner, 1
             FROM newest",
        )?
        .insert([])?;
    insert_body(db, number, 0, created_at_ms, &event)?;
    db.prepare_cached("DELETE FROM newest")?.execute([])?;
    know(db, runner_id(runner), created_at_ms)?;
    Ok(true)
}

/// When this task was created, and the row of its only event, if it is here.
pub(super) fn event(db: &Connection, task: TaskId) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    db.prepare_cached("SELECT created_at_ms, event FROM newest WHERE id = ?1")?
        .query_row([task.bits().to_be_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}
