//! Who runs a task now.
//!
//! A lease is a task's runner and epoch, and it is good while its runner is: `runners.until_ms` is
//! one row for all of them. Taking over from a runner frees all its tasks at once, for whoever
//! claims them next.

use rusqlite::{Connection, params};

use super::committer::Tx;
use super::events::{head, runner_id};
use super::fault::Fault;
use super::liveness::Liveness;
use crate::journal::{Error, Lease, Renewal, RunnerId, TaskId, Wake};

/// See [`Store::renew`](crate::journal::Store::renew).
pub(super) fn renew(
    tx: &Tx<'_>,
    liveness: &Liveness,
    runner: RunnerId,
    until_ms: i64,
) -> Result<Renewal, Fault> {
    let stored = params![runner.bits().cast_signed(), until_ms];
    let known =
        tx.prepare_cached("UPDATE runners SET until_ms = ?2 WHERE id = ?1")?.execute(stored)?;
    if known > 0 {
        return Ok(Renewal::Held);
    }
    liveness.hold(runner).map_err(|error| Error::Unavailable {
        operation: "write",
        why: format!(
            "the lock file of runner {runner} cannot be made beside it: {error}; make its \
             directory writable"
        ),
    })?;
    tx.prepare_cached("INSERT INTO runners (id, until_ms) VALUES (?1, ?2)")?.execute(stored)?;
    Ok(Renewal::Afresh)
}

/// See [`Store::claim`](crate::journal::Store::claim).
pub(super) fn claim(
    tx: &Tx<'_>,
    liveness: &Liveness,
    runner: RunnerId,
    functions: &[String],
    now_ms: i64,
    limit: usize,
) -> Result<Vec<Lease>, Fault> {
    free_dead(tx, liveness, runner, now_ms)?;
    let mut due = Vec::new();
    let mut query = tx.prepare_cached(
        "SELECT wake_at_ms, number, id FROM tasks
         WHERE function = ?1 AND wake_at_ms <= ?2 ORDER BY wake_at_ms LIMIT ?3",
    )?;
    for function in functions {
        let rows = query.query_map(params![function, now_ms, sql_limit(limit)], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, [u8; 16]>(2)?))
        })?;
        for row in rows {
            due.push(row?);
        }
    }
    // Whoever has been due longest goes first, whatever its function.
    due.sort_unstable();
    due.dedup();
    due.truncate(limit);
    due.into_iter()
        .map(|(_, number, id)| {
            let task = TaskId::from_bits(u128::from_be_bytes(id));
            Ok(lease(tx, runner, number, task, now_ms)?)
        })
        .collect()
}

/// See [`Store::claim_one`](crate::journal::Store::claim_one).
pub(super) fn claim_one(
    tx: &Tx<'_>,
    liveness: &Liveness,
    runner: RunnerId,
    task: TaskId,
    now_ms: i64,
) -> Result<Option<Lease>, Fault> {
    free_dead(tx, liveness, runner, now_ms)?;
    match head(tx, task)? {
        Some(head) if !head.ended && head.runner.is_none_or(|other| other == runner) => {
            Ok(Some(lease(tx, runner, head.number, task, now_ms)?))
        }
        _ => Ok(None),
    }
}

fn lease(
    tx: &Tx<'_>,
    runner: RunnerId,
    number: i64,
    task: TaskId,
    now_ms: i64,
) -> rusqlite::Result<Lease> {
    know(tx, runner, now_ms)?;
    let epoch: i64 = tx
        .prepare_cached(
            "UPDATE tasks SET runner = ?2, epoch = epoch + 1, wake_at_ms = NULL
             WHERE number = ?1 RETURNING epoch",
        )?
        .query_row([number, runner.bits().cast_signed()], |row| row.get(0))?;
    Ok(Lease { task, runner, epoch: epoch.cast_unsigned() })
}

/// Makes sure that a runner is known. One that never renewed holds its leases from now until now:
/// anyone may take over.
pub(super) fn know(db: &Connection, runner: RunnerId, now_ms: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO runners (id, until_ms) VALUES (?1, ?2)")?
        .execute([runner.bits().cast_signed(), now_ms])?;
    Ok(())
}

/// Frees the tasks of every runner that is gone or has let its leases run out, whatever their
/// functions: the one that could run them may not be there to look.
fn free_dead(tx: &Tx<'_>, liveness: &Liveness, me: RunnerId, now_ms: i64) -> rusqlite::Result<()> {
    let others: Vec<(i64, i64)> = tx
        .prepare_cached("SELECT id, until_ms FROM runners WHERE id <> ?1")?
        .query_map([me.bits().cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (stored, until_ms) in others {
        let runner = runner_id(stored);
        if until_ms <= now_ms || liveness.is_dead(runner) {
            remove_runner(tx, runner)?;
            liveness.forget(runner);
        }
    }
    Ok(())
}

/// See [`Store::retire`](crate::journal::Store::retire).
pub(super) fn retire(tx: &Tx<'_>, liveness: &Liveness, runner: RunnerId) -> Result<(), Fault> {
    remove_runner(tx, runner)?;
    liveness.forget(runner);
    Ok(())
}

fn remove_runner(tx: &Tx<'_>, runner: RunnerId) -> rusqlite::Result<()> {
    let stored = runner.bits().cast_signed();
    let freed = tx
        .prepare_cached(
            "UPDATE tasks INDEXED BY tasks_open SET runner = NULL, wake_at_ms = created_at_ms
             WHERE runner = ?1 AND status IN ('working', 'input_required')",
        )?
        .execute([stored])?;
    if freed > 0 {
        tx.changed();
    }
    tx.prepare_cached("DELETE FROM runners WHERE id = ?1")?.execute([stored])?;
    Ok(())
}

/// See [`Store::release`](crate::journal::Store::release). A task that is due now is due since its
/// creation: no clock is asked, and none can be behind it.
pub(super) fn release(tx: &Tx<'_>, lease: &Lease, wake: Wake, seen: u64) -> Result<(), Fault> {
    let (now, at) = match wake {
        Wake::Now => (true, None),
        Wake::At(at_ms) => (false, Some(at_ms)),
        Wake::OnSignal => (false, None),
    };
    let freed = tx
        .prepare_cached(
            "UPDATE tasks SET runner = NULL,
                 wake_at_ms = CASE WHEN ?4 OR nudges > ?6 THEN created_at_ms ELSE ?5 END
             WHERE id = ?1 AND runner = ?2 AND epoch = ?3",
        )?
        .execute(params![
            lease.task.bits().to_be_bytes(),
            lease.runner.bits().cast_signed(),
            lease.epoch.cast_signed(),
            now,
            at,
            i64::try_from(seen).unwrap_or(i64::MAX),
        ])?;
    if freed > 0 {
        tx.changed();
    }
    Ok(())
}

/// See [`Store::next_due`](crate::journal::Store::next_due).
pub(super) fn next_due(db: &Connection, functions: &[String]) -> Result<Option<i64>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT min(wake_at_ms) FROM tasks WHERE function = ?1 AND wake_at_ms IS NOT NULL",
    )?;
    let mut earliest = None;
    for function in functions {
        let due: Option<i64> = query.query_row([function], |row| row.get(0))?;
        earliest = [earliest, due].into_iter().flatten().min();
    }
    Ok(earliest)
}

/// A bound on rows as SQLite takes it.
pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
