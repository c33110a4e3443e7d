//! One request and its redirects.

use std::collections::BTreeMap;
use std::error::Error as _;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};

use super::address::{Forbidden, Guard};
use super::{answer, refusal};
use crate::agent::ToolOutput;
use crate::agent::definition::{HttpMethod, HttpRules};
use crate::agent::expand::{Env, expand_text};
use crate::agent::models::retry_after_ms;
use crate::journal::{Effect, Failure};
use crate::limits;

/// The header by which servers know a repetition (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Headers that are not for a model to set: they frame the message, or stand for who asks.
const RESERVED: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::CONNECTION,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    IDEMPOTENCY_KEY,
];

pub(super) struct Exchange<'a> {
    pub(super) client: Client,
    pub(super) rules: &'a HttpRules,
    pub(super) guard: Guard,
    pub(super) env: &'a Env,
    pub(super) method: HttpMethod,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<String>,
    pub(super) idempotency_key: &'a str,
}

impl Exchange<'_> {
    pub(super) async fn run(self, url: Url) -> Result<ToolOutput, Failure> {
        let given = match self.given() {
            Ok(given) => given,
            Err(complaint) => return Ok(refusal(complaint)),
        };
        let first = url.clone();
        let mut url = url;
        for _ in 0..=limits::HTTP_TOOL_REDIRECTS {
            if let Err(complaint) = self.check(&url) {
                return Ok(refusal(complaint));
            }
            // What a model says to one host is not for another.
            let mut headers =
                if url.origin() == first.origin() { given.clone() } else { HeaderMap::new() };
            headers.extend(self.of_host(&url)?);
            let response = match self.send(&url, headers).await {
                Ok(response) => response,
                Err(error) => return self.unanswered(&url, &error),
            };
            match self.redirect(&url, &response) {
                Some(Ok(next)) if next.scheme() == "http" && url.scheme() == "https" => {
                    return Ok(refusal(format!("{url} redirects to {next}, without TLS.")));
                }
                Some(Ok(next)) => url = next,
                Some(Err(complaint)) => return Ok(refusal(complaint)),
                None => return self.answered(&url, response).await,
            }
        }
        let most = limits::HTTP_TOOL_REDIRECTS;
        Ok(refusal(format!("{first} redirects more than {most} times.")))
    }

    /// The headers that the model gives.
    fn given(&self) -> Result<HeaderMap, String> {
        let mut given = HeaderMap::new();
        for (name, value) in &self.headers {
            let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
            else {
                return Err(format!("{name:?} with this value is no header."));
            };
            if RESERVED.contains(&name) {
                return Err(format!("The header {name} cannot be set. Leave it out."));
            }
            given.insert(name, value);
        }
        if let Some(body) = &self.body
            && !given.contains_key(header::CONTENT_TYPE)
        {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
            let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
            given.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if self.method.effect() != Effect::Pure {
            let key = self.idempotency_key.parse().map_err(|_| "The call has no key.".to_owned());
            given.insert(IDEMPOTENCY_KEY, key?);
        }
        Ok(given)
    }

    /// Whether the request may go there at all.
    fn check(&self, url: &Url) -> Result<(), String> {
        let list = |items: Vec<String>| items.join(", ");
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{url} is neither http nor https."));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("A URL with a user or a password in it is not allowed.".to_owned());
        }
        if !self.rules.methods.contains(&self.method) {
            let methods = self.rules.methods.iter().map(|method| method.as_str().to_owned());
            let (method, methods) = (self.method.as_str(), list(methods.collect()));
            return Err(format!("{method} is not allowed. The methods are: {methods}."));
        }
        if !self.rules.allow(url) {
            let hosts = list(self.rules.hosts.iter().map(ToString::to_string).collect());
            let host = url.host_str().unwrap_or_default();
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            return Err(format!("{host}{port} is not allowed. The hosts are: {hosts}."));
        }
        self.guard.check_literal(url).map_err(|error| format!("Not allowed: {error}."))
    }

    /// The headers that the agent's file has for this host. They hold secrets, and so go over TLS, or
    /// within a network that is our own.
    fn of_host(&self, url: &Url) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        if url.scheme() != "https" && !self.rules.private {
            return Ok(headers);
        }
        let ours = self.rules.headers.iter().filter(|(host, _)| host.matches(url));
        for (host, of_host) in ours {
            for (name, value) in of_host {
                let who = format!("the header {name} for {host}");
                let value = expand_text(&who, value, self.env)?;
                let (Ok(name), Ok(mut value)) =
                    (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
                else {
                    return Err(Failure::is_final(format!("{who} has a value that is none")));
                };
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        Ok(headers)
    }

    async fn send(&self, url: &Url, headers: HeaderMap) -> reqwest::Result<Response> {
        let method = match self.method {
            HttpMethod::Get => reqwest::Method::GET,
            HttpMethod::Head => reqwest::Method::HEAD,
            HttpMethod::Options => reqwest::Method::OPTIONS,
            HttpMethod::Put => reqwest::Method::PUT,
            HttpMethod::Delete => reqwest::Method::DELETE,
            HttpMethod::Post => reqwest::Method::POST,
            HttpMethod::Patch => reqwest::Method::PATCH,
        };
        let mut request = self.client.request(method, url.clone()).headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.send().await
    }

    /// What follows from a request that has no answer. Whether it can have been read is what matters:
    /// not before there was a connection.
    fn unanswered(&self, url: &Url, error: &reqwest::Error) -> Result<ToolOutput, Failure> {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
                return Ok(refusal(format!("Not allowed: {forbidden}.")));
            }
            why = cause.to_string();
            source = cause.source();
        }
        let host = url.host_str().unwrap_or_default();
        Err(if error.is_connect() {
            Failure::transient(format!("cannot connect to {host}: {why}"))
        } else {
            Failure::in_doubt(format!("{host} did not answer: {why}"))
        })
    }

    /// Where the answer leads on to. Only what changes nothing follows by itself: where else a change
    /// is to be made is for the model to decide.
    fn redirect(&self, url: &Url, response: &Response) -> Option<Result<Url, String>> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
            || self.method.effect() != Effect::Pure
        {
            return None;
        }
        let to = response.headers().get(header::LOCATION)?.to_str().ok()?;
        Some(url.join(to).map_err(|error| format!("{url} redirects to {to:?}: {error}.")))
    }

    /// The answer as the model is told it, or what follows from one that says nothing for sure.
    async fn answered(&self, url: &Url, response: Response) -> Result<ToolOutput, Failure> {
        let status = response.status();
        let wait_ms = retry_after_ms(response.headers());
        let text = answer::text(response, self.method, self.rules.max_bytes).await?;
        match status.as_u16() {
            429 => Err(Failure::transient(told(url, &text)).retry_after_ms(wait_ms)),
            // Who answers is not who was to act.
            502..=504 => Err(Failure::in_doubt(told(url, &text)).retry_after_ms(wait_ms)),
            _ => Ok(ToolOutput {
                text,
                is_error: status.is_client_error() || status.is_server_error(),
                structured: None,
            }),
        }
    }
}

/// An answer within a failure's message.
fn told(url: &Url, text: &str) -> String {
    let shown: String = text.chars().take(limits::MODEL_ERROR_SHOWN_CHARS).collect();
    format!("{} answered: {shown}", url.host_str().unwrap_or_default())
}
