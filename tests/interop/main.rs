//! Clients, a server and the conformance suite that others wrote, from npm, against ours.
//!
//! They need Node 20 or later with npm, so `make interop` and `make conformance` run them, and a plain
//! `cargo test` does not. The packages are pinned beside this file, and are installed
//! below `target` by the first test that needs them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod clients;
mod conformance;
#[cfg(unix)]
mod everything;
mod killer;
mod npm;
mod suite;

#[path = "../support/examples.rs"]
mod examples;
#[path = "../support/fixtures.rs"]
mod fixtures;
#[cfg(unix)]
#[path = "../support/home.rs"]
mod home;
#[cfg(unix)]
#[path = "../support/one_call.rs"]
mod one_call;
#[cfg(unix)]
#[path = "../support/wire.rs"]
mod wire;
