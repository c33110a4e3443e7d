//! What the journal knows of a task, in the words of MCP's Tasks extension
//! (`specification/draft/tasks.md` of modelcontextprotocol/ext-tasks).

use jiff::Timestamp;
use rmcp::model::{
    CallToolResult, ContentBlock, DetailedTask, ErrorCode, ErrorData, InputRequests, JsonObject,
    TaskPayload, TaskStatus,
};
use serde::Serialize;
use serde_json::Value;

use crate::journal::{End, Error, Failure, Payload, Status, Task};
use crate::limits;

/// The task as its handle shows it.
pub(super) fn task(task: &Task) -> rmcp::model::Task {
    let mut shown = rmcp::model::Task::new(
        task.id.to_string(),
        status(task.status),
        iso(task.created_at_ms),
        iso(task.updated_at_ms),
    )
    .with_status_message(message(task))
    .with_poll_interval_ms(limits::TASK_POLL_MS);
    shown.ttl_ms = task.ttl_ms;
    shown
}

/// The task with its outcome in it, or what it asks. `end` is there once the task has ended, and
/// `asked` holds something while it waits for a person: a task whose questions are all answered and
/// that has not gone on yet is working.
///
/// # Errors
/// -32603 when the outcome has no JSON form, which the journal does not store.
pub(super) fn detailed(
    of: &Task,
    end: Option<End>,
    asked: InputRequests,
) -> Result<DetailedTask, ErrorData> {
    let mut shown = task(of);
    let payload = match end {
        None if !asked.is_empty() => TaskPayload::InputRequired { input_requests: asked },
        None => TaskPayload::Working,
        Some(End::Cancelled(message)) => {
            shown.status_message = Some(message);
            TaskPayload::Cancelled
        }
        Some(end) => match outcome(end) {
            Ok(result) => {
                if result.is_error == Some(true) {
                    shown.status_message = text(&result).map(|text| format!("failed: {text}"));
                }
                TaskPayload::Completed { result: object(&result)? }
            }
            Err(error) => {
                shown.status_message = Some(error.message.to_string());
                TaskPayload::Failed { error: object(&error)? }
            }
        },
    };
    Ok(DetailedTask::new(shown, payload))
}

/// What a plain call answers at the task's end.
///
/// # Errors
/// The JSON-RPC error that the task failed with: a failure that carries a code, or a task that
/// cannot go on. A failure without a code is the tool's own, and a result.
pub(super) fn outcome(end: End) -> Result<CallToolResult, ErrorData> {
    match end {
        End::Completed(output) => completed(&output),
        End::Failed(Failure { code: Some(code), message, details, .. }) => {
            let data = details.and_then(|details| details.read().ok());
            Err(ErrorData::new(ErrorCode(code), message, data))
        }
        End::Failed(failure) => Ok(error_result(failure.message)),
        End::Stopped(failure) => Err(ErrorData::internal_error(failure.message, None)),
        End::Cancelled(message) => Ok(error_result(message)),
    }
}

/// A text is shown as it is. An object is structured content too, and is told as text for clients
/// that know no other.
fn completed(output: &Payload) -> Result<CallToolResult, ErrorData> {
    let value: Value = output
        .read()
        .map_err(|error| ErrorData::internal_error(format!("the task's result: {error}"), None))?;
    let (text, structured) = match value {
        Value::String(text) => (text, None),
        value @ Value::Object(_) => (output.json().to_owned(), Some(value)),
        _ => (output.json().to_owned(), None),
    };
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = structured;
    Ok(result)
}

/// A failure of the tool's own.
pub(super) fn error_result(message: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(message)])
}

fn text(result: &CallToolResult) -> Option<&str> {
    match result.content.first() {
        Some(ContentBlock::Text(text)) => Some(&text.text),
        _ => None,
    }
}

fn status(status: Status) -> TaskStatus {
    match status {
        Status::Working => TaskStatus::Working,
        Status::InputRequired => TaskStatus::InputRequired,
        Status::Completed => TaskStatus::Completed,
        Status::Failed | Status::Stopped => TaskStatus::Failed,
        Status::Cancelled => TaskStatus::Cancelled,
    }
}

/// Clients show the status message, so there always is one. What a completed task was last at is of
/// no more interest.
pub(super) fn message(task: &Task) -> String {
    match &task.message {
        Some(message) if task.status != Status::Completed => message.clone(),
        _ => format!("{}: {}", task.name, task.status.as_str().replace('_', " ")),
    }
}

/// A point in time as MCP writes it (RFC 3339).
pub(super) fn iso(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms).unwrap_or_default().to_string()
}

fn object(value: &impl Serialize) -> Result<JsonObject, ErrorData> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ErrorData::internal_error("the task's result is no JSON object", None)),
        Err(error) => Err(ErrorData::internal_error(format!("the task's result: {error}"), None)),
    }
}

/// A refusal of the journal as a JSON-RPC error: the caller's mistakes are -32602, everything else
/// -32603.
pub(super) fn refusal(error: &Error) -> ErrorData {
    let message = error.to_string();
    match error {
        Error::UnknownTask { .. }
        | Error::KeyReused { .. }
        | Error::TooLarge { .. }
        | Error::TooManyTasks { .. } => ErrorData::invalid_params(message, None),
        _ => ErrorData::internal_error(message, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(end: End, expected: Value) {
        let found = match outcome(end) {
            Ok(result) => serde_json::to_value(result).unwrap(),
            Err(error) => serde_json::to_value(error).unwrap(),
        };
        assert_eq!(found, expected);
    }

    fn completed_with(value: Value) -> End {
        End::Completed(Payload::of(&value).unwrap())
    }

    fn text_result(text: &str, is_error: bool) -> Value {
        let content = json!([{"type": "text", "text": text}]);
        json!({"resultType": "complete", "content": content, "isError": is_error})
    }

    #[test]
    fn a_text_is_shown_as_it_is() {
        check(completed_with(json!("done \"well\"")), text_result("done \"well\"", false));
    }

    #[test]
    fn an_object_is_structured_content_and_its_text() {
        let mut expected = text_result(r#"{"a":1}"#, false);
        expected["structuredContent"] = json!({"a": 1});
        check(completed_with(json!({"a": 1})), expected);
    }

    #[test]
    fn any_other_value_is_its_json() {
        check(completed_with(json!([1, null])), text_result("[1,null]", false));
        check(completed_with(json!(null)), text_result("null", false));
    }

    #[test]
    fn a_failure_is_the_tools_own_unless_it_has_a_code() {
        check(End::Failed(Failure::is_final("no money")), text_result("no money", true));
        check(
            End::Failed(Failure::is_final("no such order").with_code(-32001)),
            json!({"code": -32001, "message": "no such order"}),
        );
        check(
            End::Stopped(Failure::is_final("the code has changed")),
            json!({"code": -32603, "message": "the code has changed"}),
        );
        check(
            End::Cancelled("cancelled in turn 2".to_owned()),
            text_result("cancelled in turn 2", true),
        );
    }
}
