//! A run that is cancelled lets go of what it has under way, and says what it had done.

use super::*;

async fn cancelled(bench: &Bench, task: TaskId) -> String {
    bench.runtime.cancel(task, Some("enough".to_owned())).await.unwrap();
    match bench.end(task).await {
        End::Cancelled(message) => message,
        other => panic!("the task ended otherwise: {other:?}"),
    }
}

#[tokio::test]
async fn in_the_middle_of_a_models_reply() {
    let words = [model_server::delta(json!({"content": "Once upon"}))];
    let bench = Bench::new([Answer::open_stream(&words).hang()]).await;
    let task = bench.call("", "hello").await;
    bench.server.until_asked(1).await;
    assert_eq!(cancelled(&bench, task).await, "cancelled: enough");
    bench.server.until_left(1).await;
}

#[tokio::test]
async fn before_a_model_says_anything() {
    let bench = Bench::new([Answer::silence()]).await;
    let task = bench.call("", "hello").await;
    bench.server.until_asked(1).await;
    assert_eq!(cancelled(&bench, task).await, "cancelled: enough");
    bench.server.until_left(1).await;
}

#[tokio::test]
async fn while_a_busy_model_is_waited_for() {
    let busy = Answer::status(429, "").header("retry-after", "3600");
    let bench = Bench::new([busy]).await;
    let task = bench.call("", "hello").await;
    bench.server.until_asked(1).await;
    assert_eq!(cancelled(&bench, task).await, "cancelled: enough");
    assert_eq!(bench.server.asked().len(), 1);
}

#[tokio::test]
async fn in_the_middle_of_a_tools_call() {
    let mail = r#"{"order":"A1","to":"ada@example.org"}"#;
    let charge = r#"{"order":"A1","amount_cents":5}"#;
    let bench = Bench::new([
        Answer::calls(&[("c1", "mail_receipt", mail)]),
        Answer::calls(&[("c2", "charge_card", charge)]),
    ])
    .await;
    bench.hold_charges();
    let task = bench.call(TILL, "hello").await;
    let charged = async {
        while !bench.ledger().contains(&"charge_card".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), charged).await.unwrap();
    assert_eq!(
        cancelled(&bench, task).await,
        "cancelled: enough; took effect before that: turn-1/tool-1 (till/mail_receipt); \
         may have taken effect before that: turn-2/tool-1 (till/charge_card)"
    );
}
