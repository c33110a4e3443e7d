//! The examples' recordings, replayed on the examples as they are: a change of a prompt, of a tool's
//! schema or of the loop that changes what they do shows here first.
//!
//! Each is made by running the example and `relight export TASK -o tests/recordings/NAME.jsonl`.

use std::path::Path;

use relight::replay::Replay;

/// Replays a recording on this agent file.
async fn replayed(name: &str, agent: &str) -> relight::replay::Run {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let replay = Replay::open(root.join("tests/recordings").join(name)).unwrap();
    let run = replay.agent(root.join(agent)).await.unwrap();
    run.assert_same();
    run
}

#[tokio::test]
async fn the_checkout_charges_once() {
    let run = replayed("checkout.jsonl", "prompts/checkout.md").await;
    assert_eq!(run.calls_to("charge_card").len(), 1);
    assert_eq!(run.calls_to("till/mail_receipt").len(), 1);
}

#[tokio::test]
async fn the_payment_is_approved_first() {
    let run = replayed("payment.jsonl", "examples/payment/payment.md").await;
    let steps = run.steps();
    let at = |wanted: &str| steps.iter().position(|key| key.ends_with(wanted)).unwrap();
    assert!(at("/approve") < at("tool-1") || steps[at("/approve")].starts_with("turn-"));
    assert_eq!(run.calls_to("charge_card").len(), 1);
}

#[tokio::test]
async fn the_research_is_done_by_children() {
    let run = replayed("research.jsonl", "examples/research/research.md").await;
    assert!(run.recording().tasks().len() > 2, "the readers are tasks of their own");
}
