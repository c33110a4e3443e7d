//! JWTs of an authorization server as access tokens: checked here, without asking it.
//!
//! A token counts when one of the server's keys has signed it, the server is the issuer, this server
//! is among the audience, now is within its time, and it has every scope. Its owner is the issuer and
//! the subject together: subjects are unique to their issuer only.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde::Deserialize;

use super::keys::Keys;
use super::{Denied, signatures};
use crate::durable::Clock;
use crate::limits;

/// Which JWTs count.
pub struct JwtOptions {
    /// The keys of the authorization server.
    pub keys: Keys,
    /// The authorization server: what `iss` must be, to the letter.
    pub issuer: String,
    /// What this server is called there: one of these must be in `aud`. Not empty.
    pub audience: Vec<String>,
    /// The scopes that a token must have, all of them.
    pub scopes: Vec<String>,
    /// Tells when a token has expired.
    pub clock: Arc<dyn Clock>,
}

/// Checks JWTs.
pub struct Jwt(JwtOptions);

/// What is read of a token's claims (RFC 9068). Who is meant by the token, and when.
#[derive(Deserialize)]
struct Claims {
    /// One issuer: a list of them is refused, which the library would take.
    iss: String,
    sub: String,
    /// Seconds since 1970, as `nbf`; fractions are allowed.
    exp: f64,
    nbf: Option<f64>,
    #[serde(default)]
    scope: Scopes,
    /// What some servers say instead of `scope`.
    #[serde(default)]
    scp: Scopes,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scopes {
    Spaced(String),
    List(Vec<String>),
}

impl Default for Scopes {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Scopes {
    fn has(&self, scope: &str) -> bool {
        match self {
            Self::Spaced(scopes) => scopes.split(' ').any(|has| has == scope),
            Self::List(scopes) => scopes.iter().any(|has| has == scope),
        }
    }
}

impl Jwt {
    /// Checks JWTs like this.
    pub fn new(options: JwtOptions) -> Self {
        signatures::install();
        Self(options)
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    pub(super) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub(super) fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// Whose token it is.
    pub(super) async fn owner(&self, token: &str) -> Result<String, Denied> {
        let header = decode_header(token).map_err(|_| Denied::Invalid("the token is unknown"))?;
        if header.crit.is_some() {
            return Err(Denied::Invalid("the token has extensions that are not known here"));
        }
        let claims = self.claims(token, &header).await?;
        self.check_time(&claims)?;
        let has = |scope: &String| claims.scope.has(scope) || claims.scp.has(scope);
        if !self.0.scopes.iter().all(has) {
            return Err(Denied::Scope);
        }
        // No issuer has a space in it, so no two pairs read the same, and no owner of a token file
        // reads like one.
        let owner = format!("{} {}", self.0.issuer, claims.sub);
        if claims.sub.is_empty() || owner.len() > limits::OWNER_MAX_BYTES {
            return Err(Denied::Invalid("the token's subject is empty or too long"));
        }
        Ok(owner)
    }

    /// The claims of a token that the authorization server has signed for this one.
    async fn claims(&self, token: &str, header: &Header) -> Result<Claims, Denied> {
        if !signatures::is_accepted(header.alg) {
            return Err(Denied::Invalid("the token is signed by an algorithm that does not count"));
        }
        let keys = self.0.keys.matching(header.kid.as_deref(), header.alg).await;
        let keys = keys.ok_or(Denied::Unavailable)?;
        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.set_issuer(&[&self.0.issuer]);
        validation.set_audience(&self.0.audience);
        // By the clock that is given, further on.
        validation.validate_exp = false;
        let mut why = "the token is signed by a key that is not the authorization server's";
        for key in keys {
            match decode::<Claims>(token, &key, &validation) {
                Ok(token) if token.claims.iss == self.0.issuer => return Ok(token.claims),
                Ok(_) => why = "the token is of another issuer",
                Err(error) => {
                    why = match error.kind() {
                        ErrorKind::InvalidIssuer => "the token is of another issuer",
                        ErrorKind::InvalidAudience => "the token is for another audience",
                        ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => {
                            "the token lacks one of iss, aud, exp and sub, or has one of another type"
                        }
                        _ => continue,
                    };
                }
            }
        }
        Err(Denied::Invalid(why))
    }

    fn check_time(&self, claims: &Claims) -> Result<(), Denied> {
        let now_ms = self.0.clock.now_ms();
        let earliest = seconds(now_ms.saturating_sub(limits::JWT_LEEWAY_MS));
        let latest = seconds(now_ms.saturating_add(limits::JWT_LEEWAY_MS));
        if claims.exp <= earliest {
            return Err(Denied::Invalid("the token has expired"));
        }
        if claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(Denied::Invalid("the token is not valid yet"));
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for thousands of centuries")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
