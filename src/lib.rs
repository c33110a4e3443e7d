//! relight: agents that go on mid-plan after a crash.
//!
//! Four rooms, one direction; an arrow means "may use":
//!
//! ```text
//! mcp  ->  agent  ->  durable  ->  journal
//! ```
//!
//! * [`journal`]: what happened. Events, the store, blobs.
//! * [`durable`]: how code resumes. Replay, steps, retries, timers, leases.
//! * [`agent`]: what an agent does. Definitions, the loop, models, tools.
//! * [`mcp`]: how others reach it, and how it reaches other MCP servers.
//!
//! On top: [`replay`], recorded runs in tests; [`config`], the only reader of settings.
//!
//! ARCHITECTURE.md is the map for whoever changes it.

pub mod agent;
pub mod config;
pub mod durable;
pub mod journal;
pub mod limits;
pub mod mcp;
pub mod replay;
mod tls;
