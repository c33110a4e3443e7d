//! Tasks as wholes: created, looked up, listed, removed.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Statement, params, params_from_iter};

use super::blobs;
use super::codec::Encoded;
use super::committer::Tx;
use super::events::{insert, runner_id};
use super::fault::Fault;
use super::leases::{know, sql_limit};
use super::newest;
use crate::journal::{Created, Error, Filter, Hash, NewTask, ParentLink, Status, Task, TaskId};
use crate::limits;

/// What a second call with the same idempotency key must have in common with the first.
fn request(task: &NewTask) -> Hash {
    Hash::of(task.function.as_bytes()).then(task.name.as_bytes()).then(task.input.json().as_bytes())
}

/// See [`Store::create`](crate::journal::Store::create).
pub(super) fn create(tx: &Tx<'_>, task: &NewTask, first: &[Encoded]) -> Result<Created, Fault> {
    let request = request(task);
    // Among others, an id alone is looked for by the insert.
    if (task.idempotency_key.is_some() || task.owner_tasks_max.is_some() || tx.may_leave_newest)
        && let Some(found) = find(tx, task)?
    {
        return existing(task, found, request);
    }
    if let Some(max) = task.owner_tasks_max
        && under_way(tx, task.owner.as_deref(), max)? >= max
    {
        return Err(Error::TooManyTasks { max }.into());
    }
    if newest::put(tx, task, request, first)? {
        return Ok(Created::New(task.id));
    }
    let lease = task.lease();
    let mut row = tx.prepare_cached(
        "INSERT INTO tasks (id, function, name, owner, parent, parent_key, parent_depth,
             idempotency_key, request, created_at_ms, ttl_ms, runner, status, updated_at_ms,
             wake_at_ms, epoch)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?10, ?14, ?15)
         ON CONFLICT (id) DO NOTHING",
    )?;
    bind(&mut row, task, request)?;
    row.raw_bind_parameter(13, Status::Working.as_str())?;
    row.raw_bind_parameter(14, lease.is_none().then_some(task.created_at_ms))?;
    row.raw_bind_parameter(15, lease.map_or(0, |lease| lease.epoch.cast_signed()))?;
    if row.raw_execute()? == 0 {
        let found = find(tx, task)?;
        let found = found.ok_or_else(|| {
            Fault::Damaged(format!("task {} is in an index and in no row", task.id))
        })?;
        return existing(task, found, request);
    }
    let number = tx.last_insert_rowid();
    if let Some(lease) = lease {
        know(tx, lease.runner, task.created_at_ms)?;
    }
    for record in first {
        insert(tx, number, record)?;
    }
    tx.changed();
    Ok(Created::New(task.id))
}

/// Binds the first twelve parameters: what is known of a task from its creation on, as `id, function, name,
/// owner, parent, parent_key, parent_depth, idempotency_key, request, created_at_ms, ttl_ms, runner`.
pub(super) fn bind(
    insert: &mut Statement<'_>,
    task: &NewTask,
    request: Hash,
) -> rusqlite::Result<()> {
    let parent = task.parent.as_ref();
    let ttl_ms = task.ttl_ms.map(|ttl_ms| i64::try_from(ttl_ms).unwrap_or(i64::MAX));
    let columns = params![
        task.id.bits().to_be_bytes(),
        task.function,
        task.name,
        task.owner,
        parent.map(|parent| parent.task.bits().to_be_bytes()),
        parent.map(|parent| &parent.key),
        parent.map(|parent| parent.depth),
        task.idempotency_key,
        request.bytes(),
        task.created_at_ms,
        ttl_ms,
        task.runner.map(|runner| runner.bits().cast_signed()),
    ];
    for (parameter, value) in (1_usize..).zip(columns) {
        insert.raw_bind_parameter(parameter, value)?;
    }
    Ok(())
}

/// The answer to a call that has its task already.
fn existing(
    task: &NewTask,
    (id, stored): (TaskId, [u8; 16]),
    request: Hash,
) -> Result<Created, Fault> {
    if stored == *request.bytes() {
        return Ok(Created::Existing(id));
    }
    let key = task.idempotency_key.clone().unwrap_or_else(|| task.id.to_string());
    Err(Error::KeyReused { key }.into())
}

