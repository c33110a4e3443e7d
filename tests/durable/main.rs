//! The durable functions of a user, one file a concern: what they are promised when steps fail,
//! clocks jump, people cancel, code changes, processes die and disks fill up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/faulty.rs"]
mod faulty;
#[path = "../support/scratch.rs"]
mod scratch;

mod begin;
mod bench;
mod cancel;
mod children;
mod deadlines;
mod forks;
mod held;
mod in_doubt;
mod mismatch;
mod names;
mod outage;
mod own;
mod panics;
mod polls;
mod retries;
mod shutdown;
mod sizes;
mod stand_in;
mod takeover;
mod timeouts;
mod timers;
mod valve;
