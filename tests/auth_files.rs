//! The files of tokens and keys behind `relight serve --transport http`, changed while it runs.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/authority.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod authority;
#[path = "support/client.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod client;
#[path = "support/home.rs"]
mod home;
#[path = "support/site.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod site;

use authority::SigningKey;
use client::wire;
use home::Home;
use relight::durable::Entropy;
use relight::mcp::server::Token;
use serde_json::{Value, json};
use site::Web;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};
use tokio::time::timeout;

const HTTP: [&str; 5] = ["serve", "--transport", "http", "--listen", "127.0.0.1:0"];
const ISSUER: &str = "https://issuer.example";

/// A running server.
struct Running {
    _server: Child,
    said: Lines<BufReader<ChildStderr>>,
    web: Web,
}

impl Running {
    async fn start(home: &Home, flags: &[&str]) -> Self {
        let mut server = home.command(&[&HTTP, flags].concat()).spawn().unwrap();
        let said = BufReader::new(server.stderr.take().unwrap()).lines();
        let mut running = Self { _server: server, said, web: Web::new(String::new()) };
        let line = running.says().await;
        let url = line.strip_prefix("serving MCP at ").unwrap_or_else(|| panic!("{line}"));
        running.web = Web::new(url.strip_suffix("/mcp").unwrap().to_owned());
        running
    }

    /// The next line that the operator reads.
    async fn says(&mut self) -> String {
        let line = timeout(home::PATIENCE, self.said.next_line()).await;
        line.expect("it says nothing").unwrap().unwrap()
    }

    /// What requests with these tokens come to.
    async fn knock<const N: usize>(&self, tokens: [&str; N]) -> [u16; N] {
        let mut found = [0; N];
        for (found, token) in found.iter_mut().zip(tokens) {
            let mut web = self.web.clone();
            web.token = Some(token.to_owned());
            let response = web.modern("tools/list", json!({}), json!({})).send().await.unwrap();
            *found = response.status().as_u16();
        }
        found
    }
}

/// A new token, and its line for the file.
fn draw(owner: &str) -> (String, String) {
    let token = Token::draw(owner, &Entropy::system()).unwrap();
    (token.expose().to_owned(), token.line())
}

#[tokio::test]
async fn a_file_of_tokens_that_changes_counts_and_a_broken_one_does_not() {
    let home = Home::new().with("RELIGHT_AUTH_TOKENS", "tokens.txt");
    let ((ann, anns_line), (bob, bobs_line)) = (draw("ann"), draw("bob"));
    home.write("tokens.txt", &anns_line);
    let mut server = Running::start(&home, &[]).await;
    let both = [ann.as_str(), bob.as_str()];
    assert_eq!(server.knock(both).await, [200, 401]);

    home.write("tokens.txt", &format!("{anns_line}\nbob has-no-hash"));
    let told = server.says().await;
    assert!(told.starts_with("tokens.txt") && told.contains("line 2"), "{told}");
    assert_eq!(server.knock(both).await, [200, 401]);

    home.write("tokens.txt", &bobs_line);
    let told = server.says().await;
    assert!(told.starts_with("tokens.txt") && told.contains("counts now"), "{told}");
    assert_eq!(server.knock(both).await, [401, 200]);

    std::fs::remove_file(home.path("tokens.txt")).unwrap();
    let told = server.says().await;
    assert!(told.contains("still counts"), "{told}");
    assert_eq!(server.knock(both).await, [401, 200]);
}

#[tokio::test]
async fn a_file_of_keys_that_changes_counts() {
    let home = Home::new();
    let (old, new) = (SigningKey::generate("old"), SigningKey::generate("new"));
    let publish = |key: &SigningKey| {
        home.write("keys.json", &json!({"keys": [key.public()]}).to_string());
    };
    publish(&old);
    let flags = ["--auth-jwks", "keys.json", "--auth-issuer", ISSUER, "--auth-audience", "us"];
    let mut server = Running::start(&home, &flags).await;
    let claims: Value = json!({"iss": ISSUER, "aud": "us", "sub": "ann", "exp": 4_000_000_000_u64});
    let tokens = [old.sign(&claims), new.sign(&claims)];
    let both = [tokens[0].as_str(), tokens[1].as_str()];
    assert_eq!(server.knock(both).await, [200, 401]);
    home.write("keys.json", "{");
    assert!(server.says().await.contains("still counts"));
    assert_eq!(server.knock(both).await, [200, 401]);
    publish(&new);
    let told = server.says().await;
    assert!(told.starts_with("keys.json") && told.contains("counts now"), "{told}");
    assert_eq!(server.knock(both).await, [401, 200]);
}
