//! Chat completions: what every OpenAI-compatible server has.
//!
//! ```text
//! Request ── wire::Body ──> server
//! Reply <── assembly <── wire::Chunk <── bytes, watched
//! ```
//!
//! Replies are always streamed, so that a stalled one is noticed.

use std::sync::Arc;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::traits::RequestOptionsBuilder;
use async_trait::async_trait;
use futures_util::StreamExt;

use super::assembly::Assembly;
use super::refusals::Parameter;
use super::schema::Format;
use super::transport::{Exchange, Expects, Refused};
use super::wire::{Body, Chunk};
use super::{OpenAi, idempotency_key};
use crate::agent::models::fault::Said;
use crate::agent::{Message, Model, Outcome, Reply, Request};
use crate::journal::Failure;

impl OpenAi {
    async fn chat(&self, request: &Request) -> Result<Outcome, Failure> {
        let mut format = self.chat_format(request);
        loop {
            let (exchange, client) = self.exchange(&request.model, Expects::Stream);
            let failure = match self.attempt(request, format.as_ref(), &exchange, client).await {
                Ok(reply) => return Ok(reply.into()),
                Err(failure) => failure,
            };
            match exchange.refused() {
                Some(refused) if refused.is_too_long() => return Ok(self.too_long(failure)),
                Some(refused) if refused.blames_request() && format.is_some() => {
                    self.refusals.remember(&Parameter::format_of(request));
                    format = None;
                }
                _ => return Err(failure),
            }
        }
    }

    /// The format to ask for. Others' servers than OpenAI's hold a model to it in every reply, which
    /// leaves no room for tool calls: there it is asked for only where there are no tools.
    fn chat_format<'a>(&self, request: &'a Request) -> Option<Format<'a>> {
        let room = self.target.is_openai() || request.tools.is_empty();
        self.format(request).filter(|_| room)
    }

    async fn attempt(
        &self,
        request: &Request,
        format: Option<&Format<'_>>,
        exchange: &Exchange,
        client: Client<Arc<dyn Config>>,
    ) -> Result<Reply, Failure> {
        let model = &request.model;
        let body = Body::new(request, format, self.target.is_openai());
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
                        let failure = self.target.refused(model, said.status(), &said);
                        exchange.note(Refused { status: said.status(), said });
                        return Err(failure);
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
}

#[async_trait]
impl Model for OpenAi {
    async fn call(&self, request: &Request) -> Result<Outcome, Failure> {
        self.bounded(&request.model, self.chat(request)).await
    }
}
