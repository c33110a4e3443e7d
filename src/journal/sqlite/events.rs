//! Appending events and reading them back.

use rusqlite::{Connection, OptionalExtension, Rows, params};

use super::codec::{Encoded, bounded, decode, encode, parts};
use super::committer::Tx;
use super::fault::Fault;
use super::pack::Unpacker;
use super::{blobs, newest, signals};
use crate::journal::{
    End, Error, Event, IllegalEvent, Lease, Record, Result, RunnerId, Status, TaskId,
};
use crate::limits;

/// What an append or a claim must know of a task.
pub(super) struct Head {
    pub(super) number: i64,
    pub(super) runner: Option<RunnerId>,
    pub(super) epoch: u64,
    pub(super) ended: bool,
    next_seq: u64,
}

pub(super) fn head(db: &Connection, task: TaskId) -> rusqlite::Result<Option<Head>> {
    db.prepare_cached(
        "SELECT number, runner, epoch, status NOT IN ('working', 'input_required'),
                (SELECT max(seq) + 1 FROM events WHERE task = tasks.number)
         FROM tasks WHERE id = ?1",
    )?
    .query_row([task.bits().to_be_bytes()], |row| {
        Ok(Head {
            number: row.get(0)?,
            runner: row.get::<_, Option<i64>>(1)?.map(runner_id),
            epoch: row.get::<_, i64>(2)?.cast_unsigned(),
            ended: row.get(3)?,
            next_seq: row.get::<_, Option<i64>>(4)?.unwrap_or(0).cast_unsigned(),
        })
    })
    .optional()
}

pub(super) fn runner_id(stored: i64) -> RunnerId {
    RunnerId::from_bits(stored.cast_unsigned())
}

/// Checks and encodes the records of one append.
///
/// # Errors
/// [`Error::Gap`] between two of them, [`Error::Illegal`] for one after the task's end,
/// [`Error::TooLarge`].
pub(super) fn encode_all(
    task: TaskId,
    records: Vec<Record>,
    message: Option<&str>,
) -> Result<Vec<Encoded>> {
    bounded(message.map_or(0, str::len), || "the task's message".to_owned())?;
    let mut encoded: Vec<Encoded> = Vec::with_capacity(records.len());
    for record in records {
        if let Some(last) = encoded.last() {
            let (seq, next) = (record.seq, last.seq + 1);
            if seq != next {
                return Err(Error::Gap { task, seq, next });
            }
            if last.status.is_some_and(Status::is_ended) {
                let why = "the task has already ended".to_owned();
                let source = IllegalEvent { seq, why, event: Box::new(record.event) };
                return Err(Error::Illegal { task, source });
            }
        }
        encoded.push(encode(record)?);
    }
    Ok(encoded)
}

/// See [`Store::append`](crate::journal::Store::append).
pub(super) fn append(
    tx: &Tx<'_>,
    lease: &Lease,
    records: &[Encoded],
    message: Option<&str>,
) -> Result<(), Fault> {
    let task = lease.task;
    let head = head(tx, task)?.ok_or(Error::UnknownTask { task })?;
    let known = already_there(tx, &head, records)?;
    let new = &records[known..];
    if head.runner != Some(lease.runner) || head.epoch != lease.epoch {
        // The reply to an append that ended the task, or came before the lease was lost.
        if new.is_empty() && known > 0 {
            return Ok(());
        }
        return Err(Error::LeaseLost { task, epoch: lease.epoch }.into());
    }
    if let Some(first) = new.first()
        && first.seq != head.next_seq
    {
        return Err(Error::Gap { task, seq: first.seq, next: head.next_seq }.into());
    }
    for record in new {
        insert(tx, head.number, record)?;
    }
    let last = records.last();
    if let Some(message) = message {
        tx.prepare_cached(
            "UPDATE tasks SET message = ?2, updated_at_ms = ifnull(?3, updated_at_ms)
             WHERE number = ?1",
        )?
        .execute(params![head.number, message, last.map(|last| last.at_ms)])?;
        tx.changed();
    }
    let changed = new.iter().rev().find_map(|record| record.status.map(|to| (to, record.at_ms)));
    if let Some((status, at_ms)) = changed {
        if status.is_ended() {
            end_task(tx, head.number, status, at_ms)?;
        } else {
            set_status(tx, head.number, status, at_ms)?;
        }
    }
    if let Some(news) = new.iter().rfind(|record| record.concerns_parent) {
        nudge_parent(tx, head.number, news.at_ms)?;
    }
    Ok(())
}

fn set_status(tx: &Tx<'_>, task: i64, status: Status, at_ms: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE tasks SET status = ?2, updated_at_ms = ?3 WHERE number = ?1")?
        .execute(params![task, status.as_str(), at_ms])?;
    tx.changed();
    Ok(())
}

/// See [`Store::resume`](crate::journal::Store::resume).
pub(super) fn resume(tx: &Tx<'_>, task: TaskId, records: &[Encoded]) -> Result<bool, Fault> {
    let head = head(tx, task)?.ok_or(Error::UnknownTask { task })?;
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(false) };
    if first.seq != head.next_seq {
        return Err(Error::Gap { task, seq: first.seq, next: head.next_seq }.into());
    }
    // A task that is due now is due since its creation: see `release`.
    let resumed = tx
        .prepare_cached(
            "UPDATE tasks SET status = ?2, updated_at_ms = ?3, wake_at_ms = created_at_ms
             WHERE number = ?1 AND status = ?4",
        )?
        .execute(params![
            head.number,
            Status::Working.as_str(),
            last.at_ms,
            Status::Stopped.as_str()
        ])?;
    if resumed == 0 {
        return Ok(false);
    }
    for record in records {
        insert(tx, head.number, record)?;
    }
    tx.changed();
    Ok(true)
}

