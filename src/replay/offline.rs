//! An agent loop with no world around it. In a replay every model call and tool call answers from the
//! recording before it would reach one of these.

use std::sync::Arc;

use async_trait::async_trait;

use crate::agent::{AgentLoop, Called, Invocation, Models, OpenModel, Servers, Tool, Toolbox};
use crate::durable::Function;
use crate::journal::Failure;

pub(super) fn agent_loop() -> Arc<dyn Function> {
    Arc::new(AgentLoop::new(Arc::new(Nothing), Arc::new(Nothing)))
}

/// No model and no tool server.
pub(super) struct Nothing;

fn refused() -> Failure {
    Failure::is_final("a replay reaches no model and no tool")
}

impl Models for Nothing {
    fn open(&self, _model: &str) -> Result<OpenModel, Failure> {
        Err(refused())
    }
}

#[async_trait]
impl Toolbox for Nothing {
    async fn list(&self, _servers: &Servers) -> Result<Vec<Tool>, Failure> {
        Err(refused())
    }

    async fn call(&self, _call: Invocation<'_>) -> Result<Called, Failure> {
        Err(refused())
    }
}
