//! `relight serve --transport http`: how it stops, and where it does not start.

use relight::journal::{Status, Store};
use serde_json::json;

use crate::home::{Home, order};
use crate::http::Running;

#[tokio::test]
async fn a_signal_stops_it_and_its_tasks_go_on_with_the_next() {
    let home = Home::new().slow_model(600_000);
    let server = Running::start(&home, &[]).await;
    let call = json!({"name": "order", "arguments": order("A-1")});
    let handle = server.web.ask("tools/call", call).await;
    let id = handle["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{handle}")).to_owned();
    assert!(server.stop().await);
    let kept = home.journal().task(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((kept.status, kept.runner), (Status::Working, None), "it is free to be taken up");

    let home = home.slow_model(20);
    let server = Running::start(&home, &[]).await;
    assert_eq!(server.web.settle(&id).await["status"], "completed");
}

#[tokio::test]
async fn beyond_this_machine_it_wants_to_know_who_is_there() {
    let home = Home::new();
    let ran = home.run(&["serve", "--transport", "http", "--listen", "0.0.0.0:0"]).await;
    ran.refused(1, &["0.0.0.0:0", "--allow-unauthenticated"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = home.run(&["serve", "--transport", "http", "--listen", &address]).await;
    ran.refused(1, &["cannot listen on", &address]);
}

#[tokio::test]
async fn what_is_said_of_http_alone_needs_it() {
    let home = Home::new().with("RELIGHT_AUTH_TOKENS", "no-such-file");
    for flag in [
        "--listen=127.0.0.1:8377",
        "--allow-host=a.example",
        "--allow-unauthenticated",
        "--owner-rate=1000",
        "--auth-tokens=tokens.txt",
        "--public-url=https://a.example/mcp",
    ] {
        let (name, _) = flag.split_once('=').unwrap_or((flag, ""));
        home.run(&["serve", flag]).await.refused(2, &[name, "--transport http"]);
    }

    let mut server = home.serve_raw();
    let answer = server.wire.modern("tools/list", json!({})).await;
    assert_eq!(answer["result"]["tools"][0]["name"], "order", "{answer}");
    assert_eq!(server.leave().await, Some(0));
    let ran = home.run(&["serve", "--transport", "http"]).await;
    ran.refused(1, &["no-such-file", "RELIGHT_AUTH_TOKENS"]);
}
