//! The providers of models, against servers that speak real HTTP and misbehave, and on scripts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod openai;
mod responses;
mod script;

#[path = "../support/model_server.rs"]
mod model_server;
