//! What happened: the append-only log of every task, and the store under it.
//!
//! ```text
//! durable ── Store ──┬── sqlite   one file, WAL, one connection that writes
//!                    └── (yours)  must pass tests/journal/store.rs
//! ```
//!
//! This room knows nothing of agents, models or MCP. SQL is here and nowhere else.

mod deadline;
mod error;
mod event;
mod hex;
mod history;
mod id;
mod payload;
mod recording;
pub mod sqlite;
mod store;

pub use deadline::Deadline;
pub(crate) use error::joined;
pub use error::{Error, Result};
pub use event::{Effect, End, Event, Failure, FailureKind, Record, StepKind};
pub use history::{History, IllegalEvent, Step, StepState};
pub use id::{RunnerId, TaskId};
pub use payload::{Hash, Payload};
pub(crate) use recording::is_same_but_redacted;
pub use recording::{BadPattern, RecordedTask, Recording, RecordingError, Redaction};
pub use store::{
    Created, Filter, Lease, NewTask, ParentLink, Renewal, Sent, Signal, Status, Store, Task, Wake,
    all_tasks,
};
