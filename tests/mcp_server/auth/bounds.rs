//! How much one owner may ask for.

use std::num::{NonZeroU32, NonZeroUsize};

use relight::limits;
use relight::mcp::server::{Auth, HttpOptions};
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::{carrying, draw, knock, options};
use crate::nap_an_hour;
use crate::site::Site;

#[tokio::test]
async fn an_owner_who_asks_too_often_is_told_when_to_go_on() {
    let ([ann, again, bob], tokens) = draw(["ann", "ann", "bob"]);
    let requests_per_second = NonZeroU32::new(1);
    let auth = options(Auth::new(tokens, None, None));
    let site = Site::open(HttpOptions { requests_per_second, ..auth }).await;
    let ask = async |token: &str| {
        let request = carrying(&site, token).modern("tools/list", json!({}), json!({}));
        request.send().await.unwrap()
    };
    let mut refused = ask(ann.expose()).await;
    // A slow machine may be given a request more.
    for _ in 0..20 {
        if refused.status() == 429 {
            break;
        }
        refused = ask(ann.expose()).await;
    }
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    assert!(refused.text().await.unwrap().contains("too many requests"));
    assert_eq!(ask(again.expose()).await.status(), 429, "another token is no other owner");
    assert_eq!(ask(bob.expose()).await.status(), 200);
    assert_eq!(knock(&site.web()).await.0, 401, "who is nobody spends nothing");
}

#[tokio::test]
async fn an_owner_has_so_many_tasks_under_way_and_no_more() {
    let ([ann, bob], tokens) = draw(["ann", "bob"]);
    let auth = options(Auth::new(tokens, None, None));
    let live_tasks = NonZeroUsize::new(2);
    let site = Site::open(HttpOptions { live_tasks, ..auth }).await;
    let (mut ann, bob) = (carrying(&site, ann.expose()), carrying(&site, bob.expose()));
    let keyed = |key: &str| {
        let mut params = nap_an_hour();
        params["_meta"] = json!({"relight/idempotencyKey": key});
        params
    };
    let id = |answer: &Value| answer["result"]["taskId"].as_str().map(str::to_owned);
    let first = ann.ask("tools/call", keyed("1")).await;
    let second = ann.ask("tools/call", keyed("2")).await;
    assert!(id(&first).is_some() && id(&second).is_some(), "{first} {second}");

    let third = ann.ask("tools/call", keyed("3")).await;
    assert_eq!(third["error"]["code"], -32602, "{third}");
    let told = third["error"]["message"].as_str().unwrap();
    assert!(told.starts_with("2 tasks are under way"), "{told}");
    let repeated = ann.ask("tools/call", keyed("2")).await;
    assert_eq!(id(&repeated), id(&second), "a call that is issued again finds its task");
    assert!(id(&bob.ask("tools/call", keyed("3")).await).is_some());

    ann.initialize().await;
    let older = ann.older("tools/call", &nap_an_hour()).send().await.unwrap();
    let older = crate::web::answer(older).await;
    assert_eq!(older["error"]["code"], -32602, "{older}");

    ann.session = None;
    let task = id(&first).unwrap();
    ann.ask("tasks/cancel", json!({"taskId": task})).await;
    assert_eq!(ann.settle(&task).await["status"], "cancelled");
    assert!(id(&ann.ask("tools/call", keyed("3")).await).is_some());
}

#[tokio::test]
async fn a_body_and_a_head_beyond_their_bounds_are_refused_for_strangers_too() {
    let (_, tokens) = draw(["ann"]);
    let site = Site::open(options(Auth::new(tokens, None, None))).await;
    let huge = vec![b' '; limits::HTTP_BODY_MAX_BYTES + 1];
    // The token is looked for before the body is read.
    let refused = site.web().post(huge).send().await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 401));
}
