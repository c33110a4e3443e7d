//! The one place where random bits come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::{RunnerId, TaskId};

/// A source of random bits: the operating system's, or a seed's, which gives the same bits again.
#[derive(Debug, Clone, Default)]
pub struct Entropy(Option<Arc<Seeded>>);

#[derive(Debug)]
struct Seeded {
    seed: u64,
    drawn: AtomicU64,
}

impl Entropy {
    /// Random bits of the operating system.
    pub fn system() -> Self {
        Self(None)
    }

    /// Bits that follow from a seed. Only for tests: ids made of them can be guessed.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Seeded { seed, drawn: AtomicU64::new(0) })))
    }

    /// A new task id.
    ///
    /// # Errors
    /// When the operating system has no random bits to give.
    pub fn task_id(&self) -> Result<TaskId, getrandom::Error> {
        self.bits().map(|bits| TaskId::from_bits(u128::from_be_bytes(bits)))
    }

    /// A new runner id.
    ///
    /// # Errors
    /// As [`Entropy::task_id`].
    pub fn runner_id(&self) -> Result<RunnerId, getrandom::Error> {
        self.number().map(RunnerId::from_bits)
    }

    /// 64 random bits.
    ///
    /// # Errors
    /// As [`Entropy::task_id`].
    pub fn number(&self) -> Result<u64, getrandom::Error> {
        let [a, b, c, d, e, f, g, h, ..] = self.bits()?;
        Ok(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// 256 random bits, for a secret.
    ///
    /// # Errors
    /// As [`Entropy::task_id`].
    pub fn secret(&self) -> Result<[u8; 32], getrandom::Error> {
        let mut secret = [0; 32];
        let (first, second) = secret.split_at_mut(16);
        first.copy_from_slice(&self.bits()?);
        second.copy_from_slice(&self.bits()?);
        Ok(secret)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one home of randomness")]
    fn bits(&self) -> Result<[u8; 16], getrandom::Error> {
        let mut bits = [0; 16];
        match &self.0 {
            None => getrandom::fill(&mut bits)?,
            Some(seeded) => {
                let n = seeded.drawn.fetch_add(1, Ordering::Relaxed);
                bits = derive(seeded.seed, &n.to_string());
            }
        }
        Ok(bits)
    }
}

/// Bits that follow from a seed and a label: the same in every run of a task.
pub(super) fn derive(seed: u64, label: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes());
    hasher.update(label.as_bytes());
    let mut bits = [0; 16];
    hasher.finalize_xof().fill(&mut bits);
    bits
}

/// A number in `0.0..1.0` that follows from a seed and a label.
pub(super) fn fraction(seed: u64, label: &str) -> f64 {
    let [a, b, c, d, ..] = derive(seed, label);
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}
