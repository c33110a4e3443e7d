//! Tokens that the operator gives out.

use std::process::Command;

use relight::mcp::server::{Auth, Tokens};
use reqwest::Method;
use serde_json::{Value, json};

use super::{METADATA, carrying, draw, knock, options};
use crate::site::Site;

#[tokio::test]
async fn a_token_of_the_file_is_let_in_and_no_other() {
    let ([ann], tokens) = draw(["ann"]);
    let site = Site::open(options(Auth::new(tokens, None, None))).await;
    assert_eq!(knock(&carrying(&site, ann.expose())).await.0, 200);

    let ([other], _) = draw(["ann"]);
    let hash = ann.line().split_once(' ').unwrap().1.to_owned();
    for wrong in [other.expose(), &hash, "x", &ann.expose()[1..], &ann.expose().to_uppercase()] {
        let (status, challenge, body) = knock(&carrying(&site, wrong)).await;
        assert_eq!(status, 401, "{body}");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(!challenge.contains(wrong) || wrong == "x", "{challenge}");
        assert!(!body.contains(wrong) || wrong == "x", "{body}");
    }
}

#[tokio::test]
async fn who_says_nothing_is_told_how_to() {
    let (_, tokens) = draw(["ann"]);
    let site = Site::open(options(Auth::new(tokens, None, None))).await;
    let (status, challenge, _) = knock(&site.web()).await;
    let metadata = format!("http://{}{METADATA}/mcp", site.address);
    assert_eq!(status, 401);
    assert_eq!(challenge, format!("Bearer resource_metadata=\"{metadata}\""));

    for (header, expected) in [("Basic YTpi", 401), ("Bearer", 401), ("Bearer \u{e9}", 400)] {
        let request = site.web().modern("tools/list", json!({}), json!({}));
        let response = request.header("authorization", header.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), expected, "{header}");
    }
    for method in [Method::GET, Method::DELETE] {
        let response = site.web().request(method, "/mcp").send().await.unwrap();
        assert_eq!(response.status(), 401);
    }
    // A supervisor has no token.
    assert_eq!(site.web().request(Method::GET, "/healthz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_document_names_the_resource_as_its_client_does() {
    let (_, tokens) = draw(["ann"]);
    let url = "https://relight.example/deep/mcp";
    for (public, resource, path) in
        [(None, None, "/mcp"), (Some(url.parse().unwrap()), Some(url.to_owned()), "/deep/mcp")]
    {
        let site = Site::open(options(Auth::new(tokens.clone(), None, public))).await;
        let resource = resource.unwrap_or_else(|| format!("http://{}/mcp", site.address));
        for at in [METADATA.to_owned(), format!("{METADATA}{path}")] {
            let response = site.web().request(Method::GET, &at).send().await.unwrap();
            let document: Value = response.json().await.unwrap();
            assert_eq!(document["resource"], resource, "{at}");
            assert_eq!(document["bearer_methods_supported"], json!(["header"]), "{at}");
            assert!(document.get("authorization_servers").is_none(), "{document}");
        }
        let other = format!("{METADATA}/other");
        let response = site.web().request(Method::GET, &other).send().await.unwrap();
        assert_eq!(response.status(), 404);
    }
}

#[tokio::test]
async fn a_server_that_asks_nobody_has_no_document() {
    let site = Site::open(relight::mcp::server::HttpOptions::default()).await;
    let response = site.web().request(Method::GET, METADATA).send().await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn the_command_prints_a_token_that_its_line_lets_in() {
    let relight = env!("CARGO_BIN_EXE_relight");
    let output = Command::new(relight).args(["token", "ann"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let [token, line] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
    assert!(line.starts_with("ann ") && !line.contains(token), "{printed}");
    let tokens = Tokens::read(line).unwrap();
    let site = Site::open(options(Auth::new(tokens, None, None))).await;
    assert_eq!(knock(&carrying(&site, token)).await.0, 200);
    let refused = Command::new(relight).args(["token", "two words"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
