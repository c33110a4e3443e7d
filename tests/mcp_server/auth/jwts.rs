//! JWTs of an authorization server.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relight::durable::{Clock, ManualClock};
use relight::journal::Filter;
use relight::mcp::server::{Auth, Jwt, JwtOptions, Keys, PublicUrl, Tokens};
use reqwest::Method;
use serde_json::{Value, json};

use super::{METADATA, carrying, draw, knock, options};
use crate::authority::{Authority, SigningKey, unsigned};
use crate::nap_an_hour;
use crate::site::Site;

const ISSUER: &str = "https://issuer.example";
const RESOURCE: &str = "https://relight.example/mcp";
const NOW_S: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": RESOURCE, "sub": "ann", "scope": "tasks other",
           "exp": NOW_S + 300, "nbf": NOW_S - 300})
}

/// The good claims with one of them another.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn without(claim: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

fn keys(key: &SigningKey) -> Keys {
    Keys::fixed(&json!({"keys": [key.public()]}).to_string()).unwrap()
}

fn auth(tokens: Tokens, keys: Keys, clock: Arc<dyn Clock>) -> Auth {
    let options = JwtOptions {
        keys,
        issuer: ISSUER.to_owned(),
        audience: vec![RESOURCE.to_owned()],
        scopes: vec!["tasks".to_owned()],
        clock,
    };
    let public: PublicUrl = RESOURCE.parse().unwrap();
    Auth::new(tokens, Some(Jwt::new(options)), Some(public))
}

fn now() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at_ms(NOW_S * 1000))
}

async fn site(keys: Keys) -> Site {
    Site::open(options(auth(Tokens::default(), keys, now()))).await
}

#[tokio::test]
async fn a_good_one_is_let_in_and_owns_as_issuer_and_subject() {
    let key = SigningKey::generate("one");
    let site = site(keys(&key)).await;
    for good in [
        claims(),
        with("aud", json!(["https://other.example", RESOURCE])),
        with("scope", json!(["tasks"])),
        with("exp", json!(NOW_S as f64 - 30.5)),
        with("nbf", json!(NOW_S + 30)),
        without("nbf"),
    ] {
        let (status, challenge, _) = knock(&carrying(&site, key.sign(&good))).await;
        assert_eq!(status, 200, "{good}: {challenge}");
    }
    let other_claim = json!({"iss": ISSUER, "aud": RESOURCE, "sub": "ann", "scp": ["tasks"],
                             "exp": NOW_S + 1});
    assert_eq!(knock(&carrying(&site, key.sign(&other_claim))).await.0, 200);
    let unnamed = key.sign_with(&json!({"alg": "ES256"}), &claims());
    assert_eq!(knock(&carrying(&site, unnamed)).await.0, 200);

    let handle = carrying(&site, key.sign(&claims())).ask("tools/call", nap_an_hour()).await;
    let owner = Some(Some(format!("{ISSUER} ann")));
    let filter = Filter { owner, limit: 2, ..Filter::default() };
    let owned = site.host.store.tasks(filter).await.unwrap();
    assert_eq!(handle["result"]["taskId"], owned[0].id.to_string(), "{handle}");
    let other = carrying(&site, key.sign(&with("sub", json!("bob"))));
    let hidden = other.ask("tasks/get", json!({"taskId": handle["result"]["taskId"]})).await;
    assert_eq!(hidden["error"]["code"], -32602, "{hidden}");
}

#[tokio::test]
async fn a_wrong_one_is_refused_with_its_reason() {
    let (key, forger) = (SigningKey::generate("one"), SigningKey::generate("one"));
    let site = site(keys(&key)).await;
    let lacks = "lacks one of";
    for (wrong, why) in [
        (with("exp", json!(NOW_S - 61)), "has expired"),
        (with("exp", json!("soon")), lacks),
        (with("nbf", json!(NOW_S + 61)), "not valid yet"),
        (with("iss", json!("https://evil.example")), "another issuer"),
        (with("iss", json!(format!("{ISSUER}/"))), "another issuer"),
        (with("iss", json!([ISSUER, "https://evil.example"])), lacks),
        (with("aud", json!("https://other.example/mcp")), "another audience"),
        (with("aud", json!([])), ""),
        (with("sub", json!("")), "subject"),
        (with("sub", json!("x".repeat(2_000))), "subject"),
        (without("exp"), lacks),
        (without("iss"), lacks),
        (without("aud"), lacks),
        (without("sub"), lacks),
    ] {
        let (status, challenge, _) = knock(&carrying(&site, key.sign(&wrong))).await;
        assert_eq!(status, 401, "{wrong}: {challenge}");
        assert!(challenge.contains("error=\"invalid_token\""), "{wrong}: {challenge}");
        assert!(challenge.contains(why), "{wrong}: {challenge}");
    }
    let none = json!({"alg": "none"});
    let hmac = json!({"alg": "HS256", "kid": "one"});
    let other_key = json!({"alg": "ES256", "kid": "two"});
    let critical = json!({"alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false});
    let good = key.sign(&claims());
    let body = URL_SAFE_NO_PAD.encode(with("sub", json!("bob")).to_string());
    let parts: Vec<_> = good.split('.').collect();
    for forged in [
        forger.sign(&claims()),
        format!("{}.", unsigned(&none, &claims())),
        key.sign_with(&hmac, &claims()),
        key.sign_with(&json!({"alg": "RS256", "kid": "one"}), &claims()),
        key.sign_with(&other_key, &claims()),
        key.sign_with(&critical, &claims()),
        format!("{}.{body}.{}", parts[0], parts[2]),
        good[..good.len() - 4].to_owned(),
        "a.b.c".to_owned(),
    ] {
        let (status, challenge, body) = knock(&carrying(&site, forged.clone())).await;
        assert_eq!(status, 401, "{forged}: {challenge}");
        assert!(!challenge.contains(&forged) && !body.contains(&forged), "{challenge}");
    }
}

#[tokio::test]
async fn a_missing_scope_is_forbidden_and_named() {
    let key = SigningKey::generate("one");
    let site = site(keys(&key)).await;
    for scope in [json!("task"), json!("tasks:read"), json!(""), json!([])] {
        let (status, challenge, _) = knock(&carrying(&site, key.sign(&with("scope", scope)))).await;
        assert_eq!(status, 403, "{challenge}");
        assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
        assert!(challenge.contains("scope=\"tasks\""), "{challenge}");
        let metadata = "https://relight.example/.well-known/oauth-protected-resource/mcp";
        assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\"")), "{challenge}");
    }
    let (status, challenge, _) = knock(&site.web()).await;
    assert_eq!(status, 401);
    assert!(challenge.contains("scope=\"tasks\""), "{challenge}");
}

