//! Whom a message concerns of which only the beginning was kept.

use rmcp::model::RequestId;

/// The members that say what a message is about. Whatever stands in them is not the message's own.
const BODIES: [&str; 3] = ["\"params\"", "\"result\"", "\"error\""];

/// What stands before the message's body, as common implementations write it.
fn envelope(head: &str) -> &str {
    let body = BODIES.iter().filter_map(|body| head.find(body)).min();
    &head[..body.unwrap_or(head.len())]
}

/// Whether the message asks or tells something, and is not the answer to a request.
pub(super) fn has_method(head: &[u8]) -> bool {
    envelope(&String::from_utf8_lossy(head)).contains("\"method\"")
}

/// The message's id, where it stands before its body.
pub(super) fn id(head: &[u8]) -> Option<RequestId> {
    let head = String::from_utf8_lossy(head);
    let (_, id) = envelope(&head).split_once("\"id\"")?;
    let id = id.trim_start().strip_prefix(':')?.trim_start();
    if let Some(text) = id.strip_prefix('"') {
        let (text, _) = text.split_once('"')?;
        return Some(RequestId::String(text.into()));
    }
    let end = id.find(|c: char| !c.is_ascii_digit())?;
    id[..end].parse().ok().map(RequestId::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_before_the_body_only() {
        let check = |head: &str, expected| assert_eq!(id(head.as_bytes()), expected);
        check(r#"{"jsonrpc":"2.0","id":17,"result":{"a":[{"id":4"#, Some(RequestId::Number(17)));
        check(r#"{"id" : "a-1", "params":{"#, Some(RequestId::String("a-1".into())));
        check(r#"{"id":3,"error":{"code":1,"#, Some(RequestId::Number(3)));
        check(r#"{"jsonrpc":"2.0","result":{"a":[{"id":4,"#, None);
        check(r#"{"jsonrpc":"2.0","method":"m","params":{"id":4,"#, None);
        check(r#"{"jsonrpc":"2.0","id":17"#, None);
    }

    #[test]
    fn an_answer_is_told_from_a_request_by_what_stands_before_the_body() {
        let check = |head: &str, expected| assert_eq!(has_method(head.as_bytes()), expected);
        check(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"#, true);
        check(r#"{"id":1,"method":"m","params":{"result":"#, true);
        check(r#"{"id":1,"result":{"method":"#, false);
        check(r#"{"id":1,"error":{"message":"no \"method\""#, false);
    }
}
