//! Models behind OpenAI's two APIs: OpenAI, Azure, Ollama, vLLM, llama.cpp, OpenRouter.
//!
//! ```text
//! Request ──> chat, or responses ──> async-openai ── transport::Exchange ──> server
//! ```
//!
//! `chat` is what every such server has. `responses` can go on while nobody listens, and is what a
//! call in flight at a crash is fetched by. One call is one HTTP request, unless the server refuses a
//! parameter that can be left out.

mod assembly;
mod chat;
mod refusals;
mod responses;
mod schema;
mod target;
mod transport;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::agent::{Outcome, Request};
use crate::journal::{Failure, Hash};
use crate::{limits, tls};

pub(super) use responses::Responses;

use refusals::{Parameter, Refusals};
use schema::Format;
use target::Target;
use transport::{Carried, Exchange, Expects};

/// Which server to ask, and how long to wait for it. `Debug` does not show the key.
#[derive(Debug, Clone, Default)]
pub struct OpenAiConfig {
    /// `OPENAI_BASE_URL`; OpenAI's own server where there is none.
    pub base_url: Option<String>,
    /// `OPENAI_API_KEY`; servers of one's own often want none.
    pub api_key: Option<SecretString>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl OpenAiConfig {
    /// Whether a server or a key is given. With neither there is nobody to ask.
    pub fn is_configured(&self) -> bool {
        let key = self.api_key.as_ref().map(ExposeSecret::expose_secret);
        [self.base_url.as_deref(), key].iter().flatten().any(|text| !text.is_empty())
    }
}

/// How long to wait for what. The defaults are those of [`crate::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect_ms: u64,
    /// From the request to the first byte of the reply.
    pub first_byte_ms: u64,
    /// From one byte of the reply to the next.
    pub stall_ms: u64,
    /// For the whole call, unless the server works on it in the background.
    pub call_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: limits::MODEL_CONNECT_MS,
            first_byte_ms: limits::MODEL_FIRST_BYTE_MS,
            stall_ms: limits::MODEL_STALL_MS,
            call_ms: limits::MODEL_CALL_MS,
        }
    }
}

/// An OpenAI-compatible server. Connections are kept and shared between calls.
#[derive(Debug)]
pub struct OpenAi {
    http: reqwest::Client,
    target: Arc<Target>,
    timeouts: Timeouts,
    refusals: Refusals,
}

impl OpenAi {
    /// Prepares a client. Nothing is sent yet.
    ///
    /// # Errors
    /// A final failure where the address or the key cannot be used, or there are no root
    /// certificates for TLS.
    pub fn new(config: &OpenAiConfig) -> Result<Self, Failure> {
        let target = Arc::new(Target::new(config)?);
        tls::use_ring();
        let http = reqwest::Client::builder()
            .user_agent(concat!("relight/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(config.timeouts.connect_ms))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| {
                Failure::is_final(format!("cannot prepare HTTP for {target:?}: {error}"))
            })?;
        Ok(Self { http, target, timeouts: config.timeouts, refusals: Refusals::default() })
    }

    /// A client for one request about this model, and what will be known of its exchange.
    fn exchange(&self, model: &str, expects: Expects) -> (Exchange, Client<Arc<dyn Config>>) {
        let (http, target) = (self.http.clone(), Arc::clone(&self.target));
        let exchange = Exchange::new(http, self.timeouts, target, model, expects);
        let sent = exchange.clone();
        let service = tower::service_fn(move |request| sent.clone().send(request));
        let config: Arc<dyn Config> = Arc::<Target>::clone(&self.target);
        (exchange, Client::build(self.http.clone(), config).with_http_service(service))
    }

    /// What comes of a call, within the bound on its time. No message of it shows the key.
    async fn bounded(
        &self,
        model: &str,
        call: impl Future<Output = Result<Outcome, Failure>>,
    ) -> Result<Outcome, Failure> {
        let call_ms = self.timeouts.call_ms;
        let outcome = match timeout(Duration::from_millis(call_ms), call).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(self.target.endless(model, call_ms)),
        };
        outcome.map_err(|failure| self.target.without_key(failure))
    }

    /// The format of the answer that is wanted, unless the server is known not to take it.
    fn format<'a>(&self, request: &'a Request) -> Option<Format<'a>> {
        let refused = || self.refusals.holds(&Parameter::format_of(request));
        Format::of(request.output_schema.as_ref()?).filter(|_| !refused())
    }

    fn too_long(&self, failure: Failure) -> Outcome {
        Outcome::TooLong { too_long: self.target.without_key(failure).message }
    }

    fn failure(&self, error: OpenAIError) -> Failure {
        match error {
            OpenAIError::Boxed(error) => match error.downcast::<Carried>() {
                Ok(carried) => carried.0,
                Err(error) => self.target.garbled(&error),
            },
            OpenAIError::Reqwest(error) => self.target.unreachable(&error),
            OpenAIError::InvalidArgument(why) => {
                Failure::is_final(format!("the request cannot be written down: {why}"))
            }
            error => self.target.garbled(&error),
        }
    }
}

/// The request's key as a header can carry it. Any other is sent as its hash, which is as stable.
fn idempotency_key(request: &Request) -> String {
    let key = &request.idempotency_key;
    match key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => key.clone(),
        false => Hash::of(key.as_bytes()).to_string(),
    }
}
