//! What an HTTP status and an error's body mean for a model call: whether to try again, and what
//! to tell a person.
//!
//! Servers agree on little here: `code` is a text, a number or missing, bodies are JSON, plain
//! text or HTML. The status decides; the body is quoted.

use http::{HeaderMap, header};
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

use crate::limits;

/// Codes and types that stand for an account without money. Servers send them as 429, which
/// otherwise passes by itself.
const NO_QUOTA: [&str; 3] =
    ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

/// Types, without a status beside them, of errors that come again with the same request.
const FINAL_TYPES: [&str; 6] = [
    "invalid_request_error",
    "context_length_exceeded",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "BadRequestError",
];

/// Codes and types of errors that say that the conversation is longer than the model can read.
const TOO_LONG: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// Words in which servers without such a code say it (vLLM, OpenRouter, Mistral; OpenAI's Responses;
/// llama.cpp; Anthropic).
const TOO_LONG_WORDS: [&str; 4] =
    ["context length", "context window", "context size", "prompt is too long"];

/// Codes of responses that failed for a reason of the server's.
const PASSING: [&str; 4] = ["", "server_error", "rate_limit_exceeded", "vector_store_timeout"];

/// Whether another attempt may succeed where the server answered with this status.
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429) || status >= 500
}

/// What a server said about an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Its message, or the first lines of what it sent instead.
    pub(super) message: String,
    code: String,
    kind: String,
    param: String,
}

impl Said {
    /// Reads the body of an error.
    pub(super) fn of_body(body: &str) -> Self {
        let json = serde_json::from_str(body).ok();
        json.as_ref().and_then(Self::read).unwrap_or_else(|| {
            let quoted = quote(body);
            Self { message: quoted, ..Self::default() }
        })
    }

    /// Reads an error object, alone or under `error`.
    pub(super) fn of_json(value: &Value) -> Self {
        let whole = || Self { message: quote(&value.to_string()), ..Self::default() };
        Self::read(value).unwrap_or_else(whole)
    }

    fn read(value: &Value) -> Option<Self> {
        // Gemini wraps the object in a list.
        let value = value.get(0).unwrap_or(value);
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let message = ["message", "detail", "msg"].iter().find_map(|key| error.get(key)?.as_str());
        let message = quote(error.as_str().or(message)?);
        let label = |key| match error.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Some(Self { message, code: label("code"), kind: label("type"), param: label("param") })
    }

    /// Whether it is about money.
    pub(super) fn has_no_quota(&self) -> bool {
        NO_QUOTA.iter().any(|name| self.code == *name || self.kind == *name)
    }

    /// Whether it is about a conversation that is longer than the model can read. The words count only
    /// with a status that blames the request: a rate limit speaks of sizes too.
    pub(super) fn is_too_long(&self, status: Option<u16>) -> bool {
        let words = self.message.to_lowercase();
        let blames = status.is_none_or(|status| matches!(status, 400 | 413 | 422));
        TOO_LONG.iter().any(|name| self.code == *name || self.kind == *name)
            || blames && TOO_LONG_WORDS.iter().any(|phrase| words.contains(phrase))
    }

    /// Whether a response that failed with this may do better when it is created again. A code that
    /// is not known counts as final: every creation is paid for.
    pub(super) fn passes(&self) -> bool {
        PASSING.contains(&self.code.as_str())
    }

    /// Whether it names this parameter.
    pub(super) fn mentions(&self, parameter: &str) -> bool {
        self.param == parameter || self.message.contains(parameter)
    }

    /// The HTTP status that the error carries in its `code`.
    pub(super) fn status(&self) -> Option<u16> {
        self.code.parse().ok().filter(|status| (400..600).contains(status))
    }

    /// Whether the error would come again, going by its type alone.
    pub(super) fn is_final(&self) -> bool {
        FINAL_TYPES.iter().any(|name| self.code == *name || self.kind == *name)
    }
}

/// The beginning of a text, on one line, without what a terminal would act on.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        if !quoted.is_empty() {
            quoted.push(' ');
        }
        quoted.push_str(word);
        if let Some((end, _)) = quoted.char_indices().nth(limits::MODEL_ERROR_SHOWN_CHARS) {
            quoted.truncate(end);
            quoted.push_str("...");
            break;
        }
    }
    quoted
}

