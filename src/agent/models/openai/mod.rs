//! Models behind OpenAI's chat completions: OpenAI, Azure, Ollama, vLLM, llama.cpp, OpenRouter.
//!
//! ```text
//! Request ── wire::Body ──> async-openai ── transport::Exchange ──> server
//! Reply <── assembly <── wire::Chunk <── async-openai <── bytes, watched
//! ```
//!
//! Replies are always streamed, so that a stalled one is noticed. One call is one HTTP request.

mod assembly;
mod target;
mod transport;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::traits::RequestOptionsBuilder;
use async_trait::async_trait;
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::agent::{Message, Model, Reply, Request};
use crate::journal::{Failure, Hash};
use crate::limits;

use super::fault::Said;
use assembly::Assembly;
use target::Target;
use transport::{Carried, Exchange};
use wire::{Body, Chunk};

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
    /// For the whole call.
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
}

impl OpenAi {
    /// Prepares a client. Nothing is sent yet.
    ///
    /// # Errors
    /// A final failure where the address or the key cannot be used, or there are no root
    /// certificates for TLS.
    pub fn new(config: &OpenAiConfig) -> Result<Self, Failure> {
        let target = Arc::new(Target::new(config)?);
        // The process may have chosen its own provider before: then that one is used.
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("relight/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(config.timeouts.connect_ms))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| {
                Failure::is_final(format!("cannot prepare HTTP for {target:?}: {error}"))
            })?;
        Ok(Self { http, target, timeouts: config.timeouts })
    }

    async fn attempt(&self, request: &Request) -> Result<Reply, Failure> {
        let model = &request.model;
        let exchange =
            Exchange::new(self.http.clone(), self.timeouts, Arc::clone(&self.target), model);
        let sent = exchange.clone();
        let service = tower::service_fn(move |request| sent.clone().send(request));
        let config: Arc<dyn Config> = Arc::<Target>::clone(&self.target);
        let client = Client::build(self.http.clone(), config).with_http_service(service);
        let body = Body::new(request, self.target.bounds_completion());
        let mut chunks = client
            .chat()
            .header("idempotency-key", idempotency_key(request))
            .map_err(|error| self.failure(error))?
            .create_stream_byot::<_, Chunk>(&body)
            .await
            .map_err(|error| self.failure(error))?;

        let mut assembly = Assembly::default();
        let mut garbled = None;
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(mut chunk) => match chunk.error() {
                    Some(error) => {
                        let said = Said::of_json(&error);
                        return Err(self.target.refused(model, said.status(), &said));
                    }
                    None => assembly.push(chunk),
                },
                Err(error) => {
                    garbled = Some(self.failure(error));
                    break;
                }
            }
        }
        // The message is whole once its end was announced, whatever became of the stream after it.
        if assembly.finish_reason().is_none() {
            if let Some(failure) = exchange.failure().or(garbled) {
                return Err(failure);
            }
            if assembly.is_empty() || !exchange.is_done() {
                return Err(self.target.cut(None));
            }
        }
        if assembly.finish_reason() == Some("error") {
            return Err(self.target.garbled(&"the server gave up in the middle of it"));
        }
        if assembly.has_nameless_call() {
            return Err(self.target.garbled(&"it calls a tool without a name"));
        }
        let turn = 1 + request
            .messages
            .iter()
            .filter(|message| matches!(message, Message::Assistant(_)))
            .count();
        Ok(assembly.into_reply(turn))
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

#[async_trait]
impl Model for OpenAi {
    async fn call(&self, request: &Request) -> Result<Reply, Failure> {
        let call_ms = self.timeouts.call_ms;
        let replied = match timeout(Duration::from_millis(call_ms), self.attempt(request)).await {
            Ok(replied) => replied,
            Err(_elapsed) => Err(self.target.endless(&request.model, call_ms)),
        };
        replied.map_err(|failure| self.target.without_key(failure))
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
