//! Web pages of another origin: what their browser asks and is told.

use std::sync::Arc;

use axum::http::StatusCode;
use relight::mcp::server::HttpOptions;
use reqwest::Method;
use serde_json::json;

use super::ByHeader;
use crate::site::Site;

const PAGE: &str = "https://app.example";
const ALLOWED: &str = "access-control-allow-origin";

#[tokio::test]
async fn a_page_that_is_allowed_may_ask_and_reads_the_answers() {
    let identify = Some(Arc::new(ByHeader) as _);
    let origins = vec![PAGE.to_owned()];
    let site = Site::open(HttpOptions { identify, origins, ..HttpOptions::default() }).await;
    let mut web = site.web();
    let asks = web.request(Method::OPTIONS, "/mcp").header("origin", PAGE);
    let asks = asks.header("access-control-request-method", "POST").send().await.unwrap();
    assert_eq!(asks.status(), StatusCode::NO_CONTENT);
    assert_eq!(asks.headers()[ALLOWED], PAGE);
    for header in ["authorization", "content-type", "mcp-protocol-version", "mcp-session-id"] {
        let allowed = asks.headers()["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains(header), "{header} in {allowed}");
    }

    let list = async |web: &crate::web::Web| {
        let list = web.modern("tools/list", json!({}), json!({})).header("origin", PAGE);
        list.send().await.unwrap()
    };
    let refused = list(&web).await;
    assert_eq!(
        (refused.status(), &refused.headers()[ALLOWED]),
        (StatusCode::UNAUTHORIZED, &PAGE.parse().unwrap())
    );
    web.owner = Some("ann");
    let answered = list(&web).await;
    assert_eq!(answered.status(), StatusCode::OK);
    assert_eq!(answered.headers()[ALLOWED], PAGE);
    let read = answered.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(read.contains("mcp-session-id") && read.contains("www-authenticate"), "{read}");
    assert_eq!(answered.headers()["vary"], "origin");
}

#[tokio::test]
async fn any_other_page_is_told_nothing() {
    let origins = vec![PAGE.to_owned()];
    let site = Site::open(HttpOptions { origins, ..HttpOptions::default() }).await;
    let asks = site.web().request(Method::OPTIONS, "/mcp").header("origin", "https://evil.example");
    let asks = asks.header("access-control-request-method", "POST").send().await.unwrap();
    assert_eq!(asks.status(), StatusCode::FORBIDDEN);
    assert_eq!(asks.headers().get(ALLOWED), None);
}
