//! The Responses API: a call is created, and then fetched by its id until it has ended.
//!
//! ```text
//! call ── POST /responses {background, store} ──> pending id        (journalled)
//! fetch ── GET /responses/{id} ──> ... ──> Reply                    (as often as it takes)
//! cancel ── POST /responses/{id}/cancel
//! ```
//!
//! So a crash while the model works costs nothing: the next process fetches what the last one paid
//! for. A server that refuses `background` answers at once, as chat completions do.

mod reading;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_openai::traits::RequestOptionsBuilder;
use async_trait::async_trait;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

pub(super) use wire::RESPONSE_OUTPUT;

use super::refusals::Parameter;
use super::transport::{Expects, Refused};
use super::{OpenAi, idempotency_key};
use crate::agent::{Model, Outcome, Request};
use crate::journal::Failure;
use crate::limits;
use reading::Reading;
use wire::{Body, Offer};

/// The Responses API of a server.
#[derive(Debug)]
pub(in crate::agent::models) struct Responses {
    server: Arc<OpenAi>,
}

impl Responses {
    pub(in crate::agent::models) fn new(server: Arc<OpenAi>) -> Self {
        Self { server }
    }

    async fn create(&self, request: &Request) -> Result<Outcome, Failure> {
        let server = &self.server;
        let mut offer = Offer {
            background: !server.refusals.holds(&Parameter::Background),
            format: server.format(request),
        };
        loop {
            let (exchange, client) = server.exchange(&request.model, Expects::Json);
            let created = client
                .responses()
                .header("idempotency-key", idempotency_key(request))
                .map_err(|error| server.failure(error))?
                .create_byot::<_, Value>(&Body::new(request, &offer))
                .await;
            let failure = match created {
                Ok(response) => {
                    return match self.outcome(&request.model, response)? {
                        // Nothing is to be fetched: it is this attempt that has failed.
                        Outcome::Lost { lost } => Err(lost),
                        outcome => Ok(outcome),
                    };
                }
                Err(error) => server.failure(error),
            };
            match exchange.refused() {
                Some(refused) if refused.is_too_long() => return Ok(server.too_long(failure)),
                Some(refused) if offer.background && refuses_background(&refused) => {
                    server.refusals.remember(&Parameter::Background);
                    offer.background = false;
                }
                Some(refused) if refused.blames_request() && offer.format.is_some() => {
                    server.refusals.remember(&Parameter::format_of(request));
                    offer.format = None;
                }
                Some(Refused { status: Some(404), .. }) => {
                    return Err(Failure {
                        message: format!(
                            "{}; a server without the Responses API wants openai:{}",
                            failure.message, request.model
                        ),
                        ..failure
                    });
                }
                _ => return Err(failure),
            }
        }
    }

    /// Looks at a response once.
    async fn look(&self, model: &str, id: &str) -> Result<Outcome, Failure> {
        let server = &self.server;
        let (exchange, client) = server.exchange(model, Expects::Json);
        match client.responses().retrieve_byot::<_, Value>(id).await {
            Ok(response) => self.outcome(model, response),
            Err(error) => match exchange.refused() {
                // Servers keep a response for minutes to days.
                Some(Refused { status: Some(404), .. }) => {
                    Ok(Outcome::Lost { lost: server.target.forgot(model, id) })
                }
                _ => Err(server.failure(error)),
            },
        }
    }

    fn outcome(&self, model: &str, response: Value) -> Result<Outcome, Failure> {
        let target = &self.server.target;
        match Reading::of(response, model) {
            Reading::Working(id) => Ok(Outcome::Pending { pending: id }),
            Reading::Whole(reply) => Ok(reply.into()),
            Reading::Failed(said) if said.is_too_long(None) => {
                Ok(self.server.too_long(target.failed(model, &said)))
            }
            Reading::Failed(said) if said.passes() => {
                let lost = target.without_key(target.failed(model, &said));
                Ok(Outcome::Lost { lost })
            }
            Reading::Failed(said) => Err(target.failed(model, &said)),
            Reading::Refused(said) => Err(target.refused(model, said.status(), &said)),
            Reading::Cancelled => Ok(Outcome::Lost { lost: target.cancelled(model) }),
            Reading::Unreadable(what) => Err(target.garbled(&what)),
        }
    }

    async fn until_ended(&self, model: &str, id: &str) -> Result<Outcome, Failure> {
        let timeouts = &self.server.timeouts;
        let by = Instant::now() + Duration::from_millis(timeouts.background_ms);
        let mut wait_ms = timeouts.poll_first_ms;
        loop {
            match self.look(model, id).await? {
                Outcome::Pending { .. } => {}
                ended => return Ok(ended),
            }
            if Instant::now() >= by {
                self.cancel(id).await;
                return Err(self.server.target.unending(model, timeouts.background_ms));
            }
            sleep(Duration::from_millis(wait_ms)).await;
            wait_ms = wait_ms.saturating_mul(2).min(timeouts.poll_max_ms);
        }
    }
}

#[async_trait]
impl Model for Responses {
    async fn call(&self, request: &Request) -> Result<Outcome, Failure> {
        self.server.bounded(&request.model, self.create(request)).await
    }

    async fn fetch(&self, model: &str, id: &str) -> Result<Outcome, Failure> {
        let ended = self.until_ended(model, id).await;
        ended.map_err(|failure| self.server.target.without_key(failure))
    }

    async fn cancel(&self, id: &str) {
        let (_, client) = self.server.exchange(id, Expects::Json);
        let responses = client.responses();
        let told = responses.cancel_byot::<_, Value>(id);
        match timeout(Duration::from_millis(limits::MODEL_CANCEL_MS), told).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let failure = self.server.target.without_key(self.server.failure(error));
                debug!(id, %failure, "a response could not be cancelled");
            }
            Err(_elapsed) => debug!(id, "nobody answered that a response is cancelled"),
        }
    }
}

/// Whether a server says that it does not work in the background, or keeps nothing to fetch.
fn refuses_background(refused: &Refused) -> bool {
    let named = ["background", "store"].iter().any(|name| refused.said.mentions(name));
    refused.blames_request() && named
}
