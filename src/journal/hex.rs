//! The hex digits of ids and hashes. Each event has a hash in it and each answer an id, and to format them
//! as numbers takes many times as long.

use std::fmt;

/// 128 bits as 32 hex digits.
pub(super) struct Hex([u8; 32]);

impl Hex {
    pub(super) fn of(bits: u128) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        // Nothing but digits is in it.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
