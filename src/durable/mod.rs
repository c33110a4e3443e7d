//! How code resumes: replay, steps, retries, timers, leases, and the runtime that owns live tasks.
//!
//! This room knows nothing of models or MCP, and does no HTTP.
