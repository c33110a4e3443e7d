//! How others reach relight, and how it reaches other MCP servers.
//!
//! ```text
//! client ──stdio──> server ──> durable::Runtime
//!                              agent::Toolbox <── client (Downstream) ──stdio, HTTP──> tool servers
//! ```
//!
//! This room translates and decides nothing: what becomes of a task is for the rooms below. rmcp is
//! imported here and nowhere else.

pub mod client;
mod head;
mod lines;
pub mod server;
mod task_client;
pub mod till;

pub use task_client::{Error as TaskClientError, TaskClient, View as TaskView};

/// The key in a `tools/call` request's `_meta` that stays the same on every attempt of the call. A
/// tool that honours it answers a repeated call as it did the first one, and takes no second effect.
pub const IDEMPOTENCY_KEY: &str = "relight/idempotencyKey";

/// The key in `_meta` that says which task a message belongs to, in the Tasks of protocol 2025-11-25.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
