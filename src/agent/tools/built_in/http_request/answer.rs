//! An HTTP answer as text for a model.

use std::fmt::Write as _;

use http::header::{self, HeaderName};
use reqwest::Response;

use crate::agent::definition::HttpMethod;
use crate::journal::{Effect, Failure};

/// The headers that a model can use. The others say nothing about the answer's meaning, or hold what
/// is to be kept (`set-cookie`).
const SHOWN: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::ALLOW,
    header::LINK,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

/// Reads the answer: its status, some headers, and at most so many bytes of its body.
///
/// # Errors
/// In doubt, when the body breaks off after a request that may be made again. After any other the
/// status tells what happened, and what there is of the body is enough.
pub(super) async fn text(
    mut response: Response,
    method: HttpMethod,
    max_bytes: u64,
) -> Result<String, Failure> {
    let status = response.status();
    let mut text = format!("HTTP {}", status.as_u16());
    if let Some(reason) = status.canonical_reason() {
        text.push(' ');
        text.push_str(reason);
    }
    text.push('\n');
    for name in SHOWN {
        for value in response.headers().get_all(&name) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let announced = response.content_length().filter(|_| method != HttpMethod::Head);
    let max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let (mut body, mut note) = (Vec::new(), None);
    while note.is_none() {
        match response.chunk().await {
            Ok(Some(bytes)) => body.extend_from_slice(&bytes),
            Ok(None) => break,
            Err(error) if method.effect() != Effect::Once => {
                return Err(Failure::in_doubt(format!("the answer broke off: {error}")));
            }
            Err(_) => note = Some(format!("[the answer broke off after {} bytes]", body.len())),
        }
        if body.len() > max {
            body.truncate(max);
            let of = announced.map_or_else(String::new, |bytes| format!(" of {bytes}"));
            note = Some(format!("[cut: the first {max}{of} bytes]"));
        }
    }
    if !body.is_empty() {
        text.push('\n');
        text.push_str(&readable(&body));
    }
    if let Some(note) = note {
        text.push('\n');
        text.push_str(&note);
    }
    Ok(text)
}

/// The body where it is text; a cut may have gone through its last letter.
fn readable(body: &[u8]) -> String {
    let is_text = match std::str::from_utf8(body) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    if is_text && !body.contains(&0) {
        String::from_utf8_lossy(body).trim_end_matches('\u{fffd}').to_owned()
    } else {
        format!("[{} bytes that are no text in UTF-8]", body.len())
    }
}