/// How many of the records, from the first on, are stored already to the letter.
fn already_there(tx: &Tx<'_>, head: &Head, records: &[Encoded]) -> Result<usize, Fault> {
    let Some(first) = records.first().filter(|first| first.seq < head.next_seq) else {
        return Ok(0);
    };
    let mut query = tx.prepare_cached(
        "SELECT seq, at_ms, body FROM events
         WHERE task = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq, part",
    )?;
    let last = records.last().map_or(first.seq, |last| last.seq);
    let mut rows =
        query.query(params![head.number, first.seq.cast_signed(), last.cast_signed()])?;
    let mut unpacker = Unpacker::default();
    let mut known = 0;
    let mut same = true;
    each_event(&mut rows, |_, at_ms, body| {
        let record = &records[known];
        same = same
            && at_ms == record.at_ms
            && parts(body, &mut unpacker)? == parts(&record.body, &mut unpacker)?;
        known += usize::from(same);
        Ok(())
    })?;
    Ok(known)
}

/// Writes one record and its blobs.
pub(super) fn insert(tx: &Tx<'_>, task: i64, record: &Encoded) -> rusqlite::Result<()> {
    insert_body(tx, task, record.seq, record.at_ms, &record.body)?;
    for blob in &record.blobs {
        blobs::put(tx, task, blob)?;
    }
    Ok(())
}

pub(super) fn insert_body(
    db: &Connection,
    task: i64,
    seq: u64,
    at_ms: i64,
    body: &[u8],
) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT INTO events (task, seq, part, at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (part, body) in body.chunks(limits::EVENT_ROW_BYTES).enumerate() {
        insert.execute(params![task, seq.cast_signed(), part.cast_signed(), at_ms, body])?;
    }
    Ok(())
}

fn end_task(tx: &Tx<'_>, task: i64, status: Status, at_ms: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE tasks SET status = ?2, updated_at_ms = ?3, runner = NULL, wake_at_ms = NULL
         WHERE number = ?1",
    )?
    .execute(params![task, status.as_str(), at_ms])?;
    tx.changed();
    Ok(())
}

fn nudge_parent(tx: &Tx<'_>, task: i64, at_ms: i64) -> rusqlite::Result<()> {
    let parent: Option<[u8; 16]> = tx
        .prepare_cached("SELECT parent FROM tasks WHERE number = ?1")?
        .query_row([task], |row| row.get(0))?;
    if let Some(parent) = parent {
        signals::nudge(tx, TaskId::from_bits(u128::from_be_bytes(parent)), at_ms)?;
        tx.changed();
    }
    Ok(())
}

/// See [`Store::history`](crate::journal::Store::history).
pub(super) fn history(db: &Connection, task: TaskId, from_seq: u64) -> Result<Vec<Record>, Fault> {
    if let Some((at_ms, body)) = newest::event(db, task)? {
        let event = event(db, task, 0, &body, &mut Unpacker::default())?;
        let only = Record { seq: 0, at_ms, event };
        return Ok(Vec::from_iter((from_seq == 0).then_some(only)));
    }
    let mut query = db.prepare_cached(
        "SELECT seq, at_ms, body FROM events
         WHERE task = (SELECT number FROM tasks WHERE id = ?1) AND seq >= ?2 ORDER BY seq, part",
    )?;
    let from = i64::try_from(from_seq).unwrap_or(i64::MAX);
    let mut rows = query.query(params![task.bits().to_be_bytes(), from])?;
    let mut unpacker = Unpacker::default();
    let mut records = Vec::new();
    each_event(&mut rows, |seq, at_ms, body| {
        let event = event(db, task, seq, body, &mut unpacker)?;
        records.push(Record { seq, at_ms, event });
        Ok(())
    })?;
    Ok(records)
}

/// See [`Store::end`](crate::journal::Store::end).
pub(super) fn end(db: &Connection, task: TaskId) -> Result<Option<End>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT seq, at_ms, body FROM tasks JOIN events ON task = tasks.number
         WHERE id = ?1 AND status NOT IN ('working', 'input_required')
             AND seq = (SELECT max(seq) FROM events WHERE task = tasks.number)
         ORDER BY part",
    )?;
    let mut rows = query.query([task.bits().to_be_bytes()])?;
    let mut end = None;
    each_event(&mut rows, |seq, _, body| {
        end = event(db, task, seq, body, &mut Unpacker::default())?.end();
        Ok(())
    })?;
    Ok(end)
}

/// Puts the parts of each event's body together. The rows are seq, time and body, in order.
fn each_event(
    rows: &mut Rows<'_>,
    mut take: impl FnMut(u64, i64, &[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut body = Vec::new();
    let mut open = None;
    while let Some(row) = rows.next()? {
        let seq = row.get::<_, i64>(0)?.cast_unsigned();
        if let Some((before, at_ms)) = open
            && before != seq
        {
            take(before, at_ms, &body)?;
            body.clear();
        }
        open = Some((seq, row.get(1)?));
        body.extend_from_slice(row.get_ref(2)?.as_bytes()?);
    }
    match open {
        Some((seq, at_ms)) => take(seq, at_ms, &body),
        None => Ok(()),
    }
}

fn event(
    db: &Connection,
    task: TaskId,
    seq: u64,
    body: &[u8],
    unpacker: &mut Unpacker,
) -> Result<Event, Fault> {
    decode(body, unpacker, |hash, unpacker| blobs::get(db, hash, unpacker)).map_err(|fault| {
        match fault {
            Fault::Damaged(why) => Fault::Damaged(format!("task {task}, event {seq}: {why}")),
            other => other,
        }
    })
}
