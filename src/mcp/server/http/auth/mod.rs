//! Who a request comes from, by the token that it carries (RFC 6750).
//!
//! ```text
//! Authorization: Bearer ... ──> tokens: given out by the operator ──┬──> Owner
//!                          └──> jwt: of an authorization server ────┘
//!                                └ keys: which signatures are its own
//! refused: 401 or 403, with where to get a token (resource)
//! ```
//!
//! A token is a secret: nothing of it is ever logged or told back, not even in parts.

mod jwt;
mod keys;
mod resource;
mod signatures;
mod tokens;

use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub use self::jwt::{Jwt, JwtOptions};
pub use self::keys::{Keys, KeysError};
pub(super) use self::resource::WELL_KNOWN;
pub use self::resource::{PublicUrl, PublicUrlError};
pub use self::tokens::{Token, TokenError, Tokens};

use super::identify::{Identify, Refusal};
use crate::limits;
use crate::mcp::server::Owner;

/// Lets in who carries a token of one of these kinds.
pub struct Auth {
    tokens: RwLock<Tokens>,
    jwt: Option<Jwt>,
    public_url: Option<PublicUrl>,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    /// It carries no token.
    Missing,
    /// More than one `Authorization` header, or one that is no text.
    Malformed,
    /// The token does not count, and why.
    Invalid(&'static str),
    /// The token is good, and not for this.
    Scope,
    /// The keys that would tell cannot be had now.
    Unavailable,
}

impl Auth {
    /// Tokens that the operator gave out, and JWTs where there is an authorization server.
    /// `public_url` is where clients reach `/mcp`; without it that is read off the `Host` header,
    /// which is right wherever no proxy stands between.
    pub fn new(tokens: Tokens, jwt: Option<Jwt>, public_url: Option<PublicUrl>) -> Self {
        Self { tokens: RwLock::new(tokens), jwt, public_url }
    }

    /// Lets in by these tokens from now on, and by those before no more.
    pub fn replace_tokens(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// Lets in by JWTs that the keys of this key set have signed, and no others, where keys do not
    /// come from where they are published.
    ///
    /// # Errors
    /// As [`Keys::fixed`], and the keys before it stay.
    pub fn replace_keys(&self, text: &str) -> Result<(), KeysError> {
        self.jwt.as_ref().map_or(Ok(()), |jwt| jwt.keys().replace(text))
    }

    /// Whose token it is, among those that the operator gave out.
    fn given_out(&self, token: &str) -> Option<String> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.owner(token).map(str::to_owned)
    }

    async fn check(&self, head: &Parts) -> Result<Owner, Denied> {
        let token = bearer(head)?;
        if let Some(owner) = self.given_out(token) {
            return Ok(Owner(Some(owner)));
        }
        match &self.jwt {
            Some(jwt) => jwt.owner(token).await.map(|owner| Owner(Some(owner))),
            None => Err(Denied::Invalid("the token is unknown")),
        }
    }

    fn refuse(&self, denied: Denied, head: &Parts) -> Response {
        let (status, error, why) = match denied {
            Denied::Missing => {
                (StatusCode::UNAUTHORIZED, None, "send a token: Authorization: Bearer TOKEN")
            }
            Denied::Malformed => (
                StatusCode::BAD_REQUEST,
                Some("invalid_request"),
                "send one Authorization header, as text",
            ),
            Denied::Invalid(why) => (StatusCode::UNAUTHORIZED, Some("invalid_token"), why),
            Denied::Scope => (
                StatusCode::FORBIDDEN,
                Some("insufficient_scope"),
                "the token lacks a scope that is needed here",
            ),
            Denied::Unavailable => {
                let told = "the authorization server's keys cannot be had now; try again";
                let after = (limits::JWKS_AGAIN_MS / 1000).to_string();
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return (status, [(header::RETRY_AFTER, after)], told).into_response();
            }
        };
        let mut challenge =
            format!("Bearer resource_metadata=\"{}\"", self.resource(head).metadata());
        if let Some(jwt) = self.jwt.as_ref().filter(|jwt| !jwt.scopes().is_empty()) {
            challenge += &format!(", scope=\"{}\"", jwt.scopes().join(" "));
        }
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\", error_description=\"{why}\"");
        }
        let mut response = (status, why).into_response();
        // Every part of it has been checked to be printable.
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn resource(&self, head: &Parts) -> PublicUrl {
        self.public_url.clone().unwrap_or_else(|| PublicUrl::of_request(head))
    }
}

#[async_trait]
impl Identify for Auth {
    async fn owner(&self, head: &Parts) -> Result<Owner, Refusal> {
        self.check(head).await.map_err(|denied| {
            tracing::debug!(?denied, "a request was not let in");
            self.refuse(denied, head)
        })
    }

    /// RFC 9728.
    fn resource_metadata(&self, head: &Parts, path: &str) -> Option<Value> {
        let resource = self.resource(head);
        if !path.is_empty() && path != resource.path() {
            return None;
        }
        let mut document = json!({
            "resource": resource.to_string(),
            "resource_name": env!("CARGO_PKG_NAME"),
            "bearer_methods_supported": ["header"],
        });
        if let Some(jwt) = &self.jwt {
            document["authorization_servers"] = json!([jwt.issuer()]);
            if !jwt.scopes().is_empty() {
                document["scopes_supported"] = json!(jwt.scopes());
            }
        }
        Some(document)
    }
}

/// The token of a request.
fn bearer(head: &Parts) -> Result<&str, Denied> {
    let mut headers = head.headers.get_all(header::AUTHORIZATION).iter();
    let Some(header) = headers.next() else { return Err(Denied::Missing) };
    if headers.next().is_some() {
        return Err(Denied::Malformed);
    }
    let header = header.to_str().map_err(|_| Denied::Malformed)?;
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Denied::Missing);
    }
    Ok(token)
}
