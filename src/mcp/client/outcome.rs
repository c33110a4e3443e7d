//! What a tool's answer, or the lack of one, means: an output for the model, or a failure that says
//! whether the call may have taken effect.

use std::error::Error as StdError;

use rmcp::model::{
    CallToolResult, ContentBlock, ErrorCode, ErrorData, ResourceContents, ServerResult,
};
use rmcp::service::ServiceError;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, InsufficientScopeError, StreamableHttpError,
};

use super::tasks::{asked, created_experimental, created_extension};
use crate::agent::{Called, Round, ToolOutput};
use crate::journal::Failure;
use crate::limits;

/// How far a request got, as far as its error tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was refused, and would be again.
    Refused(String),
    /// It was never sent: there was no connection.
    NoConnection(String),
    /// It was not acted on, and another try may fare better.
    NotSent {
        /// Why.
        why: String,
        /// When to try again, in milliseconds from now, where the other side said so.
        retry_after_ms: Option<u64>,
    },
    /// It may have been acted on.
    Unknown(String),
}

impl Fate {
    fn not_sent(why: impl Into<String>) -> Self {
        Self::NotSent { why: why.into(), retry_after_ms: None }
    }

    /// The failure of a request that has effects.
    pub(super) fn of_call(self, what: &str) -> Failure {
        match self {
            Self::Refused(why) => Failure::is_final(format!("{what}: {why}")),
            Self::NoConnection(why) => {
                Failure::transient(format!("{what}: no connection ({why}); is it running?"))
            }
            Self::NotSent { why, retry_after_ms } => {
                Failure::transient(format!("{what}: {why}")).retry_after_ms(retry_after_ms)
            }
            Self::Unknown(why) => Failure::in_doubt(format!(
                "{what}: {why}; nobody knows whether the call took effect"
            )),
        }
    }

    /// The failure of a request that has none, and may be sent again.
    pub(super) fn of_read(self, what: &str) -> Failure {
        match self {
            Self::Unknown(why) => Failure::transient(format!("{what}: {why}")),
            other => other.of_call(what),
        }
    }
}

/// The fate of a request that rmcp gave up. `handed_over` says whether its transport had it.
pub(super) fn fate(error: &ServiceError, handed_over: bool) -> Fate {
    match error {
        ServiceError::McpError(error) => Fate::Refused(refusal(error)),
        ServiceError::TransportSend(error) => transport_fate(error.error.as_ref()),
        error if !handed_over => Fate::not_sent(error.to_string()),
        ServiceError::TransportClosed => Fate::Unknown("the connection was lost".to_owned()),
        ServiceError::UnexpectedResponse => {
            Fate::Unknown("the server's answer is none to this request".to_owned())
        }
        error => Fate::Unknown(error.to_string()),
    }
}

/// A JSON-RPC error as people read it.
pub(super) fn refusal(error: &ErrorData) -> String {
    let kind = match error.code {
        ErrorCode::METHOD_NOT_FOUND => " (method not found)",
        ErrorCode::INVALID_PARAMS => " (invalid params)",
        ErrorCode::INTERNAL_ERROR => " (internal error)",
        _ => "",
    };
    let ErrorData { code, message, .. } = error;
    format!("the server answered with error {}{kind}: {message}", code.0)
}

/// The fate of a message that the transport failed to send.
pub(super) fn transport_fate(error: &(dyn StdError + 'static)) -> Fate {
    type Http = StreamableHttpError<reqwest::Error>;

    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<Http>() {
            return http_fate(error);
        }
        next = error.source();
    }
    Fate::Unknown(error.to_string())
}

fn http_fate(error: &StreamableHttpError<reqwest::Error>) -> Fate {
    use StreamableHttpError as Http;

    match error {
        Http::Client(error) if error.is_connect() => Fate::NoConnection(cause(error)),
        Http::Client(error) if error.is_builder() => Fate::Refused(cause(error)),
        Http::Client(error) => Fate::Unknown(cause(error)),
        Http::HttpStatus(HttpStatusError { status: status @ (429 | 503), retry_after, .. }) => {
            // A date instead of seconds is left out: the step's own schedule serves as well.
            let seconds = retry_after.as_ref().and_then(|text| text.trim().parse::<u64>().ok());
            Fate::NotSent {
                why: format!("it answered HTTP {status}"),
                retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1000)),
            }
        }
        Http::AuthRequired(AuthRequiredError { www_authenticate_header: header, .. })
        | Http::InsufficientScope(InsufficientScopeError {
            www_authenticate_header: header, ..
        }) => Fate::Refused(format!(
            "it wants other credentials ({header}): set \"Authorization\" in the server's headers"
        )),
        Http::UnexpectedServerResponse(text) if text.starts_with("HTTP 4") => {
            Fate::Refused(format!("it answered {}", text.trim_end_matches([' ', ':'])))
        }
        Http::ReservedHeaderConflict(name) => {
            Fate::Refused(format!("the header {name:?} is set by relight; remove it"))
        }
        Http::ResponseBodyTooLarge { max_size } => {
            Fate::Refused(format!("its answer is longer than {max_size} bytes"))
        }
        Http::SessionExpired | Http::ReinitializationFailed(_) => Fate::not_sent(error.to_string()),
        error => Fate::Unknown(root(error)),
    }
}

