//! The files of tokens and keys behind `relight serve --transport http`: they may change while it
//! runs, and no token is logged.

use serde_json::{Value, json};

use crate::authority::SigningKey;
use crate::home::Home;
use crate::http::{Running, draw};

const ISSUER: &str = "https://issuer.example";

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

/// Its log is at its loudest.
#[tokio::test]
async fn no_token_is_logged() {
    let home = Home::new().with("RELIGHT_AUTH_TOKENS", "tokens.txt").with("RELIGHT_LOG", "trace");
    let ((ann, line), (stranger, _)) = (draw("ann"), draw("stranger"));
    home.write("tokens.txt", &line);
    let server = Running::start(&home, &[]).await;
    assert_eq!(server.knock([&stranger, &ann]).await, [401, 200]);
    let log = server.kill().await;
    assert!(log.contains("was not let in"), "{log}");
    for token in [&ann, &stranger] {
        assert!(!log.contains(token.as_str()), "{log}");
    }
}
