//! A task's open questions as MCP's elicitations: shown by `tasks/get`, answered by `tasks/update`.
//! What is a right answer is not decided here: see [`OpenQuestions`].

use rmcp::model::{ElicitRequestParams, ErrorData, InputRequest, InputRequests, InputResponses};
use serde_json::json;

use super::translate::refusal;
use crate::agent::{AnswerError, OpenQuestions};
use crate::durable::{Question, Runtime};
use crate::journal::TaskId;

/// What a task asks now, by key: the questions that nobody has answered yet.
///
/// # Errors
/// -32603 when the journal cannot be read, or a question is none that MCP has words for.
pub(super) async fn open(runtime: &Runtime, task: TaskId) -> Result<InputRequests, ErrorData> {
    let open = OpenQuestions::of(runtime.store().as_ref(), task).await;
    let open = open.map_err(|error| refusal(&error))?;
    open.iter().map(|(key, question)| Ok((key.to_owned(), elicitation(key, question)?))).collect()
}

/// The words of these questions, for a person.
pub(super) fn words(asked: &InputRequests) -> String {
    let words = asked.values().filter_map(|question| match question {
        InputRequest::Elicitation(question) => match &question.params {
            ElicitRequestParams::FormElicitationParams { message, .. } => Some(message.as_str()),
            _ => None,
        },
        _ => None,
    });
    words.collect::<Vec<_>>().join("; ")
}

fn elicitation(key: &str, question: &Question) -> Result<InputRequest, ErrorData> {
    let Question { message, schema, .. } = question;
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    let request = json!({"method": "elicitation/create", "params": params});
    serde_json::from_value(request).map_err(|error| {
        let message = format!("question {key:?} is no form that MCP's elicitation has: {error}");
        ErrorData::internal_error(message, None)
    })
}

/// Passes answers on to the task. A key that is not open is passed over, as the extension's
/// specification says ("Task Input").
///
/// # Errors
/// -32602 for an answer that is no `ElicitResult`, or a form that its question's schema refuses, and
/// then none is passed on.
pub(super) async fn answer(
    runtime: &Runtime,
    task: TaskId,
    responses: InputResponses,
) -> Result<(), ErrorData> {
    let store = runtime.store().as_ref();
    let open = OpenQuestions::of(store, task).await.map_err(|error| refusal(&error))?;
    match open.answer(store, runtime.clock().now_ms(), responses).await {
        Ok(_) => Ok(()),
        Err(AnswerError::Journal(error)) => Err(refusal(&error)),
        Err(error) => Err(ErrorData::invalid_params(error.to_string(), None)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::journal::Payload;

    /// What a model may ask for must reach a client as it is.
    #[test]
    fn every_form_that_ask_user_takes_is_an_elicitation() {
        let fields = json!({
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
            "day": {"type": "string", "format": "date", "title": "Day"},
            "mail": {"type": "string", "format": "email", "minLength": 3, "maxLength": 80},
            "share": {"type": "number", "minimum": 0.5, "maximum": 1.5, "default": 0.75},
            "site": {"type": "string", "format": "uri", "description": "Where"},
            "size": {"type": "string", "enum": ["s", "m"], "default": "m", "title": "Size"},
            "sure": {"type": "boolean", "default": false},
            "when": {"type": "string", "format": "date-time"},
        });
        let schema = json!({"type": "object", "properties": fields, "required": ["count"]});
        let question = Question::new("m", Payload::of(&schema).unwrap());
        let shown: Value = json!(elicitation("k", &question).unwrap());
        assert_eq!(shown["params"]["requestedSchema"], schema);
    }
}