#[tokio::test]
async fn the_document_leads_to_the_authorization_server() {
    let site = site(keys(&SigningKey::generate("one"))).await;
    let response = site.web().request(Method::GET, METADATA).send().await.unwrap();
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["resource"], RESOURCE);
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
    assert_eq!(document["scopes_supported"], json!(["tasks"]));
}

#[tokio::test]
async fn tokens_of_the_file_are_let_in_beside_them() {
    let (([ann], tokens), key) = (draw(["ann"]), SigningKey::generate("one"));
    let site = Site::open(options(auth(tokens, keys(&key), now()))).await;
    for token in [ann.expose().to_owned(), key.sign(&claims())] {
        assert_eq!(knock(&carrying(&site, token)).await.0, 200);
    }
    assert_eq!(knock(&carrying(&site, "neither")).await.0, 401);
}

#[tokio::test]
async fn one_that_expires_while_it_is_used_is_refused_from_then_on() {
    let (key, clock) = (SigningKey::generate("one"), ManualClock::at_ms(NOW_S * 1000));
    let auth = auth(Tokens::default(), keys(&key), Arc::new(clock.clone()));
    let site = Site::open(options(auth)).await;
    let web = carrying(&site, key.sign(&claims()));
    assert_eq!(knock(&web).await.0, 200);
    clock.advance_ms(361_000);
    assert_eq!(knock(&web).await.0, 401);
}

/// Made with OpenSSL; the private key was thrown away.
#[tokio::test]
async fn one_that_another_program_has_signed_by_rsa_is_let_in() {
    let published = Keys::fixed(include_str!("../../fixtures/jwt/rs256.jwks.json")).unwrap();
    let site = site(published).await;
    let token = include_str!("../../fixtures/jwt/rs256.token").trim();
    assert_eq!(knock(&carrying(&site, token)).await.0, 200);
}

#[tokio::test]
async fn published_keys_are_fetched_again_for_a_new_one_and_not_for_every_one() {
    let [old, new, made_up] = ["old", "new", "made-up"].map(SigningKey::generate);
    let authority = Authority::open(&old).await;
    let site = site(Keys::published(&authority.url).unwrap()).await;
    assert_eq!(authority.fetches(), 0);
    let knocks = (0..8).map(|_| {
        let web = carrying(&site, old.sign(&claims()));
        tokio::spawn(async move { knock(&web).await.0 })
    });
    for status in knocks.collect::<Vec<_>>() {
        assert_eq!(status.await.unwrap(), 200);
    }
    assert_eq!(authority.fetches(), 1);
    authority.publish(&new);
    assert_eq!(knock(&carrying(&site, new.sign(&claims()))).await.0, 200);
    assert_eq!(knock(&carrying(&site, old.sign(&claims()))).await.0, 401, "it was taken back");
    for _ in 0..3 {
        assert_eq!(knock(&carrying(&site, made_up.sign(&claims()))).await.0, 401);
    }
    assert_eq!(authority.fetches(), 2);
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_nobody_is_blamed() {
    let key = SigningKey::generate("one");
    let nothing_there = {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/keys", taken.local_addr().unwrap())
    };
    let site = site(Keys::published(&nothing_there).unwrap()).await;
    assert_eq!(knock(&carrying(&site, key.sign(&claims()))).await.0, 503);
}

#[tokio::test]
async fn keys_that_could_be_exchanged_on_the_way_are_not_fetched() {
    assert!(Keys::published("http://issuer.example/keys").is_err());
    assert!(Keys::published("ftp://issuer.example/keys").is_err());
    assert!(Keys::published("https://issuer.example/keys").is_ok());
    for text in ["", "{}", r#"{"keys": []}"#, r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#] {
        assert!(Keys::fixed(text).is_err(), "{text}");
    }
}