/// The task that stands for the same id or idempotency key, and the hash of its request.
fn find(tx: &Tx<'_>, task: &NewTask) -> rusqlite::Result<Option<(TaskId, [u8; 16])>> {
    let map = |row: &Row<'_>| Ok((task_id(row.get(0)?), row.get(1)?));
    let by_id = tx
        .prepare_cached("SELECT id, request FROM tasks WHERE id = ?1")?
        .query_row([task.id.bits().to_be_bytes()], map)
        .optional()?;
    if by_id.is_some() || task.idempotency_key.is_none() {
        return Ok(by_id);
    }
    tx.prepare_cached("SELECT id, request FROM tasks WHERE idempotency_key = ?1 AND owner IS ?2")?
        .query_row(params![task.idempotency_key, task.owner], map)
        .optional()
}

/// How many tasks of an owner have not ended, children left out; counts no further than `max`.
fn under_way(tx: &Tx<'_>, owner: Option<&str>, max: usize) -> rusqlite::Result<usize> {
    let limit = i64::try_from(max).unwrap_or(i64::MAX);
    let found: i64 = tx
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM tasks INDEXED BY tasks_open
             WHERE owner IS ?1 AND parent_depth IS NULL
                 AND status IN ('working', 'input_required')
             LIMIT ?2)",
        )?
        .query_row(params![owner, limit], |row| row.get(0))?;
    Ok(usize::try_from(found).unwrap_or(max))
}

/// What is told of a task.
const SELECT: &str = "SELECT id, function, name, owner, parent, parent_key, parent_depth, status,
    message, created_at_ms, updated_at_ms, ttl_ms, wake_at_ms, runner, epoch, cancel_requested,
    (SELECT max(seq) + 1 FROM events WHERE task = tasks.number) AS events FROM tasks";

/// See [`Store::task`](crate::journal::Store::task).
pub(super) fn get(db: &Connection, task: TaskId) -> Result<Option<Task>, Fault> {
    // In one statement, because a task may be put in its place between two.
    let newest = newest::SELECT;
    db.prepare_cached(&format!("{newest} WHERE id = ?1 UNION ALL {SELECT} WHERE id = ?1"))?
        .query_and_then([task.bits().to_be_bytes()], read)?
        .next()
        .transpose()
}

/// See [`Store::tasks`](crate::journal::Store::tasks).
pub(super) fn list(db: &Connection, filter: &Filter) -> Result<Vec<Task>, Fault> {
    let mut wanted = vec!["true".to_owned()];
    let mut values = Vec::new();
    let mut want = |condition: &str, value: &mut dyn Iterator<Item = Value>| {
        wanted.push(condition.to_owned());
        values.extend(value);
    };
    let blob = |task: TaskId| Value::Blob(task.bits().to_be_bytes().to_vec());
    match &filter.owner {
        Some(Some(owner)) => want("owner = ?", &mut [owner.clone().into()].into_iter()),
        Some(None) => want("owner IS NULL", &mut [].into_iter()),
        None => {}
    }
    if !filter.status.is_empty() {
        let marks = vec!["?"; filter.status.len()].join(", ");
        let mut words = filter.status.iter().map(|status| status.as_str().to_owned().into());
        want(&format!("status IN ({marks})"), &mut words);
    }
    if let Some(parent) = filter.parent {
        want("parent = ?", &mut [blob(parent)].into_iter());
    }
    if let Some(prefix) = &filter.id_prefix {
        let Some((first, last)) = id_range(prefix) else { return Ok(Vec::new()) };
        want("id BETWEEN ? AND ?", &mut [blob(first), blob(last)].into_iter());
    }
    if let Some(after) = filter.after {
        let number: i64 = db
            .prepare_cached(
                "SELECT number FROM tasks WHERE id = ?1
                 UNION ALL SELECT number FROM newest WHERE id = ?1",
            )?
            .query_row([after.bits().to_be_bytes()], |row| row.get(0))
            .optional()?
            .ok_or(Error::UnknownTask { task: after })?;
        want("number < ?", &mut [number.into()].into_iter());
    }
    values.push(sql_limit(filter.limit).into());
    let wanted = wanted.join(" AND ");
    let mut tasks = Vec::new();
    for select in [newest::SELECT, SELECT] {
        db.prepare_cached(&format!("{select} WHERE {wanted} ORDER BY number DESC LIMIT ?"))?
            .query_and_then(params_from_iter(&values), read)?
            .try_for_each(|task| task.map(|task| tasks.push(task)))?;
    }
    tasks.truncate(filter.limit);
    Ok(tasks)
}

