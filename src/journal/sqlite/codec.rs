//! How an event lies in a row.
//!
//! ```text
//! byte 0            bit 0: the text is packed, with dictionary 1
//!                   bits 1 and 2: how many payloads were moved out
//! 17 bytes each     a moved payload: its slot, then its blob's hash
//! 4 bytes           only where the text is packed: its unpacked length, little-endian
//! the rest          the event's JSON, as it is or packed into a zstd frame
//! ```
//!
//! A payload over [`limits::INLINE_PAYLOAD_BYTES`] is moved out into a blob and leaves `null` behind.
//! What was moved stands in the header, never in the text, so no JSON that a user can write is taken
//! for a reference. A slot is a payload's place in its event: see [`Event::payloads_mut`].

use std::borrow::Cow;

use super::fault::Fault;
use super::pack::{Unpacker, pack};
use crate::journal::{Error, Event, Hash, Payload, Record, Result, Status};
use crate::limits;

const PACKED: u8 = 0b001;
const MOVED_SHIFT: u32 = 1;
const MOVED_MASK: u8 = 0b110;
const MOVED_BYTES: usize = 17;

/// A payload that is stored by its content.
pub(super) struct Blob {
    pub(super) hash: Hash,
    /// The length of its JSON text.
    pub(super) bytes: usize,
    /// Packed where that is shorter than the text.
    pub(super) data: Vec<u8>,
}

impl Blob {
    fn of(payload: &Payload) -> Self {
        let text = payload.json().as_bytes();
        let data = pack(text).unwrap_or_else(|| text.to_vec());
        Self { hash: payload.hash(), bytes: text.len(), data }
    }
}

/// A record ready to be written.
pub(super) struct Encoded {
    pub(super) seq: u64,
    pub(super) at_ms: i64,
    pub(super) body: Vec<u8>,
    pub(super) blobs: Vec<Blob>,
    /// The task's state after it, where it changes that.
    pub(super) status: Option<Status>,
    /// Whether it wakes the task's parent.
    pub(super) concerns_parent: bool,
}

/// Makes a record's row and blobs. Pure work: it is done before the writer is asked for anything.
///
/// # Errors
/// [`Error::TooLarge`] for a payload, or for all else in the event.
pub(super) fn encode(record: Record) -> Result<Encoded> {
    let Record { seq, at_ms, mut event } = record;
    let status = event.status();
    let concerns_parent = event.concerns_parent();
    let mut moved = Vec::new();
    let mut blobs = Vec::new();
    for (slot, payload) in (0u8..).zip(event.payloads_mut()) {
        let Some(payload) = payload else { continue };
        let bytes = payload.json().len();
        if bytes > limits::INLINE_PAYLOAD_BYTES {
            bounded(bytes, || format!("a payload of event {seq}"))?;
            let blob = Blob::of(payload);
            moved.push(slot);
            moved.extend_from_slice(blob.hash.bytes());
            blobs.push(blob);
            *payload = Payload::null();
        }
    }
    let text = serde_json::to_vec(&event).map_err(|error| Error::Unavailable {
        operation: "write",
        why: format!("event {seq} has no JSON form: {error}"),
    })?;
    bounded(text.len(), || format!("event {seq}"))?;
    let count = u8::try_from(blobs.len()).unwrap_or(u8::MAX);
    let pack_bytes = match event {
        Event::TaskCreated { .. } => limits::PACK_FIRST_BYTES,
        _ => limits::PACK_BYTES,
    };
    let body = body(count << MOVED_SHIFT, &moved, &text, pack_bytes);
    Ok(Encoded { seq, at_ms, body, blobs, status, concerns_parent })
}

/// How much JSON text of payloads an event carries: what encoding it costs.
pub(super) fn payload_bytes(record: &mut Record) -> usize {
    record.event.payloads_mut().into_iter().flatten().map(|payload| payload.json().len()).sum()
}

/// Refuses what is over [`limits::PAYLOAD_MAX_BYTES`].
pub(super) fn bounded(bytes: usize, what: impl FnOnce() -> String) -> Result<()> {
    let max_bytes = limits::PAYLOAD_MAX_BYTES;
    if bytes > max_bytes {
        return Err(Error::TooLarge { what: what(), bytes, max_bytes });
    }
    Ok(())
}

/// A row. A text is packed beyond so many bytes.
fn body(flags: u8, moved: &[u8], text: &[u8], pack_bytes: usize) -> Vec<u8> {
    let packed = if text.len() > pack_bytes { pack(text) } else { None };
    let mut body = Vec::with_capacity(5 + moved.len() + text.len());
    body.push(flags | if packed.is_some() { PACKED } else { 0 });
    body.extend_from_slice(moved);
    match packed {
        Some(packed) => {
            // Bounded above by PAYLOAD_MAX_BYTES, which is far below 4 GiB.
            body.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend_from_slice(&packed);
        }
        None => body.extend_from_slice(text),
    }
    body
}

/// A row taken apart: the moved payloads by slot, and the JSON text.
#[derive(PartialEq)]
pub(super) struct Parts<'a> {
    moved: Vec<(u8, Hash)>,
    text: Cow<'a, [u8]>,
}

/// Takes a row apart. Two rows with equal parts hold the same event, however they were packed.
pub(super) fn parts<'a>(body: &'a [u8], unpacker: &mut Unpacker) -> Result<Parts<'a>, Fault> {
    split(body, unpacker).map_err(|why| Fault::Damaged(format!("an event's row: {why}")))
}

fn split<'a>(body: &'a [u8], unpacker: &mut Unpacker) -> Result<Parts<'a>, String> {
    let short = || "it is cut short".to_owned();
    let (&flags, rest) = body.split_first().ok_or_else(short)?;
    if flags & !(PACKED | MOVED_MASK) != 0 {
        return Err(format!("its flags {flags:#04x} are unknown"));
    }
    let count = usize::from((flags & MOVED_MASK) >> MOVED_SHIFT);
    let (header, rest) = rest.split_at_checked(count * MOVED_BYTES).ok_or_else(short)?;
    let moved = header
        .chunks_exact(MOVED_BYTES)
        .map(|entry| {
            let mut hash = [0; 16];
            hash.copy_from_slice(&entry[1..]);
            (entry[0], Hash::from_bytes(hash))
        })
        .collect();
    if flags & PACKED == 0 {
        return Ok(Parts { moved, text: Cow::Borrowed(rest) });
    }
    let (bytes, packed) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let bytes = usize::try_from(u32::from_le_bytes(*bytes)).map_err(|error| error.to_string())?;
    let text = unpacker.unpack(packed, bytes).map_err(|error| error.to_string())?;
    Ok(Parts { moved, text: Cow::Owned(text) })
}

/// Reads an event back; `blob` finds a moved payload by its hash.
///
/// # Errors
/// [`Fault::Damaged`] for a row that holds no event that this version knows.
pub(super) fn decode(
    body: &[u8],
    unpacker: &mut Unpacker,
    mut blob: impl FnMut(Hash, &mut Unpacker) -> Result<Payload, Fault>,
) -> Result<Event, Fault> {
    let Parts { moved, text } = parts(body, unpacker)?;
    let mut event: Event = serde_json::from_slice(&text)
        .map_err(|error| Fault::Damaged(format!("an event that cannot be read: {error}")))?;
    for (slot, hash) in moved {
        let payload = blob(hash, unpacker)?;
        match event.payloads_mut().into_iter().nth(usize::from(slot)).flatten() {
            Some(place) => *place = payload,
            None => return Err(Fault::Damaged(format!("an event has no payload {slot}"))),
        }
    }
    Ok(event)
}
