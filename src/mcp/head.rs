//! Whom a message concerns of which only the beginning was kept.

use rmcp::model::RequestId;

/// The message's id, where it stands before its `body` member (`"params"`, `"result"`), as common
/// implementations write it.
pub(super) fn id(head: &[u8], body: &str) -> Option<RequestId> {
    let head = String::from_utf8_lossy(head);
    let envelope = head.split(&format!("\"{body}\"")).next()?;
    let (_, id) = envelope.split_once("\"id\"")?;
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
        let check = |head: &str, expected| assert_eq!(id(head.as_bytes(), "result"), expected);
        check(r#"{"jsonrpc":"2.0","id":17,"result":{"a":[{"id":4"#, Some(RequestId::Number(17)));
        check(r#"{"id" : "a-1", "result":{"#, Some(RequestId::String("a-1".into())));
        check(r#"{"jsonrpc":"2.0","result":{"a":[{"id":4,"#, None);
        check(r#"{"jsonrpc":"2.0","id":17"#, None);
    }
}
