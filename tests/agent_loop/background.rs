//! Model calls that the server goes on with by itself: fetched after a restart, never made twice.

use super::model_server::{called, response, said};
use super::*;

const BIG: &str = "model: openai-responses:big";

/// The requests so far, as `METHOD path`.
fn asked(bench: &Bench) -> Vec<String> {
    let line = |asked: Asked| format!("{} {}", asked.method, asked.path);
    bench.server.asked().into_iter().map(line).collect()
}

fn created(bench: &Bench) -> usize {
    asked(bench).iter().filter(|line| *line == "POST /v1/responses").count()
}

async fn until_looked_at(bench: &Bench, id: &str) {
    let look = format!("GET /v1/responses/{id}");
    let mut requests = 1;
    while !asked(bench).contains(&look) {
        requests += 1;
        bench.server.until_asked(requests).await;
    }
}

#[tokio::test]
async fn a_run_goes_through_the_responses_api() {
    let bench = Bench::new([
        Answer::response("resp_1", "queued", &[]),
        Answer::response("resp_1", "completed", &[called("c1", "read_ledger", "{}")]),
        Answer::response("resp_2", "queued", &[]),
        Answer::response("resp_2", "in_progress", &[]),
        Answer::response("resp_2", "completed", &[said("hi")]),
    ])
    .await;
    assert_eq!(bench.run(&format!("{TILL}\n{BIG}")).await, "completed \"hi\"");
    let input = bench.server.asked()[2].body["input"].clone();
    assert_eq!((&input[1]["type"], &input[2]["call_id"]), (&json!("function_call"), &json!("c1")));
}

#[tokio::test]
async fn what_is_under_way_at_a_restart_is_fetched() {
    let mut bench = Bench::new([Answer::response("resp_1", "queued", &[])]).await;
    bench.server.always(Answer::response("resp_1", "in_progress", &[]));
    let task = bench.call(BIG, "hello").await;
    until_looked_at(&bench, "resp_1").await;
    bench.restart().await;
    bench.server.always(Answer::response("resp_1", "completed", &[said("hi")]));
    assert_eq!(bench.end(task).await, End::Completed(Payload::of("hi").unwrap()));
    assert_eq!(created(&bench), 1);
    assert!(!asked(&bench).iter().any(|line| line.contains("cancel")), "{:?}", asked(&bench));
}

#[tokio::test]
async fn an_outage_costs_no_second_response() {
    let bench = Bench::new([
        Answer::response("resp_1", "queued", &[]),
        Answer::status(503, "gone for a while"),
        Answer::response("resp_1", "completed", &[said("hi")]),
    ])
    .await;
    assert_eq!(bench.run(BIG).await, "completed \"hi\"");
    assert_eq!(created(&bench), 1);
}

#[tokio::test]
async fn what_the_server_lost_is_made_again_within_bounds() {
    let mut failed = response("resp_1", "failed", &[]);
    failed["error"] = json!({"code": "server_error", "message": "It broke."});
    let lose = || [Answer::response("resp_1", "queued", &[]), Answer::json(200, &failed)];
    let bench = Bench::new(lose()).await;
    bench.server.then(Answer::response("resp_2", "queued", &[]));
    bench.server.then(Answer::response("resp_2", "completed", &[said("hi")]));
    assert_eq!(bench.run(BIG).await, "completed \"hi\"");
    let keys: Vec<_> = bench
        .server
        .asked()
        .iter()
        .filter_map(|asked| asked.headers.get("idempotency-key").cloned())
        .collect();
    assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");

    let bench = Bench::new(lose().into_iter().chain(lose()).chain(lose())).await;
    let end = bench.run(BIG).await;
    assert!(end.starts_with("failed: openai-responses:big: ") && end.contains("broke"), "{end}");
    assert_eq!(created(&bench), 3);
}

#[tokio::test]
async fn a_lost_response_counts_for_what_was_reserved_for_it() {
    let mut failed = response("resp_1", "failed", &[]);
    failed["error"] = json!({"code": "server_error", "message": "It broke."});
    let bench = Bench::new([
        Answer::response("resp_1", "queued", &[]),
        Answer::json(200, &failed),
        Answer::response("resp_2", "queued", &[]),
        Answer::response("resp_2", "completed", &[said("hi")]),
    ])
    .await;
    let task =
        bench.call(&format!("{BIG}\nmaxOutputTokens: 800\nbudget: {{tokens: 2500}}"), "").await;
    assert_eq!(bench.told(task).await, "completed \"hi\"");
    let most = |request: usize| bench.server.asked()[request].body["max_output_tokens"].as_u64();
    let (first, second) = (most(0).unwrap(), most(2).unwrap());
    assert!(first == 800 && second < 700, "{first} {second}");
    let message = bench.runtime.store().task(task).await.unwrap().unwrap().message.unwrap();
    let tokens = message.split("about ").nth(1).unwrap().split(' ').next().unwrap();
    assert!((1_400..2_500).contains(&tokens.parse::<u64>().unwrap()), "{message}");
}

#[tokio::test]
async fn what_failed_for_good_is_asked_of_the_next_model() {
    let mut failed = response("resp_1", "failed", &[]);
    failed["error"] = json!({"code": "invalid_prompt", "message": "No."});
    let bench = Bench::new([
        Answer::response("resp_1", "queued", &[]),
        Answer::json(200, &failed),
        Answer::says("hi"),
    ])
    .await;
    let end = bench.run("model: [openai-responses:big, small]").await;
    assert_eq!(end, "completed \"hi\"");
    assert_eq!(bench.server.asked()[2].path, "/v1/chat/completions");
}

async fn until_cancelled(bench: &Bench) {
    let cancel = "POST /v1/responses/resp_1/cancel".to_owned();
    let mut requests = 1;
    while !asked(bench).contains(&cancel) {
        requests += 1;
        bench.server.until_asked(requests).await;
    }
}

#[tokio::test]
async fn a_cancelled_task_cancels_its_response() {
    let bench = Bench::new([Answer::response("resp_1", "queued", &[])]).await;
    bench.server.always(Answer::response("resp_1", "in_progress", &[]));
    let task = bench.call(BIG, "hello").await;
    until_looked_at(&bench, "resp_1").await;
    bench.runtime.cancel(task, None).await.unwrap();
    assert!(matches!(bench.end(task).await, End::Cancelled(_)));
    until_cancelled(&bench).await;
}

#[tokio::test]
async fn a_response_that_ended_is_not_cancelled_with_its_task() {
    let bench = Bench::new([
        Answer::response("resp_1", "queued", &[]),
        Answer::response("resp_1", "completed", &[called("c1", "read_ledger", "{}")]),
        Answer::response("resp_2", "queued", &[]),
    ])
    .await;
    bench.server.always(Answer::response("resp_2", "in_progress", &[]));
    let task = bench.call(&format!("{TILL}\n{BIG}"), "hello").await;
    until_looked_at(&bench, "resp_2").await;
    bench.runtime.cancel(task, None).await.unwrap();
    bench.end(task).await;
    let cancels: Vec<_> =
        asked(&bench).into_iter().filter(|line| line.contains("cancel")).collect();
    assert_eq!(cancels, ["POST /v1/responses/resp_2/cancel"]);
}
