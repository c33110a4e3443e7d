//! How others reach relight, and how it reaches other MCP servers.
mod task_client;
pub use task_client::TaskClient;
