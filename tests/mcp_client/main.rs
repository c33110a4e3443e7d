//! Tools of other MCP servers, as the loop reaches them: over stdio and over HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod http;
#[cfg(unix)]
mod stdio;

#[cfg(unix)]
#[path = "../support/examples.rs"]
mod examples;
#[cfg(unix)]
#[path = "../support/servers.rs"]
mod servers;
#[cfg(unix)]
#[path = "../support/shell_server.rs"]
mod shell_server;
