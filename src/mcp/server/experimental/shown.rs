//! What the journal knows of a task, in the words of the experimental dialect
//! (`docs/specification/2025-11-25/basic/utilities/tasks.mdx` of the MCP specification).

use rmcp::model::ErrorData;
use serde::Serialize;
use serde_json::Value;

use crate::durable::Runtime;
use crate::journal::{Status, Task};
use crate::limits;
use crate::mcp::server::questions;
use crate::mcp::server::translate::{iso, message};

/// A task as every answer about it shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    task_id: String,
    pub(super) status: &'static str,
    status_message: String,
    created_at: String,
    last_updated_at: String,
    ttl: Option<u64>,
    poll_interval: u64,
}

impl Shown {
    /// # Errors
    /// -32603 when the journal cannot be read.
    pub(super) async fn of(runtime: &Runtime, task: &Task) -> Result<Self, ErrorData> {
        let mut shown = Self::new(task);
        if task.status == Status::InputRequired && !task.cancel_requested {
            let asked = questions::open(runtime, task.id).await?;
            if asked.is_empty() {
                // Everything is answered, and the task has not gone on yet.
                shown.status = "working";
            } else {
                shown.status_message = format!("asks: {}", questions::words(&asked));
            }
        }
        Ok(shown)
    }

    fn new(task: &Task) -> Self {
        let (status, status_message) = match task.status {
            // Once cancelled, a task is shown so whatever it still does: the dialect says that the
            // status must not change any more.
            _ if task.cancel_requested => ("cancelled", format!("{}: cancelled", task.name)),
            Status::Working => ("working", message(task)),
            Status::InputRequired => ("input_required", message(task)),
            Status::Completed => ("completed", message(task)),
            Status::Failed | Status::Stopped => ("failed", message(task)),
            Status::Cancelled => ("cancelled", message(task)),
        };
        Self {
            task_id: task.id.to_string(),
            status,
            status_message,
            created_at: iso(task.created_at_ms),
            last_updated_at: iso(task.updated_at_ms),
            ttl: task.ttl_ms,
            poll_interval: limits::TASK_POLL_MS,
        }
    }

    /// Says that the question which the task waits for cannot be put to this client.
    pub(super) fn cannot_be_asked(&mut self) {
        self.status_message
            .push_str(" (this client has not declared elicitation, so another one must answer)");
    }

    pub(super) fn is_terminal(&self) -> bool {
        !matches!(self.status, "working" | "input_required")
    }

    /// # Errors
    /// None that this shape can have; serde's signature has one.
    pub(super) fn json(&self) -> Result<Value, ErrorData> {
        serde_json::to_value(self).map_err(|error| {
            ErrorData::internal_error(format!("the task has no JSON form: {error}"), None)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(status: Status, cancel_requested: bool) -> Task {
        Task {
            id: "0000000000000000000000000000000a".parse().unwrap(),
            function: "nap".to_owned(),
            name: "nap".to_owned(),
            owner: None,
            parent: None,
            status,
            message: Some("asleep".to_owned()),
            created_at_ms: 0,
            updated_at_ms: 1_500,
            ttl_ms: None,
            wake_at_ms: None,
            runner: None,
            epoch: 1,
            cancel_requested,
            events: 3,
        }
    }

    #[test]
    fn a_task_has_every_field_that_clients_require() {
        let shown = Shown::new(&task(Status::Working, false)).json().unwrap();
        let expected = json!({
            "taskId": "0000000000000000000000000000000a",
            "status": "working",
            "statusMessage": "asleep",
            "createdAt": "1970-01-01T00:00:00Z",
            "lastUpdatedAt": "1970-01-01T00:00:01.5Z",
            "ttl": null,
            "pollInterval": limits::TASK_POLL_MS,
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn each_state_has_its_words() {
        let check = |status, cancel_requested, expected: &str, message: &str| {
            let shown = Shown::new(&task(status, cancel_requested));
            assert_eq!((shown.status, shown.status_message.as_str()), (expected, message));
        };
        check(Status::Working, false, "working", "asleep");
        check(Status::InputRequired, false, "input_required", "asleep");
        check(Status::Completed, false, "completed", "nap: completed");
        check(Status::Failed, false, "failed", "asleep");
        check(Status::Stopped, false, "failed", "asleep");
        check(Status::Cancelled, false, "cancelled", "asleep");
        check(Status::Cancelled, true, "cancelled", "nap: cancelled");
        check(Status::Working, true, "cancelled", "nap: cancelled");
        check(Status::Completed, true, "cancelled", "nap: cancelled");
    }
}
