//! HTTP requests of an agent: they go through no tool server, and are answered all the same.

use std::sync::Arc;

use relight::replay::Record;

use super::{Scene, missed, parsed};
use crate::model_server::{Answer, ModelServer};

fn script(path: &str, port: &str) -> String {
    format!(
        "replies:
  - calls: [{{tool: http_request, arguments: {{method: GET, url: 'http://127.0.0.1:{port}/{path}'}}}}]
  - text: '{{{{last}}}}'
"
    )
}

#[tokio::test]
async fn a_recorded_request_is_not_sent_again() {
    let site = ModelServer::start([Answer::status(200, "7 degrees")]).await;
    let url = site.base_url().trim_start_matches("http://127.0.0.1:").to_owned();
    let port = url.split('/').next().unwrap();
    let text = format!(
        "---
name: seller
description: Looks at the weather.
model: script:replies.yaml
tools: [http_request]
http: {{hosts: ['127.0.0.1:{port}'], private: true}}
---
Be brief."
    );
    let scene = Scene::new(&script("oslo", port));
    let replay = scene.record(&text).await;
    assert_eq!(site.asked().len(), 1);
    let trial = replay.tools(Arc::clone(&scene.models) as _);
    trial.definition(parsed(&text)).await.unwrap().assert_same();

    scene.script(&script("rome", port));
    let miss = missed(trial.definition(parsed(&text)).await);
    assert!(miss.asked.contains("/rome") && miss.nearest[0].contains("/oslo"), "{miss}");
    assert_eq!(site.asked().len(), 1, "nothing was sent");
    // It needs no tool server to go on for real.
    site.then(Answer::status(200, "20 degrees"));
    let run = trial.record(Record::NewEpisodes).definition(parsed(&text)).await.unwrap();
    assert!(run.answer().unwrap().json().contains("20 degrees"), "{run}");
    assert_eq!(site.asked().len(), 2);
    scene.close().await;
}