/// The first and the last id that begin with these hex digits.
fn id_range(prefix: &str) -> Option<(TaskId, TaskId)> {
    let id = |fill: &str| {
        format!("{prefix}{}", fill.repeat(32_usize.checked_sub(prefix.len())?)).parse().ok()
    };
    Some((id("0")?, id("f")?))
}

fn task_id(stored: [u8; 16]) -> TaskId {
    TaskId::from_bits(u128::from_be_bytes(stored))
}

fn read(row: &Row<'_>) -> Result<Task, Fault> {
    let id = task_id(row.get("id")?);
    let damaged = |what: &str| Fault::Damaged(format!("task {id}: {what}"));
    let parent = match row.get::<_, Option<[u8; 16]>>("parent")? {
        None => None,
        Some(parent) => Some(ParentLink {
            task: task_id(parent),
            key: row.get("parent_key")?,
            depth: row.get("parent_depth")?,
        }),
    };
    Ok(Task {
        id,
        function: row.get("function")?,
        name: row.get("name")?,
        owner: row.get("owner")?,
        parent,
        status: status(row.get_ref("status")?.as_str()?)
            .ok_or_else(|| damaged("its state is unknown to this version"))?,
        message: row.get("message")?,
        created_at_ms: row.get("created_at_ms")?,
        updated_at_ms: row.get("updated_at_ms")?,
        ttl_ms: row.get::<_, Option<i64>>("ttl_ms")?.map(i64::cast_unsigned),
        wake_at_ms: row.get("wake_at_ms")?,
        runner: row.get::<_, Option<i64>>("runner")?.map(runner_id),
        epoch: row.get::<_, i64>("epoch")?.cast_unsigned(),
        cancel_requested: row.get("cancel_requested")?,
        events: row.get::<_, Option<i64>>("events")?.unwrap_or(0).cast_unsigned(),
    })
}

fn status(word: &str) -> Option<Status> {
    [
        Status::Working,
        Status::InputRequired,
        Status::Completed,
        Status::Failed,
        Status::Cancelled,
        Status::Stopped,
    ]
    .into_iter()
    .find(|status| status.as_str() == word)
}

/// See [`Store::purge`](crate::journal::Store::purge). A child is kept while its parent runs: one
/// that is gone would be started, and would run, once more.
pub(super) fn purge(tx: &Tx<'_>, now_ms: i64, limit: usize) -> Result<usize, Fault> {
    let expired: Vec<i64> = tx
        .prepare_cached(
            "SELECT number FROM tasks WHERE ttl_ms IS NOT NULL
                 AND status NOT IN ('working', 'input_required')
                 AND created_at_ms + ttl_ms <= ?1
                 AND NOT EXISTS (
                     SELECT 1 FROM tasks AS above WHERE above.id = tasks.parent
                         AND above.status IN ('working', 'input_required'))
             ORDER BY created_at_ms + ttl_ms LIMIT ?2",
        )?
        .query_map([now_ms, sql_limit(limit)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    delete(tx, &expired)?;
    Ok(expired.len())
}

/// See [`Store::remove`](crate::journal::Store::remove).
pub(super) fn remove(tx: &Tx<'_>, task: TaskId) -> Result<bool, Fault> {
    let ended: Option<i64> = tx
        .prepare_cached(
            "SELECT number FROM tasks
             WHERE id = ?1 AND status NOT IN ('working', 'input_required')",
        )?
        .query_row([task.bits().to_be_bytes()], |row| row.get(0))
        .optional()?;
    delete(tx, ended.as_slice())?;
    Ok(ended.is_some())
}

fn delete(tx: &Tx<'_>, numbers: &[i64]) -> rusqlite::Result<()> {
    if numbers.is_empty() {
        return Ok(());
    }
    for &number in numbers {
        blobs::forget_task(tx, number)?;
        tx.prepare_cached("DELETE FROM events WHERE task = ?1")?.execute([number])?;
        tx.prepare_cached("DELETE FROM signals WHERE task = ?1")?.execute([number])?;
        tx.prepare_cached("DELETE FROM tasks WHERE number = ?1")?.execute([number])?;
    }
    // One row a page that is given back.
    let mut vacuum = tx.prepare(&format!("PRAGMA incremental_vacuum({})", limits::VACUUM_PAGES))?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    tx.changed();
    Ok(())
}