/// What the HTTP client has failed at. Its own words have the address in them, which may hold a secret.
fn cause(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| "the request failed".to_owned(), root)
}

/// The innermost cause, which is the one that says something ("Connection refused").
fn root(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// What a call led to: the tool's answer, its questions, or a task of the server.
pub(super) fn called(result: ServerResult, server: &str, what: &str) -> Result<Called, Failure> {
    let task = match result {
        ServerResult::CallToolResult(result) => return output(result, what).map(Called::Output),
        // Some servers leave out the content of a tool that says nothing.
        ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_) => {
            return output(CallToolResult::default(), what).map(Called::Output);
        }
        ServerResult::CreateTaskResult(created) => Some(created_extension(server, created)),
        ServerResult::CustomResult(created) => created_experimental(server, &created.0),
        ServerResult::InputRequiredResult(wanted) => {
            let requests = wanted.input_requests.unwrap_or_default();
            let questions = asked(&requests, &[])
                .map_err(|why| Failure::is_final(format!("{what} does not begin: {why}")))?;
            let asks = Round { questions, state: wanted.request_state };
            return Ok(Called::Asks { asks });
        }
        _ => None,
    };
    let task = task.ok_or_else(|| fate(&ServiceError::UnexpectedResponse, true).of_call(what))?;
    Ok(Called::Task { task })
}

/// A tool's answer as the model is to see it.
pub(super) fn output(result: CallToolResult, what: &str) -> Result<ToolOutput, Failure> {
    let mut parts: Vec<String> = result.content.iter().map(shown).collect();
    if let Some(structured) = &result.structured_content
        && !result.content.iter().any(|block| matches!(block, ContentBlock::Text(_)))
    {
        parts.push(structured.to_string());
    }
    let text = parts.join("\n");
    if text.len() > limits::PAYLOAD_MAX_BYTES {
        return Err(Failure::is_final(format!(
            "{what}: the tool ran, and its answer of {} bytes is over the bound of {}; ask it for \
             less at once",
            text.len(),
            limits::PAYLOAD_MAX_BYTES
        )));
    }
    let (is_error, structured) = (result.is_error.unwrap_or(false), result.structured_content);
    Ok(ToolOutput { text, is_error, structured })
}

/// A block as text; what is no text, as a note of what it is.
fn shown(block: &ContentBlock) -> String {
    // Base64 has four characters for three bytes.
    let bytes = |base64: &str| base64.trim_end_matches('=').len() * 3 / 4;
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => {
            format!("[image: {}, {} bytes]", image.mime_type, bytes(&image.data))
        }
        ContentBlock::Audio(audio) => {
            format!("[audio: {}, {} bytes]", audio.mime_type, bytes(&audio.data))
        }
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => format!(
                "[resource {uri}: {}, {} bytes]",
                mime_type.as_deref().unwrap_or("unknown type"),
                bytes(blob)
            ),
            _ => "[resource of an unknown kind]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[link to {}: {}]", link.name, link.uri),
        _ => "[content of an unknown kind]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::TextContent;
    use serde_json::json;

    use super::*;
    use crate::journal::FailureKind;

    fn check(result: serde_json::Value, text: &str, is_error: bool) {
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        let output = output(result, "call").unwrap();
        assert_eq!((output.text.as_str(), output.is_error), (text, is_error));
    }

    #[test]
    fn content_becomes_text() {
        let text = |text: &str| json!({"type": "text", "text": text});
        check(json!({"content": [text("one"), text("two")]}), "one\ntwo", false);
        check(json!({"content": [text("no")], "isError": true}), "no", true);
        check(json!({"content": [], "structuredContent": {"a": 1}}), r#"{"a":1}"#, false);
        check(json!({"content": [text("t")], "structuredContent": {"a": 1}}), "t", false);
        check(
            json!({"content": [{"type": "image", "data": "AAECAw==", "mimeType": "image/png"}]}),
            "[image: image/png, 4 bytes]",
            false,
        );
    }

    #[test]
    fn an_answer_over_the_bound_is_a_failure() {
        let text = TextContent::new("x".repeat(limits::PAYLOAD_MAX_BYTES + 1));
        let result = CallToolResult::success(vec![ContentBlock::Text(text)]);
        let failure = output(result, "call").unwrap_err();
        assert_eq!(failure.kind, FailureKind::Final);
        assert!(failure.message.contains("over the bound"), "{failure}");
    }
}
