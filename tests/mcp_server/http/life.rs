//! Where a server may listen, whether it is ready, and how it stops.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use relight::journal::Status;
use relight::mcp::server::{HttpError, HttpOptions, HttpServer};
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::ByHeader;
use crate::site::Site;
use crate::web::answer;
use crate::{host, nap_an_hour, only_task};

#[tokio::test]
async fn others_are_not_served_without_being_asked_who_they_are() {
    let (_directory, host) = host().await;
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let bound = HttpServer::bind(&host.server, everywhere, HttpOptions::default()).await;
    let Err(error @ HttpError::Unauthenticated { .. }) = bound else { panic!("it listens") };
    assert!(error.to_string().contains("--allow-unauthenticated"), "{error}");
    for options in [
        HttpOptions { allow_unauthenticated: true, ..HttpOptions::default() },
        HttpOptions { identify: Some(Arc::new(ByHeader)), ..HttpOptions::default() },
    ] {
        assert!(HttpServer::bind(&host.server, everywhere, options).await.is_ok());
    }
}

#[tokio::test]
async fn it_is_ready_while_the_journal_is_and_up_whatever_happens() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let get = async |path: &str| web.request(Method::GET, path).send().await.unwrap().status();
    assert_eq!(get("/readyz").await, StatusCode::OK);
    assert_eq!(get("/healthz").await, StatusCode::OK);

    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    site.host.store.close().await;
    let response = web.request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let said = response.text().await.unwrap();
    assert_eq!(said, "the journal cannot be used; the server's log says why\n");
    let response = web.request(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// Reads half of a request and waits, so that the server has something to wait for.
async fn half_a_request(site: &Site) -> TcpStream {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_stop_refuses_what_is_new_and_leaves_tasks_to_go_on() {
    let site = Site::open(HttpOptions::default()).await;
    let web = site.web();
    let waiting = web.modern("tools/call", nap_an_hour(), json!({})).send();
    let waiting = tokio::spawn(async move { answer(waiting.await.unwrap()).await });
    let task = only_task(&*site.host.store).await;
    let half = half_a_request(&site).await;
    // Another request on the same connections has been answered, so the half one has been read.
    assert_eq!(web.request(Method::GET, "/readyz").send().await.unwrap().status(), 200);
    site.stop.cancel();
    let told = waiting.await.unwrap();
    assert!(told["error"]["message"].as_str().unwrap().contains(&task.to_string()), "{told}");

    let other = site.web();
    let refused = other.modern("tools/list", json!({}), json!({})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready = other.request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let bound = relight::limits::HTTP_DRAIN_MS + relight::limits::HTTP_CLOSE_MS;
    let bound = Duration::from_millis(bound + 2_000);
    tokio::time::timeout(bound, site.serving).await.expect("it goes on").unwrap();
    drop(half);

    let kept = site.host.store.task(task).await.unwrap().unwrap();
    assert!(!kept.cancel_requested && kept.status == Status::Working, "{kept:?}");
}
