//! Model servers that misbehave: what is retried, what is final, what is tried instead.

use super::model_server::delta;
use super::*;

#[tokio::test]
async fn trouble_that_passes_is_waited_out() {
    let bench = Bench::new([
        Answer::status(429, "slow down").header("Retry-After", "0"),
        Answer::status(500, "oops"),
        Answer::says("hi"),
    ])
    .await;
    assert_eq!(bench.run("").await, "completed \"hi\"");
    let keys: Vec<_> =
        bench.server.asked().iter().map(|asked| asked.headers["idempotency-key"].clone()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_cut_and_a_stalled_stream_are_asked_for_again() {
    let begun = [delta(json!({"content": "never heard to its e"}))];
    let bench = Bench::new([
        Answer::open_stream(&begun).cut(),
        Answer::open_stream(&begun).hang(),
        Answer::says("hi"),
    ])
    .await;
    assert_eq!(bench.run("").await, "completed \"hi\"");
}

#[tokio::test]
async fn trouble_that_stays_fails_the_task() {
    let bench = Bench::new((0..3).map(|_| Answer::status(500, "oops"))).await;
    let end = bench.run("").await;
    assert!(end.starts_with("failed: tiny: ") && end.contains("500"), "{end}");
    assert_eq!(bench.server.asked().len(), 3);
}

#[tokio::test]
async fn a_final_failure_is_not_tried_again() {
    let bench = Bench::new([Answer::status(401, "who are you?")]).await;
    let end = bench.run("").await;
    assert!(end.contains("OPENAI_API_KEY"), "{end}");
    assert_eq!(bench.server.asked().len(), 1);
}

#[tokio::test]
async fn the_next_model_of_a_list_is_tried() {
    let bench = Bench::new([Answer::status(404, "no such model"), Answer::says("hi")]).await;
    assert_eq!(bench.run("model: [big, small]").await, "completed \"hi\"");
    let models: Vec<_> =
        bench.server.asked().iter().map(|asked| asked.body["model"].clone()).collect();
    assert_eq!(models, ["big", "small"]);
}

#[tokio::test]
async fn finished_calls_are_not_paid_for_again_after_a_restart() {
    let mut bench =
        Bench::new([Answer::calls(&[("c1", "read_ledger", "{}")]), Answer::silence()]).await;
    let task = bench.call(TILL, "hello").await;
    bench.server.until_asked(2).await;
    bench.server.then(Answer::says("hi"));
    bench.restart().await;
    assert_eq!(bench.end(task).await, End::Completed(Payload::of("hi").unwrap()));
    let lengths: Vec<_> = (0..3).map(|n| bench.messages(n).len()).collect();
    assert_eq!(lengths, [2, 4, 4], "the first call was made once, the second one again");
}
