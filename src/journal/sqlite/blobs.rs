//! Large payloads, stored once by content whatever number of events hold them.
//!
//! A task's use of a blob is a row of its own; a blob goes with its last use.

use rusqlite::{Connection, OptionalExtension, params};

use super::codec::Blob;
use super::fault::Fault;
use super::pack::Unpacker;
use crate::journal::{Hash, Payload};

/// Stores a blob unless it is there, and notes that the task holds it.
pub(super) fn put(db: &Connection, task: i64, blob: &Blob) -> rusqlite::Result<()> {
    let found = db
        .prepare_cached("SELECT number FROM blobs WHERE hash = ?1")?
        .query_row([blob.hash.bytes()], |row| row.get(0))
        .optional()?;
    let number: i64 = match found {
        Some(number) => number,
        None => db
            .prepare_cached("INSERT INTO blobs (hash, bytes, data) VALUES (?1, ?2, ?3)")?
            .insert(params![blob.hash.bytes(), blob.bytes.cast_signed(), blob.data])?,
    };
    db.prepare_cached("INSERT OR IGNORE INTO blob_uses (task, blob) VALUES (?1, ?2)")?
        .execute([task, number])?;
    Ok(())
}

/// Reads a payload back.
///
/// # Errors
/// [`Fault::Damaged`] when it is missing, or is not what its hash says.
pub(super) fn get(db: &Connection, hash: Hash, unpacker: &mut Unpacker) -> Result<Payload, Fault> {
    let mut query = db.prepare_cached("SELECT bytes, data FROM blobs WHERE hash = ?1")?;
    let (bytes, data): (i64, Vec<u8>) = query
        .query_row([hash.bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or_else(|| Fault::Damaged(format!("blob {hash} is missing")))?;
    let damaged = |why: String| Fault::Damaged(format!("blob {hash}: {why}"));
    let bytes = usize::try_from(bytes).map_err(|error| damaged(error.to_string()))?;
    let text = if data.len() == bytes {
        data
    } else {
        unpacker.unpack(&data, bytes).map_err(|error| damaged(error.to_string()))?
    };
    if Hash::of(&text) != hash {
        return Err(damaged("its content has changed".to_owned()));
    }
    let text = String::from_utf8(text).map_err(|error| damaged(error.to_string()))?;
    Payload::from_json(text).map_err(|error| damaged(error.to_string()))
}

/// Ends a task's uses of blobs, and removes those that nobody holds any more.
pub(super) fn forget_task(db: &Connection, task: i64) -> rusqlite::Result<()> {
    let numbers: Vec<i64> = db
        .prepare_cached("DELETE FROM blob_uses WHERE task = ?1 RETURNING blob")?
        .query_map([task], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut remove = db.prepare_cached(
        "DELETE FROM blobs WHERE number = ?1
         AND NOT EXISTS (SELECT 1 FROM blob_uses WHERE blob = ?1)",
    )?;
    for number in numbers {
        remove.execute([number])?;
    }
    Ok(())
}
