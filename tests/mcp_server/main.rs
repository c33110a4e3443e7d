//! The MCP server by its wire: lines of JSON and HTTP requests that no library would send.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod auth;
mod experimental;
mod http;
mod listen;
mod plain;
mod rounds;
mod tasks;

#[path = "../support/asking.rs"]
mod asking;
#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/examples.rs"]
mod examples;
#[path = "../support/fixtures.rs"]
mod fixtures;
#[path = "../support/site.rs"]
mod site;
#[path = "../support/web.rs"]
mod web;
#[path = "../support/wire.rs"]
mod wire;
