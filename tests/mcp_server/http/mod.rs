//! The server over Streamable HTTP.

mod browsers;
mod experimental;
mod life;
mod owners;
mod requests;
mod restart;

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use relight::mcp::server::{HttpOptions, Identify, Owner, Refusal};

use crate::site::Site;
use crate::web::Web;

/// Takes a header's word for it.
struct ByHeader;

#[async_trait]
impl Identify for ByHeader {
    async fn owner(&self, head: &Parts) -> Result<Owner, Refusal> {
        match head.headers.get("x-owner").and_then(|name| name.to_str().ok()) {
            Some(name) => Ok(Owner(Some(name.to_owned()))),
            None => Err((StatusCode::UNAUTHORIZED, "who are you?").into_response()),
        }
    }
}

/// A server that asks who is there, and two who say so.
async fn owned() -> (Site, Web, Web) {
    let options = HttpOptions { identify: Some(Arc::new(ByHeader)), ..HttpOptions::default() };
    let site = Site::open(options).await;
    let (mut ann, mut bob) = (site.web(), site.web());
    ann.owner = Some("ann");
    bob.owner = Some("bob");
    (site, ann, bob)
}
