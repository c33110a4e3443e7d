//! How code resumes: replay, steps, retries, timers, leases, and the runtime that owns live tasks.
//!
//! ```text
//!  Runtime ── takes a lease ──> drive ── polls ──> your async fn
//!                                  │                    │ every step
//!                                  │                 Context ── asks ──> Cursor (sans-IO)
//!                                  │                    │                 recorded? in doubt? run?
//!                                  └── Live ── appends ─┴──> journal::Store
//! ```
//!
//! Recovery is one thing only: the function runs again from its start. A step that the journal holds
//! answers from it, and the first one that it does not hold runs for real.
//!
//! This room knows nothing of models or MCP, and does no HTTP.

mod account;
mod ask;
mod asking;
mod begin;
mod child;
mod clock;
mod context;
mod cursor;
mod deadline;
pub(crate) mod doubt;
mod drive;
mod entropy;
mod fork;
mod function;
mod last_word;
mod live;
mod mismatch;
mod own;
mod past;
mod poll;
mod replay;
mod retry;
mod runtime;
mod schedule;
mod shared;
mod stand_in;
mod step;

pub use ask::{Answer, Question};
pub use asking::Attempt;
pub(crate) use child::child_input;
pub use child::{Child, child_id};
pub use clock::{Clock, HurriedClock, ManualClock, SystemClock};
pub use context::Context;
pub(crate) use cursor::OF_CHILD;
pub use cursor::{Ask, Cursor, Decision};
pub use deadline::TimeLimit;
pub use doubt::Doubt;
pub use entropy::Entropy;
pub use fork::{Fork, ForkError, ForkPlan, fork, landed};
pub use function::{Function, function};
pub use mismatch::Mismatch;
pub use past::{Left, Past};
pub use poll::Look;
pub use replay::{Replayed, rehash, replay};
pub use retry::RetryPolicy;
pub use runtime::{Builder, Runtime, StartTask};
pub use stand_in::{Stand, StandIn};
pub use step::StepBuilder;
