//! `http_request`: HTTP for a model, within what the agent's file allows. Without `http` in the file
//! there is no such tool.
//!
//! A call is a step of the effect that its method has, and goes the way of every other tool's call:
//! what may be tried again, and what is in doubt, is decided there by the kind of the failure.

mod address;
mod answer;
mod exchange;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;

use self::address::Guard;
use self::exchange::Exchange;
use super::{BuiltIn, read};
use crate::agent::definition::{HttpMethod, HttpRules};
use crate::agent::expand::Env;
use crate::agent::{Invocation, Tool, ToolOutput};
use crate::journal::{Effect, Failure, Payload};
use crate::{limits, tls};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    method: HttpMethod,
    /// An http or https URL. Only some hosts are allowed; a refusal names them.
    url: String,
    /// Further headers. What the server needs to know who asks is added by itself.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body. Without a content-type among the headers it is sent as JSON where it is JSON, else
    /// as plain text.
    #[serde(default)]
    body: Option<String>,
}

pub(super) fn tool() -> Tool {
    let tool = BuiltIn::HttpRequest.described::<Arguments>(
        "Makes an HTTP request and returns the status, some headers and the body as text.",
    );
    // Of a call the effect is that of its method; as a whole it may do anything.
    Tool { effect: Effect::Once, ..tool }
}

/// The tool as this call uses it.
pub(super) fn of_call(tool: &Tool, arguments: &Payload) -> Tool {
    let method = arguments.read().map(|Arguments { method, .. }| method);
    // Arguments that cannot be read are refused before anything is sent.
    Tool { effect: method.map_or(Effect::Once, HttpMethod::effect), ..tool.clone() }
}

/// Makes the requests of all agents.
pub(in crate::agent) struct Web {
    /// Looks up the variables of headers.
    env: Box<Env>,
}

impl Web {
    pub(in crate::agent) fn new(env: Box<Env>) -> Self {
        Self { env }
    }

    /// Makes one request, and follows its redirects where that is safe.
    ///
    /// # Errors
    /// As [`Toolbox::call`](crate::agent::Toolbox::call).
    pub(in crate::agent::tools) async fn call(
        &self,
        rules: &HttpRules,
        call: Invocation<'_>,
    ) -> Result<ToolOutput, Failure> {
        let Arguments { method, url, headers, body } = read(call.arguments)?;
        let url = match Url::parse(&url) {
            Ok(url) => url,
            Err(error) => return Ok(refusal(format!("{url:?} is no URL: {error}."))),
        };
        let guard = Guard { private: rules.private };
        let client = client(guard)?;
        let (env, idempotency_key) = (&*self.env, call.idempotency_key);
        let exchange =
            Exchange { client, rules, guard, env, method, headers, body, idempotency_key };
        let bound = Duration::from_millis(rules.timeout_ms);
        let answered = timeout(bound, exchange.run(url)).await;
        answered.unwrap_or_else(|_| {
            Err(Failure::in_doubt(format!("there was no whole answer after {bound:?}")))
        })
    }
}

/// What the model gets wrong is told to it as the tool's own error.
fn refusal(text: impl Into<String>) -> ToolOutput {
    ToolOutput { text: text.into(), is_error: true, ..ToolOutput::default() }
}

/// A client for one call: no connection is shared, so none can have been made under other rules, and
/// none can turn out to have been closed under the request.
///
/// It takes no proxy from the environment: a proxy would connect in our place, past the check of
/// addresses.
fn client(guard: Guard) -> Result<Client, Failure> {
    tls::use_ring();
    Client::builder()
        .user_agent(concat!("relight/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_millis(limits::HTTP_TOOL_CONNECT_MS))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(Arc::new(guard))
        .build()
        .map_err(|error| Failure::is_final(format!("cannot prepare HTTP: {error}")))
}
