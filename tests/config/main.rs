//! What people write down for relight: agent files and settings, and what is said of every mistake.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod agent_file;
mod asking;
mod settings;
