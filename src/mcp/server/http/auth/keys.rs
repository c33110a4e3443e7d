//! The public keys with which an authorization server's tokens are checked: a JSON Web Key Set
//! (RFC 7517), from a file or from where the server publishes it.
//!
//! Published keys are fetched when the first token comes, again when they are old, and when a token
//! names a key that is not among them; never more often than [`limits::JWKS_AGAIN_MS`].

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::signatures;
use crate::{limits, tls};

/// An authorization server's public keys.
pub struct Keys(Source);

enum Source {
    Fixed(RwLock<KeySet>),
    Published(Published),
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// No JSON Web Key Set.
    #[error("it is no JSON Web Key Set: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Nothing in it can check a token.
    #[error("it has no key that signs by RS, PS, ES256, ES384 or EdDSA")]
    Empty,
    /// It is too long.
    #[error("it has more than {} bytes", limits::JWKS_MAX_BYTES)]
    TooLong,
    /// Somebody on the way could put keys of their own there.
    #[error("keys are fetched by https, and by http from this machine only")]
    Insecure,
    /// It cannot be fetched.
    #[error("it cannot be fetched: {0}")]
    Fetch(#[from] reqwest::Error),
}

impl Keys {
    /// Keys from the text of a key set.
    ///
    /// # Errors
    /// [`KeysError::Unreadable`] and [`KeysError::Empty`].
    pub fn fixed(text: &str) -> Result<Self, KeysError> {
        let keys = KeySet::read(text.as_bytes())?;
        Ok(Self(Source::Fixed(RwLock::new(keys))))
    }

    /// Other keys from the text of a key set. Published keys stay as they are.
    pub(super) fn replace(&self, text: &str) -> Result<(), KeysError> {
        if let Source::Fixed(keys) = &self.0 {
            let new = KeySet::read(text.as_bytes())?;
            *keys.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        Ok(())
    }

    /// Keys that are published at a URL. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`KeysError::Insecure`], or [`KeysError::Fetch`] when the URL is none.
    pub fn published(url: &str) -> Result<Self, KeysError> {
        tls::use_ring();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_millis(limits::JWKS_FETCH_MS))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = client.get(url).build()?.url().clone();
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(KeysError::Insecure);
        }
        let (held, tried) = (RwLock::default(), Mutex::default());
        Ok(Self(Source::Published(Published { url, client, held, tried })))
    }

    /// The keys that may have made a signature of this algorithm, by the id that the token names.
    /// `None` while there are no keys at all.
    pub(super) async fn matching(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<Vec<DecodingKey>> {
        match &self.0 {
            Source::Fixed(keys) => {
                let keys = keys.read().unwrap_or_else(PoisonError::into_inner);
                Some(keys.matching(id, algorithm))
            }
            Source::Published(published) => published.matching(id, algorithm).await,
        }
    }
}

struct Published {
    url: reqwest::Url,
    client: reqwest::Client,
    held: RwLock<Option<Held>>,
    /// When it was last tried to fetch them again. Held while they are fetched.
    tried: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Held {
    keys: Arc<KeySet>,
    since: Instant,
}

impl Published {
    async fn matching(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Vec<DecodingKey>> {
        if self.fresh().is_none() {
            let tried = self.tried.lock().await;
            // Whoever held the lock before may have fetched them.
            if self.fresh().is_none() {
                self.fetch(tried).await;
            }
        } else if self.is_old()
            && let Ok(tried) = self.tried.try_lock()
        {
            // The other requests go on with what there is.
            self.fetch(tried).await;
        }
        let found = self.fresh()?.matching(id, algorithm);
        if !found.is_empty() {
            return Some(found);
        }
        self.fetch(self.tried.lock().await).await;
        Some(self.fresh()?.matching(id, algorithm))
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_old(&self) -> bool {
        let old = Duration::from_millis(limits::JWKS_MAX_AGE_MS);
        self.held().is_some_and(|held| held.since.elapsed() > old)
    }

    /// Keys that are not too old to be trusted.
    fn fresh(&self) -> Option<Arc<KeySet>> {
        let stale = Duration::from_millis(limits::JWKS_STALE_MS);
        self.held().filter(|held| held.since.elapsed() <= stale).map(|held| held.keys)
    }

    /// Fetches the keys unless somebody has just tried to. A failure leaves those that there are.
    async fn fetch(&self, mut tried: MutexGuard<'_, Option<Instant>>) {
        let again = Duration::from_millis(limits::JWKS_AGAIN_MS);
        if tried.is_some_and(|tried| tried.elapsed() < again) {
            return;
        }
        let fetched = self.get().await;
        // A key that comes up right after the first fetch is not made to wait.
        let first = self.held().is_none() && fetched.is_ok();
        *tried = (!first).then(Instant::now);
        match fetched {
            Ok(keys) => {
                let held = Held { keys: Arc::new(keys), since: Instant::now() };
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
            }
            Err(error) => {
                tracing::warn!(url = %self.url, %error, "no keys of the authorization server");
            }
        }
    }

    async fn get(&self) -> Result<KeySet, KeysError> {
        let mut response = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > limits::JWKS_MAX_BYTES {
                return Err(KeysError::TooLong);
            }
        }
        KeySet::read(&text)
    }
}

struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, where that is said.
    algorithm: Option<String>,
    family: AlgorithmFamily,
    key: DecodingKey,
}

impl KeySet {
    fn read(text: &[u8]) -> Result<Self, KeysError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(text)?;
        // Keys of other kinds are for others.
        let keys = document.keys.into_iter().filter_map(Key::read);
        let keys: Vec<_> = keys.take(limits::JWKS_KEYS).collect();
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    fn matching(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let name = format!("{algorithm:?}");
        let named = |key: &&Key| match id {
            Some(id) => key.id.as_deref() == Some(id),
            None => true,
        };
        let fits = |key: &&Key| {
            key.family == algorithm.family() && key.algorithm.as_ref().is_none_or(|a| *a == name)
        };
        self.0.iter().filter(named).filter(fits).map(|key| key.key.clone()).collect()
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let other_use = |of: &PublicKeyUse| *of != PublicKeyUse::Signature;
        if jwk.common.public_key_use.as_ref().is_some_and(other_use) {
            return None;
        }
        let family = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa,
            AlgorithmParameters::EllipticCurve(_) => AlgorithmFamily::Ec,
            AlgorithmParameters::OctetKeyPair(_) => AlgorithmFamily::Ed,
            _ => return None,
        };
        let algorithm = jwk.common.key_algorithm.map(|algorithm| algorithm.to_string());
        let known = |name: &String| name.parse().is_ok_and(signatures::is_accepted);
        if !algorithm.as_ref().is_none_or(known) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithm, family, key })
    }
}
