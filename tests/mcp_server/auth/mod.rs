//! Who may see what over HTTP: tokens, JWTs, whose a task is, and how much one owner may ask for.

mod bounds;
mod jwts;
mod owners;
mod tokens;

use std::sync::Arc;

use relight::durable::Entropy;
use relight::mcp::server::{Auth, HttpOptions, Token, Tokens};
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::json;

use crate::site::Site;
use crate::web::Web;

/// Where the document about a server is, as far as its port.
const METADATA: &str = "/.well-known/oauth-protected-resource";

fn options(auth: Auth) -> HttpOptions {
    HttpOptions { identify: Some(Arc::new(auth)), ..HttpOptions::default() }
}

/// A token of each of these owners, and the file with all of them.
fn draw<const N: usize>(owners: [&str; N]) -> ([Token; N], Tokens) {
    let drawn = owners.map(|owner| Token::draw(owner, &Entropy::system()).unwrap());
    let file: Vec<_> = drawn.iter().map(Token::line).collect();
    (drawn, Tokens::read(&file.join("\n")).unwrap())
}

/// A client that carries this token.
fn carrying(site: &Site, token: impl Into<String>) -> Web {
    let mut web = site.web();
    web.token = Some(token.into());
    web
}

/// Asks for something harmless; the status, the challenge and the body of the answer.
async fn knock(web: &Web) -> (u16, String, String) {
    let response = web.modern("tools/list", json!({}), json!({})).send().await.unwrap();
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status().as_u16(), challenge, response.text().await.unwrap())
}
