//! Tasks that a server has made of tool calls, in both dialects.
//!
//! Nothing is remembered here of a task but what its server can be asked again: whoever has the
//! [`RemoteTask`] follows it over any connection, from any process.

mod experimental;
mod extension;

use std::time::Duration;

use rmcp::model::{ClientRequest, ErrorCode, ServerResult};
use rmcp::service::ServiceError;

use super::connection::Connection;
use super::outcome::fate;
use crate::agent::{RemoteTask, TaskDialect, TaskNews};
use crate::durable::{Answer, Look};
use crate::journal::Failure;
use crate::limits;

pub(super) use experimental::created as created_experimental;
pub(super) use extension::{asked, created as created_extension};

/// Why a request about a task came to nothing.
enum Trouble {
    /// The server knows no such task: why that is thought.
    Unknown(String),
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Connection {
    /// See [`Toolbox::look`](crate::agent::Toolbox::look).
    pub(super) async fn look(
        &self,
        task: &RemoteTask,
        answered: &[String],
    ) -> Result<Look<TaskNews>, Failure> {
        let looked = match task.dialect {
            TaskDialect::Extension => extension::look(self, task, answered).await,
            TaskDialect::Experimental => experimental::look(self, task).await,
        };
        match looked {
            Ok(look) => Ok(look),
            Err(Trouble::Unknown(why)) => Ok(Look::Done(TaskNews::Lost(why))),
            Err(Trouble::Failed(failure)) => Err(failure),
        }
    }

    /// See [`Toolbox::asks`](crate::agent::Toolbox::asks).
    pub(super) async fn asks(&self, task: &RemoteTask, key: &str) -> Result<bool, Failure> {
        let asks = match task.dialect {
            TaskDialect::Extension => extension::asks(self, task, key).await,
            TaskDialect::Experimental => experimental::asks(self, task, key).await,
        };
        match asks {
            Ok(asks) => Ok(asks),
            Err(Trouble::Unknown(_)) => Ok(false),
            Err(Trouble::Failed(failure)) => Err(failure),
        }
    }

    /// See [`Toolbox::answer`](crate::agent::Toolbox::answer).
    pub(super) async fn answer(
        &self,
        task: &RemoteTask,
        key: &str,
        answer: &Answer,
    ) -> Result<(), Failure> {
        let answered = match task.dialect {
            TaskDialect::Extension => extension::answer(self, task, key, answer).await,
            TaskDialect::Experimental => experimental::answer(self, task, key, answer).await,
        };
        known_or_not(answered)
    }

    /// See [`Toolbox::cancel`](crate::agent::Toolbox::cancel).
    pub(super) async fn cancel(&self, task: &RemoteTask) -> Result<(), Failure> {
        known_or_not(match task.dialect {
            TaskDialect::Extension => extension::cancel(self, task).await,
            TaskDialect::Experimental => experimental::cancel(self, task).await,
        })
    }

    /// Makes a request about a task, which may be made again.
    async fn ask(&self, request: ClientRequest, what: &str) -> Result<ServerResult, Trouble> {
        let patience = Duration::from_millis(limits::REMOTE_TASK_REQUEST_MS);
        match self.request(request, patience).await {
            Some(Ok(result)) => Ok(result),
            Some(Err(ServiceError::McpError(error))) => Err(match error.code {
                ErrorCode::INVALID_PARAMS
                | ErrorCode::RESOURCE_NOT_FOUND
                | ErrorCode::METHOD_NOT_FOUND => Trouble::Unknown(error.message.into_owned()),
                _ => Failure::transient(format!("{what}: {}", error.message)).into(),
            }),
            Some(Err(error)) => Err(self.told(fate(&error, true).of_read(what)).await.into()),
            None => {
                let why = format!("{what}: no answer within {} s", patience.as_secs());
                Err(Failure::transient(why).into())
            }
        }
    }
}

/// An unknown task has nothing to answer and nothing to cancel.
fn known_or_not(outcome: Result<(), Trouble>) -> Result<(), Failure> {
    match outcome {
        Ok(()) | Err(Trouble::Unknown(_)) => Ok(()),
        Err(Trouble::Failed(failure)) => Err(failure),
    }
}

/// For the beginning of a failure's message.
fn what(task: &RemoteTask) -> String {
    format!("task {} of server {:?}", task.id, task.server)
}

/// An answer that is none to the request. It may come from a proxy on the way, so it is asked again.
fn misfit(what: &str) -> Trouble {
    Failure::transient(format!("{what}: the server's answer is none to this request")).into()
}
