//! The providers behind [`Model`](super::Model), and the [`Registry`] that finds them by name.
//!
//! ```text
//! Registry ──┬── openai             any OpenAI-compatible server, over HTTP
//!            ├── openai-responses   servers that work on while nobody listens
//!            └── script             replies from a YAML file: no key, no network
//! ```
//!
//! A provider makes one attempt per call. It never retries, but for leaving out a parameter that the
//! server does not take. It reads no environment and no wall clock, and keeps nothing that a restart
//! would need.

mod fault;
mod openai;
mod pace;
mod registry;
pub mod script;

pub(super) use fault::retry_after_ms;
pub use openai::{OpenAi, OpenAiConfig, Timeouts};
pub use pace::{Pace, PaceConfig, Place};
pub use registry::{ModelsConfig, Registry};
pub use secrecy::SecretString;
