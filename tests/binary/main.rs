//! The real binary as a process: its commands, its servers, and `kill -9` on them, held against a
//! journal and a ledger that are read from outside.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod auth_files;
#[cfg(target_os = "linux")]
mod bad_disk;
mod bad_input;
mod cli;
mod cli_asking;
mod forks;
mod http;
mod kill;
mod kill_response;
mod on_disconnect;
mod recordings;
mod remote_tasks;
mod replay_modes;
mod serve_http;
mod show;
mod tool_environment;
mod two_servers;

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/examples.rs"]
mod examples;
#[path = "../support/fixtures.rs"]
mod fixtures;
#[path = "../support/home.rs"]
mod home;
#[path = "../support/model_server.rs"]
mod model_server;
#[path = "../support/one_call.rs"]
mod one_call;
#[path = "../support/promises.rs"]
mod promises;
#[path = "../support/web.rs"]
mod web;
#[path = "../support/wire.rs"]
mod wire;