/// When the server wants to be asked again, in milliseconds from its answer.
///
/// `retry-after-ms`, or `Retry-After` (RFC 9110, section 10.2.3) in seconds or as a date. A date is
/// read against the answer's own `Date`, so that neither side's clock matters.
pub(super) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait_ms) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return to_ms(wait_ms);
    }
    let after = text(header::RETRY_AFTER.as_str())?;
    if let Ok(wait_s) = after.parse::<f64>() {
        return to_ms(wait_s * 1000.0);
    }
    let date = |text: &str| DateTimeParser::new().parse_timestamp(text).ok();
    let wait = date(after)?.duration_since(date(text(header::DATE.as_str())?)?);
    Some(u64::try_from(wait.as_millis()).unwrap_or(0))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float casts to the nearest integer in range, and NaN and negatives are left out"
)]
fn to_ms(wait_ms: f64) -> Option<u64> {
    (wait_ms >= 0.0).then(|| wait_ms.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_retry_after(headers: &[(&'static str, &str)], expected: Option<u64>) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), value.parse().expect("a header's value"))
            })
            .collect();
        assert_eq!(retry_after_ms(&headers), expected, "{headers:?}");
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        check_retry_after(&[], None);
        check_retry_after(&[("retry-after", "2")], Some(2000));
        check_retry_after(&[("retry-after", "0.25")], Some(250));
        check_retry_after(&[("retry-after", "2"), ("retry-after-ms", "30")], Some(30));
        check_retry_after(&[("retry-after", "Wed, 21 Oct 2015 07:28:05 GMT"), date], Some(5000));
        check_retry_after(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"), date], Some(0));
        check_retry_after(&[("retry-after", "Wed, 21 Oct 2015 07:28:05 GMT")], None);
        check_retry_after(&[("retry-after", "soon"), date], None);
        check_retry_after(&[("retry-after", "-1")], None);
        check_retry_after(&[("retry-after", "NaN")], None);
        check_retry_after(&[("retry-after", "1e300")], Some(u64::MAX));
    }

    fn check_said(body: &str, message: &str, status: Option<u16>) {
        let said = Said::of_body(body);
        assert_eq!((said.message.as_str(), said.status()), (message, status), "{body}");
    }

    #[test]
    fn errors_of_many_servers() {
        check_said(
            r#"{"error":{"message":"slow down","type":"x","code":null}}"#,
            "slow down",
            None,
        );
        check_said(
            r#"{"error":{"code":503,"message":"Loading model"}}"#,
            "Loading model",
            Some(503),
        );
        check_said(r#"{"object":"error","message":"bad","code":400}"#, "bad", Some(400));
        check_said(r#"{"error":"model 'x' not found"}"#, "model 'x' not found", None);
        check_said(r#"{"detail":"Not Found"}"#, "Not Found", None);
        check_said(r#"[{"error":{"code":429,"message":"quota"}}]"#, "quota", Some(429));
        check_said("upstream\n\n  is \u{1b}[31mdown\r\n", "upstream is [31mdown", None);
        check_said(r#"{"ok":false}"#, r#"{"ok":false}"#, None);
        check_said("", "", None);
    }

    #[test]
    fn a_conversation_that_is_too_long_is_known_by_code_or_words() {
        let check = |status: u16, body: &str, expected: bool| {
            assert_eq!(Said::of_body(body).is_too_long(Some(status)), expected, "{status} {body}");
        };
        check(400, r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#, true);
        check(500, r#"{"error":{"message":"x","type":"exceed_context_size_error"}}"#, true);
        check(400, r#"{"message":"This model's maximum context length is 4096 tokens."}"#, true);
        check(400, r#"{"error":{"message":"Your input exceeds the context window."}}"#, true);
        check(429, r#"{"error":{"message":"beyond the context window"}}"#, false);
        check(400, r#"{"error":{"message":"max_tokens is too large"}}"#, false);
    }

    #[test]
    fn a_long_body_is_cut() {
        let quoted = quote(&"word ".repeat(10_000));
        assert_eq!(quoted.chars().count(), limits::MODEL_ERROR_SHOWN_CHARS + 3);
    }
}
