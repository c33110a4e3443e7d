//! Recordings that are made where there are none.

use relight::replay::{Error, Record, recorded};
use serde_json::json;

use super::{Scene, agent, missed, parsed};

const SCRIPT: &str = "replies:
  - calls: [{tool: charge_card, arguments: {order: A-1, amount_cents: 500}}]
  - text: Sold, with the key sk-live-0123456789abcdefghij.
";

const INPUT: &str = "sell";

#[tokio::test]
async fn once_records_the_first_time_and_reaches_nothing_after_that() {
    let scene = Scene::new(SCRIPT);
    let (path, text) = (scene.path("dir.jsonl"), agent("tools: till/*"));
    let first = scene.world(recorded(&path, Record::Once).unwrap());
    let first = first.definition(parsed(&text)).await.unwrap();
    first.assert_same();
    assert_eq!(scene.ledger(), ["charge_card"]);
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(!written.contains("sk-live"), "what is secret is not written: {written}");

    scene.no_model();
    for record in [Record::Once, Record::None, Record::NewEpisodes] {
        let again = recorded(&path, record).unwrap().input(json!({"task": INPUT}));
        let again = again.definition(parsed(&text)).await.unwrap();
        again.assert_same();
        assert_eq!(again.calls_to("charge_card").len(), 1);
    }
    assert_eq!(scene.ledger().len(), 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written, "nothing new was recorded");
    scene.close().await;
}

#[tokio::test]
async fn what_is_asked_otherwise_fails_until_it_is_recorded() {
    let scene = Scene::new(SCRIPT);
    let path = scene.path("run.jsonl");
    scene.record(&agent("tools: till/*")).await;
    let changed = agent("tools: till/*").replace("Be brief", "Be long");

    let miss = missed(recorded(&path, Record::Once).unwrap().definition(parsed(&changed)).await);
    assert_eq!(miss.key, "turn-1/model");
    assert!(miss.why.contains("with another conversation"), "{miss}");
    let other = recorded(&path, Record::None).unwrap().input(json!({"task": "buy"}));
    let error = other.definition(parsed(&changed)).await.err().unwrap();
    assert!(matches!(error, Error::OtherInput { .. }), "{error}");

    let trial = scene.world(recorded(&path, Record::NewEpisodes).unwrap());
    trial.definition(parsed(&changed)).await.unwrap();
    assert_eq!(scene.ledger().len(), 1, "the call is the same, and so answered");
    scene.no_model();
    let again = recorded(&path, Record::None).unwrap().definition(parsed(&changed)).await;
    again.unwrap().assert_same();
    scene.close().await;
}

#[tokio::test]
async fn what_is_missing_for_a_recording_is_said() {
    let scene = Scene::new(SCRIPT);
    let path = scene.path("none.jsonl");
    let error = recorded(&path, Record::None).err().unwrap().to_string();
    assert!(error.contains("none.jsonl"), "{error}");

    let trial = recorded(&path, Record::Once).unwrap();
    let text = parsed(&agent("tools: till/*"));
    let said = async |trial: relight::replay::Trial| {
        trial.definition(text.clone()).await.err().unwrap().to_string()
    };
    assert!(said(trial.clone()).await.contains("`Trial::models`"));
    let trial = trial.models(std::sync::Arc::clone(&scene.models) as _);
    assert!(said(trial.clone()).await.contains("`Trial::toolbox`"));
    let trial = trial.toolbox(std::sync::Arc::clone(&scene.tools) as _);
    assert!(said(trial.clone()).await.contains("`Trial::input`"));

    // A run that fails is told, and not kept to fail for ever.
    scene.script("replies: [{error: {status: 401}}]");
    let run = trial.input(json!({"task": INPUT})).definition(text.clone()).await.unwrap();
    assert_eq!((run.answer(), path.exists()), (None, false));
    scene.close().await;
}
