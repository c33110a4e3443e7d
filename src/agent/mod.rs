//! What an agent does: its definition, the loop, the conversation, budgets, models, tools.
//!
//! This room knows nothing of MCP; [`Toolbox`] and [`Models`] are how the world reaches it.

mod background;
mod budget;
mod compaction;
mod context_sizes;
mod conversation;
pub mod definition;
mod duration;
pub(crate) mod expand;
mod limit;
mod model;
pub mod models;
pub(crate) mod nearest;
mod pinned;
mod prices;
mod questions;
mod run;
mod schema;
mod share;
mod sizes;
mod tool;
mod tools;
mod usage;

pub use budget::dollars;
pub use context_sizes::ContextSizes;
pub use definition::{Asking, AtLimit, Budget, Definition, InDoubt, ToolPattern, Unanswered};
pub use model::{
    Finish, Message, Model, Models, OpenModel, Outcome, Reply, Request, Settings, ToolCall,
    ToolSpec, Usage,
};
pub use pinned::Pinned;
pub use prices::{Price, Prices};
pub use questions::{AnswerError, OpenQuestions};
pub use run::{AGENT_FUNCTION, AgentLoop, Answered, NO_MODEL};
pub use schema::Schema;
pub use share::{Share, Spent};
pub use sizes::Sizes;
pub use tool::{
    Answers, Asked, Called, Invocation, People, RemoteTask, Round, ServerConfig, Servers,
    TaskDialect, TaskNews, Tool, ToolOutput, Toolbox,
};
pub(crate) use tools::READ_MORE;
pub use tools::{BuiltIn, LISTING_STEP};
