//! Compression of what a row holds. It knows bytes only, never what they mean.

use std::io;

use zstd::bulk::{Decompressor, compress};

use crate::limits;

/// zstd's level. Higher ones win a few percent on JSON for several times the time.
const LEVEL: i32 = 1;

/// The compressed form, where it is shorter.
pub(super) fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    // A failing compressor costs room and nothing else: the bytes are then stored as they are.
    compress(bytes, LEVEL).ok().filter(|packed| packed.len() < bytes.len())
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
            none => none.insert(Decompressor::new()?),
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
