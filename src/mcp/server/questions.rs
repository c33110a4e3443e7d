//! A task's open questions as MCP's elicitations: shown by `tasks/get`, answered by `tasks/update`.

use std::collections::HashSet;

use rmcp::model::{ElicitRequestParams, ErrorData, InputRequest, InputRequests, InputResponses};
use serde_json::{Map, Value, json};

use super::translate::refusal;
use crate::agent::Schema;
use crate::durable::{Answer, Question, Runtime};
use crate::journal::{History, Payload, Signal, TaskId};

/// What a task asks now, by key: the questions that nobody has answered yet.
///
/// # Errors
/// -32603 when the journal cannot be read, or a question is none that MCP has words for.
pub(super) async fn open(runtime: &Runtime, task: TaskId) -> Result<InputRequests, ErrorData> {
    let store = runtime.store();
    let records = store.history(task, 0).await.map_err(|error| refusal(&error))?;
    let (signals, _) = store.signals(task).await.map_err(|error| refusal(&error))?;
    let answered: HashSet<_> = signals
        .iter()
        .filter_map(|signal| match signal {
            Signal::Answer { key, .. } => Some(key.as_str()),
            Signal::Cancel { .. } => None,
        })
        .collect();
    let history = History::of(records)
        .map_err(|source| refusal(&crate::journal::Error::Illegal { task, source }))?;
    history
        .questions()
        .filter(|(key, _)| !answered.contains(key))
        .map(|(key, asked)| Ok((key.to_owned(), elicitation(key, asked)?)))
        .collect()
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

fn elicitation(key: &str, asked: &Payload) -> Result<InputRequest, ErrorData> {
    let request = asked.read::<Question>().and_then(|Question { message, schema }| {
        let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
        serde_json::from_value(json!({"method": "elicitation/create", "params": params}))
    });
    request.map_err(|error| {
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
    let asked = open(runtime, task).await?;
    let mut answers = Vec::new();
    for (key, value) in responses.into_iter().filter(|(key, _)| asked.contains_key(key)) {
        let wrong = |why: String| {
            let message = format!("the answer to {key:?} is no elicitation result: {why}");
            ErrorData::invalid_params(message, None)
        };
        let answer = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        if let (Answer::Accept { content }, Some(question)) = (&answer, asked.get(&key))
            && let Some(complaints) = complaints(question, content).map_err(&wrong)?
        {
            let message = format!("the answer to {key:?} does not fit: {complaints}");
            return Err(ErrorData::invalid_params(message, None));
        }
        let value = Payload::of(&answer).map_err(|error| wrong(error.to_string()))?;
        answers.push(Signal::Answer { key, value });
    }
    for answer in answers {
        let now_ms = runtime.clock().now_ms();
        runtime.store().signal(task, answer, now_ms).await.map_err(|error| refusal(&error))?;
    }
    Ok(())
}

/// What the question's schema has against this form.
fn complaints(
    question: &InputRequest,
    content: &Map<String, Value>,
) -> Result<Option<String>, String> {
    let InputRequest::Elicitation(question) = question else { return Ok(None) };
    let ElicitRequestParams::FormElicitationParams { requested_schema, .. } = &question.params
    else {
        return Ok(None);
    };
    let schema = Schema::new(&json!(requested_schema))?;
    Ok(schema.complaints(&Value::Object(content.clone())))
}
