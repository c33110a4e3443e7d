//! The only reader of files, flags and environment.
//!
//! ```text
//! Flags ─┐
//! Environment ─┼─> Settings ─> load_agents, load_servers
//! relight.yaml ─┘
//! ```
//!
//! A flag wins over a variable, a variable over a file that was found, and that over the default.
//! This module knows where things are and what they say; it starts nothing.

mod agents;
mod auth;
mod auth_files;
mod environment;
mod error;
mod file;
mod flags;
mod settings;

pub use agents::{load_agent, load_agents, load_callees, load_servers};
pub use auth::{AuthFlags, load_auth};
pub use auth_files::{AuthFiles, Changed};
pub use environment::Environment;
pub use error::Error;
pub use flags::Flags;
pub use settings::{OpenAi, Secret, Setting, Settings, Source};
