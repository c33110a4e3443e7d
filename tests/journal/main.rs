//! The journal: the fold over a task's events, the stored format, the contract of a store, and what is
//! particular to the embedded one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod conformance;
mod format;
mod history;
mod sqlite;
mod store;

#[path = "../support/payloads.rs"]
mod payloads;
#[path = "../support/journal.rs"]
mod support;
