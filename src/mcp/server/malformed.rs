//! Text from a client that is no message of MCP, and what is answered to it.

use rmcp::model::{ClientJsonRpcMessage, ErrorData, JsonRpcError, JsonRpcMessage, RequestId};
use serde_json::Value;

/// Whether rmcp has read the text as something that it is not: a request whose params are no object
/// becomes a notification there, and whoever sent it would wait for ever.
pub(super) fn is_misread(message: &ClientJsonRpcMessage, text: &[u8]) -> bool {
    let has_id =
        || serde_json::from_slice::<Value>(text).is_ok_and(|message| message.get("id").is_some());
    matches!(message, JsonRpcMessage::Notification(_)) && has_id()
}

/// What is wrong with a text.
pub(super) struct Complaint {
    /// The answer.
    pub(super) error: JsonRpcError,
    /// Whether nobody waits for it: the text is a notification.
    pub(super) is_unasked: bool,
}

/// What is wrong with a text that is no message, or is misread. `what` it is: "the body".
pub(super) fn complaint(text: &[u8], what: &str) -> Complaint {
    let value = match serde_json::from_slice::<Value>(text) {
        Ok(value) => value,
        Err(error) => {
            let why = format!("{what} is not JSON: {error}");
            let error = JsonRpcError::new(None, ErrorData::parse_error(why, None));
            return Complaint { error, is_unasked: false };
        }
    };
    let id: Option<RequestId> =
        value.get("id").and_then(|id| serde_json::from_value(id.clone()).ok());
    let has_method = value.get("method").is_some_and(Value::is_string);
    let is_unasked = id.is_none() && value.get("method").is_some();
    let why = if has_method && value.get("params").is_some_and(|params| !params.is_object()) {
        "the params of an MCP message are an object"
    } else {
        "expected one JSON-RPC 2.0 message: an object with \"jsonrpc\": \"2.0\" and a method"
    };
    let error = JsonRpcError::new(id, ErrorData::invalid_request(why, None));
    Complaint { error, is_unasked }
}
