//! The server that is asked: its address, its key, and the words for what goes wrong with it.
//!
//! The key goes into one header and nowhere else: no message and no `Debug` shows it.

use std::fmt;

use async_openai::config::Config;
use http::{HeaderMap, HeaderValue, header};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::agent::models::fault::{Said, is_transient, quote};
use crate::journal::Failure;
use crate::limits;

use super::OpenAiConfig;

/// OpenAI's own server.
const OPENAI: &str = "https://api.openai.com/v1";

/// Keys shorter than this are placeholders ("x", "none") that local servers are given. Blotting
/// them out would spoil every message.
const SECRET_MIN_BYTES: usize = 8;

/// A server and the way in.
#[derive(Clone)]
pub(super) struct Target {
    base: Url,
    key: SecretString,
    authorization: Option<HeaderValue>,
    /// The address as messages show it: without what it may hold of a password or a query.
    shown: String,
}

impl Target {
    pub(super) fn new(config: &OpenAiConfig) -> Result<Self, Failure> {
        let text = config.base_url.as_deref().map(str::trim);
        let text = text.filter(|text| !text.is_empty()).unwrap_or(OPENAI);
        let unusable = |why: &dyn fmt::Display| {
            Failure::is_final(format!(
                "OPENAI_BASE_URL is not the address of a server ({why}): write it like \
                 http://localhost:11434/v1"
            ))
        };
        let base = Url::parse(text).map_err(|error| unusable(&error))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(unusable(&format_args!("its scheme is {:?}", base.scheme())));
        }
        let key = config.api_key.clone().unwrap_or_default();
        let authorization = match key.expose_secret() {
            "" => None,
            secret => {
                let bearer = HeaderValue::from_str(&format!("Bearer {secret}"));
                let mut bearer = bearer.map_err(|_not_shown| {
                    Failure::is_final(
                        "OPENAI_API_KEY holds a line break or another character that no HTTP \
                         header can carry: set it again",
                    )
                })?;
                bearer.set_sensitive(true);
                Some(bearer)
            }
        };
        let path = base.path().trim_end_matches('/');
        let shown = format!("{}{path}", base.origin().ascii_serialization());
        Ok(Self { base, key, authorization, shown })
    }

    /// Whether it is OpenAI itself, or Azure, which differ from others' servers.
    pub(super) fn is_openai(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        host.ends_with(".openai.com") || host.ends_with(".azure.com")
    }

    /// The server answered, but not with a reply. `status` is that of the answer, or the one that
    /// an error inside the stream carries, if any.
    pub(super) fn refused(&self, model: &str, status: Option<u16>, said: &Said) -> Failure {
        let shown = &self.shown;
        let what = match status {
            Some(status) => format!("HTTP {status}"),
            None => "an error in the stream".to_owned(),
        };
        let words = match said.message.as_str() {
            "" => String::new(),
            message => format!(": {message}"),
        };
        if said.has_no_quota() {
            return Failure::is_final(format!(
                "the account behind OPENAI_API_KEY has no quota left at {shown} ({what}{words})"
            ));
        }
        match status {
            Some(401 | 403) if self.authorization.is_none() => Failure::is_final(format!(
                "OPENAI_API_KEY is not set, and {shown} asks for a key ({what}{words})"
            )),
            Some(401 | 403) => Failure::is_final(format!(
                "{shown} refuses the key in OPENAI_API_KEY ({what}{words}): check the key, and \
                 that OPENAI_BASE_URL is the server that it belongs to"
            )),
            Some(404) => Failure::is_final(format!(
                "{shown} knows no model {model:?}, or is not the base of an OpenAI-compatible API \
                 ({what}{words}): check the model's name and OPENAI_BASE_URL"
            )),
            Some(200..300) => Failure::is_final(format!(
                "{shown} does not answer as an OpenAI-compatible API ({what}{words}): check \
                 OPENAI_BASE_URL, which usually ends in /v1"
            )),
            Some(status) if is_transient(status) => {
                Failure::transient(format!("model {model:?} at {shown}: {what}{words}"))
            }
            None if !said.is_final() => {
                Failure::transient(format!("model {model:?} at {shown}: {what}{words}"))
            }
            _ => Failure::is_final(format!(
                "model {model:?} at {shown} refuses the request: {what}{words}"
            )),
        }
    }

    /// A response that the server worked on has ended with this error.
    pub(super) fn failed(&self, model: &str, said: &Said) -> Failure {
        let words = if said.message.is_empty() { "it does not say why" } else { &said.message };
        let message = format!("model {model:?} at {}: the response failed: {words}", self.shown);
        if said.passes() { Failure::transient(message) } else { Failure::is_final(message) }
    }

    /// A response was stopped, and not by the task that it is for.
    pub(super) fn cancelled(&self, model: &str) -> Failure {
        Failure::transient(format!(
            "model {model:?} at {}: the response was cancelled there",
            self.shown
        ))
    }

    /// The server does not know a response any more.
    pub(super) fn forgot(&self, model: &str, id: &str) -> Failure {
        Failure::transient(format!(
            "model {model:?} at {}: the response {id} is not kept there any more",
            self.shown
        ))
    }

    /// A response in the background does not come to an end.
    pub(super) fn unending(&self, model: &str, wait_ms: u64) -> Failure {
        Failure::is_final(format!(
            "model {model:?} at {} was still at work after {wait_ms} ms; the response was cancelled",
            self.shown
        ))
    }

    pub(super) fn moved(&self, status: u16, to: &str) -> Failure {
        Failure::is_final(format!(
            "{} has moved (HTTP {status}): set OPENAI_BASE_URL to where {} leads",
            self.shown,
            quote(to)
        ))
    }

    /// The request was not answered at all.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let (shown, cause) = (&self.shown, root_cause(error));
        if error.is_builder() {
            return Failure::is_final(format!("cannot ask {shown}: {cause}"));
        }
        if error.is_connect() || error.is_timeout() {
            return Failure::transient(format!(
                "cannot connect to {shown} ({cause}): check that the server is up and that \
                 OPENAI_BASE_URL is its address"
            ));
        }
        Failure::transient(format!(
            "the connection to {shown} broke before an answer came ({cause})"
        ))
    }

    pub(super) fn silent(&self, model: &str, wait_ms: u64) -> Failure {
        Failure::transient(format!(
            "model {model:?} at {} did not begin to answer within {wait_ms} ms",
            self.shown
        ))
    }

    pub(super) fn stalled(&self, wait_ms: u64) -> Failure {
        Failure::transient(format!(
            "the reply from {} stalled: nothing came for {wait_ms} ms",
            self.shown
        ))
    }

    pub(super) fn cut(&self, error: Option<&reqwest::Error>) -> Failure {
        let cause = error.map(|error| format!(" ({})", root_cause(error))).unwrap_or_default();
        Failure::transient(format!("the reply from {} was cut before its end{cause}", self.shown))
    }

    pub(super) fn garbled(&self, what: &dyn fmt::Display) -> Failure {
        let what = quote(&what.to_string());
        Failure::transient(format!("the reply from {} cannot be read: {what}", self.shown))
    }

    pub(super) fn too_long(&self, model: &str) -> Failure {
        Failure::is_final(format!(
            "the reply of model {model:?} at {} is longer than {} bytes: bound its output",
            self.shown,
            limits::MODEL_STREAM_MAX_BYTES
        ))
    }

    pub(super) fn endless(&self, model: &str, wait_ms: u64) -> Failure {
        Failure::transient(format!(
            "model {model:?} at {} was not done within {wait_ms} ms",
            self.shown
        ))
    }

    /// Blots the key out of what a server made of it.
    pub(super) fn without_key(&self, mut failure: Failure) -> Failure {
        let key = self.key.expose_secret();
        if key.len() >= SECRET_MIN_BYTES {
            failure.message = failure.message.replace(key, "[OPENAI_API_KEY]");
        }
        failure
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.shown).finish()
    }
}

impl Config for Target {
    fn headers(&self) -> HeaderMap {
        let bearer = self.authorization.clone();
        bearer.into_iter().map(|bearer| (header::AUTHORIZATION, bearer)).collect()
    }

    /// The query of the base, if any, stays: Azure's addresses end in `?api-version=...`.
    fn url(&self, path: &str) -> String {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.into()
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        self.base.as_str()
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}

/// The innermost cause: reqwest's own words only say that there was an error.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    quote(&cause.to_string())
}
