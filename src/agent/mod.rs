//! What an agent does: its definition, the loop, the conversation, budgets, models, tools.
//!
//! This room knows nothing of MCP; [`Toolbox`] and [`Models`] are how the world reaches it.

mod model;
pub mod models;
mod tool;

pub use model::{
    Finish, Message, Model, Models, OpenModel, Reply, Request, Settings, ToolCall, ToolSpec, Usage,
};
pub use tool::{Invocation, ServerConfig, Servers, Tool, ToolOutput, Toolbox};
