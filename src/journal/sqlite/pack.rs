//! Compression of what a row holds. It knows bytes only, never what they mean.
//!
//! Events are short and much alike: compressed by themselves they hardly shrink, against a
//! dictionary of their common parts to less than half. The dictionary is part of the stored format
//! and is never edited; a better one is a new file, and a new flag in [`codec`](super::codec).

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::limits;

/// zstd's level. Higher ones win a few percent on JSON for several times the time.
const LEVEL: i32 = 1;

const DICTIONARY: &[u8] = include_bytes!("dictionary.1.txt");

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));

static DECODER: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    /// Setting up a compressor costs more than compressing an event with it.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// The compressed form, where it is shorter.
pub(super) fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    // A failing compressor costs room and nothing else: the bytes are then stored as they are.
    COMPRESSOR
        .with_borrow_mut(|kept| {
            let compressor = match kept {
                Some(compressor) => compressor,
                none => none.insert(Compressor::with_prepared_dictionary(&ENCODER)?),
            };
            compressor.compress(bytes)
        })
        .ok()
        .filter(|packed| packed.len() < bytes.len())
}

/// Takes apart what [`pack`] made. One is used for a whole read: its working memory is the cost.
#[derive(Default)]
pub(super) struct Unpacker(Option<Decompressor<'static>>);

impl Unpacker {
    /// The `bytes` bytes that were packed.
    ///
    /// # Errors
    /// When `packed` is damaged, or does not hold exactly so many.
    pub(super) fn unpack(&mut self, packed: &[u8], bytes: usize) -> io::Result<Vec<u8>> {
        if bytes > limits::PAYLOAD_MAX_BYTES {
            return Err(io::Error::other(format!("it claims to hold {bytes} bytes")));
        }
        let decompressor = match &mut self.0 {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::with_prepared_dictionary(&DECODER)?),
        };
        let unpacked = decompressor.decompress(packed, bytes)?;
        if unpacked.len() != bytes {
            return Err(io::Error::other(format!(
                "it holds {} bytes where {bytes} were stored",
                unpacked.len()
            )));
        }
        Ok(unpacked)
    }
}
