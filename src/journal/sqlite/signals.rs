//! Words to a task from outside, and the count that keeps any of them from being missed.

use rusqlite::{Connection, params};

use super::codec::bounded;
use super::committer::Tx;
use super::events::head;
use super::fault::Fault;
use crate::journal::{Error, RunnerId, Sent, Signal, TaskId};

/// Counts a signal or news of a child for a task, and makes it due where nobody runs it. A task that
/// has ended, or was removed, is left as it is.
pub(super) fn nudge(tx: &Tx<'_>, task: TaskId, now_ms: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE tasks SET nudges = nudges + 1,
             wake_at_ms = CASE WHEN runner IS NULL THEN min(ifnull(wake_at_ms, ?2), ?2) END
         WHERE id = ?1 AND status IN ('working', 'input_required')",
    )?
    .execute(params![task.bits().to_be_bytes(), now_ms])?;
    Ok(())
}

/// A signal's stored form.
///
/// # Errors
/// [`Error::TooLarge`].
pub(super) fn encode(signal: &Signal) -> Result<Vec<u8>, Error> {
    let text = serde_json::to_vec(signal).map_err(|error| Error::Unavailable {
        operation: "write",
        why: format!("a signal has no JSON form: {error}"),
    })?;
    bounded(text.len(), || "a signal".to_owned())?;
    Ok(text)
}

/// See [`Store::signal`](crate::journal::Store::signal); `text` is the signal's JSON.
pub(super) fn send(
    tx: &Tx<'_>,
    task: TaskId,
    signal: &Signal,
    text: &[u8],
    now_ms: i64,
) -> Result<Sent, Fault> {
    let head = head(tx, task)?.ok_or(Error::UnknownTask { task })?;
    if head.ended {
        return Ok(Sent::AlreadyEnded);
    }
    tx.prepare_cached("INSERT INTO signals (task, at_ms, body) VALUES (?1, ?2, ?3)")?
        .execute(params![head.number, now_ms, text])?;
    if matches!(signal, Signal::Cancel { .. }) {
        tx.prepare_cached("UPDATE tasks SET cancel_requested = 1 WHERE number = ?1")?
            .execute([head.number])?;
    }
    nudge(tx, task, now_ms)?;
    tx.changed();
    Ok(Sent::Delivered)
}

/// See [`Store::signals`](crate::journal::Store::signals).
pub(super) fn all(db: &Connection, task: TaskId) -> Result<(Vec<Signal>, u64), Fault> {
    let id = task.bits().to_be_bytes();
    // Before the signals: one that comes in between is read, and then heard of once more.
    let count: i64 = db
        .prepare_cached("SELECT ifnull(max(nudges), 0) FROM tasks WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let mut query = db.prepare_cached(
        "SELECT body FROM signals WHERE task = (SELECT number FROM tasks WHERE id = ?1)
         ORDER BY number",
    )?;
    let mut rows = query.query([id])?;
    let mut signals = Vec::new();
    while let Some(row) = rows.next()? {
        let signal = serde_json::from_slice(row.get_ref(0)?.as_bytes()?).map_err(|error| {
            Fault::Damaged(format!("task {task}: a signal that cannot be read: {error}"))
        })?;
        signals.push(signal);
    }
    Ok((signals, count.cast_unsigned()))
}

/// See [`Store::nudged`](crate::journal::Store::nudged).
pub(super) fn nudged(db: &Connection, runner: RunnerId) -> Result<Vec<(TaskId, u64)>, Fault> {
    let mut query =
        db.prepare_cached("SELECT id, nudges FROM tasks WHERE runner = ?1 AND nudges > 0")?;
    let rows = query.query_map([runner.bits().cast_signed()], |row| {
        let id = TaskId::from_bits(u128::from_be_bytes(row.get(0)?));
        Ok((id, row.get::<_, i64>(1)?.cast_unsigned()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
