//! The `openai` provider against a server that speaks real HTTP and misbehaves in every way seen.

mod failures;
mod replies;
mod requests;

use relight::agent::models::{ModelsConfig, OpenAiConfig, Registry, Timeouts};
use relight::agent::{Models, Outcome, Reply, Request};
use relight::journal::Failure;

use crate::model_server::{Answer, Asked, ModelServer};
use crate::{KEY, request, user};

fn config(base_url: &str) -> OpenAiConfig {
    OpenAiConfig {
        base_url: Some(base_url.to_owned()),
        api_key: Some(KEY.into()),
        timeouts: Timeouts::default(),
    }
}

/// Opens `tiny` at this server and calls it once.
async fn call(openai: OpenAiConfig, request: &Request) -> Result<Outcome, Failure> {
    let registry = Registry::new(ModelsConfig { openai, ..ModelsConfig::default() });
    registry.open(&request.model)?.provider.call(request).await
}

fn reply(outcome: Result<Outcome, Failure>) -> Reply {
    match outcome.unwrap() {
        Outcome::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

/// An outcome as [`crate::show`] writes it, with `SERVER` for the address.
fn show(outcome: Result<Outcome, Failure>, server: &str) -> String {
    crate::show(outcome).replace(server, "SERVER")
}

/// One call, one answer: `expected` is the outcome as [`show`] writes it. Gives back what the
/// server was asked, which is always exactly one request.
async fn check_with(
    mut openai: OpenAiConfig,
    request: &Request,
    answer: Answer,
    expected: &str,
) -> Asked {
    let server = ModelServer::start([answer]).await;
    openai.base_url = Some(server.base_url().to_owned());
    let outcome = call(openai, request).await;
    let asked = server.asked();
    assert_eq!(show(outcome, server.base_url()), expected);
    assert_eq!(asked.len(), 1, "one call is one request");
    asked.into_iter().next().unwrap()
}

async fn check(answer: Answer, expected: &str) -> Asked {
    check_with(config(""), &request(vec![user("Hello")]), answer, expected).await
}
