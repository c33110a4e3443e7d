//! What an agent does: its definition, the loop, the conversation, budgets, models, tools.
//!
//! This room knows nothing of MCP; [`Toolbox`] and [`Models`] are how the world reaches it.

pub mod definition;
mod model;
mod prices;
mod tool;

pub use definition::{Budget, Definition, InDoubt, Retry, ToolPattern};
pub use model::{
    Finish, Message, Model, Models, OpenModel, Reply, Request, Settings, ToolCall, ToolSpec, Usage,
};
pub use prices::{Price, Prices};
pub use tool::{Invocation, ServerConfig, Servers, Tool, ToolOutput, Toolbox};
