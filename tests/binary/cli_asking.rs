//! A task's questions for the real binary: told where it runs, answered by a command of another
//! process or by an MCP client, and kept over `kill -9`.

use relight::journal::Status;
use serde_json::{Value, json};

use crate::home::{Home, Ran, Server, tasks, until};

const AGENT: &str = include_str!("../../examples/payment/payment.md");
const REPLIES: &str = include_str!("../../examples/payment/replies.yaml");

const RUN: [&str; 4] = ["run", "payment", "order=A1", "amount_cents=5"];
const MAIL: &str = "turn-1/tool-1";
const YES: &str = "turn-2/tool-1/approve";

/// A directory with the agent of `examples/payment`.
pub(crate) fn home() -> Home {
    let home = Home::empty();
    home.write("prompts/payment.md", AGENT);
    home.write("examples/payment/replies.yaml", REPLIES);
    home
}

/// Waits until the only task asks this; returns the task's id.
async fn asked(home: &Home, key: &str) -> String {
    let journal = home.journal();
    until("a question", async || {
        let Some(task) = tasks(&journal).await.pop() else { return false };
        let list = ["tasks", "answer", &task.id.to_string(), "--list", "--json"];
        task.status == Status::InputRequired
            && home.run(&list).await.json()[0]["key"].as_str() == Some(key)
    })
    .await;
    tasks(&journal).await[0].id.to_string()
}

#[tokio::test]
async fn questions_of_a_run_are_answered_by_a_command() {
    let home = home();
    let running = home.command(&RUN).spawn().unwrap();
    let task = asked(&home, MAIL).await;
    let answer =
        async |more: &[&str]| home.run(&[&["tasks", "answer", &task[..8]], more].concat()).await;

    let list = answer(&["--list"]).await;
    assert!(list.stdout.contains("Where does the receipt of order A1 go?"), "{list:?}");
    assert!(list.stdout.contains("email (email): E-mail address"), "{list:?}");
    answer(&[]).await.refused(2, &["say the answer to turn-1/tool-1: email=..."]);
    answer(&["email=nobody"]).await.refused(2, &["does not fit: /email:"]);
    answer(&["--json-input", "{"]).await.refused(2, &["--json-input is not JSON"]);
    answer(&["--question", "x", "--decline"])
        .await
        .refused(3, &["no open question \"x\"; open are turn-1/tool-1"]);
    let shown = home.run(&["tasks", "show", &task]).await;
    assert!(shown.stdout.contains("turn-1/tool-1: waits for an answer"), "{shown:?}");

    let said = answer(&["email=ada@example.org"]).await;
    assert_eq!(said.stdout, format!("Answered turn-1/tool-1 of task {}.\n", &task[..8]));
    asked(&home, YES).await;
    assert_eq!(home.charges(), 0);
    let yes = r#"{"decision": "approve", "arguments": "{\"order\":\"A1\",\"amount_cents\":3}"}"#;
    answer(&["--question", YES, "--json-input", yes]).await;

    let ran = Ran::of(&RUN, running).await;
    let expected = "Done: A person changed the arguments to {\"amount_cents\":3,\"order\":\"A1\"}.\n\
                    charged 3 cents for order A1: charge ch_1; \
                    mailed the receipt of order A1 to ada@example.org.\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, expected), "{ran:?}");
    let how = format!("relight tasks answer {} --question 'turn-1/tool-1' email=...", &task[..8]);
    assert!(ran.stderr.contains(&how), "{}", ran.stderr);
    answer(&["--decline"]).await.refused(3, &["asks nothing now"]);
}

#[tokio::test]
async fn who_refuses_pays_nothing() {
    let home = home();
    let running = home.command(&RUN).spawn().unwrap();
    let task = asked(&home, MAIL).await;
    home.run(&["tasks", "answer", &task, "email=ada@example.org"]).await;
    asked(&home, YES).await;
    home.run(&["tasks", "answer", &task, "decision=refuse", "reason=too much"]).await;
    let ran = Ran::of(&RUN, running).await;
    let expected = "Order A1 is not charged. This call was not made. \
                    A person has refused it. The reason: too much\n";
    assert_eq!(ran.stdout, expected, "{ran:?}");
    assert_eq!(home.ledger(), []);
}

/// What a task asks, as its client sees it.
async fn input_requests(server: &mut Server, task: &str) -> Value {
    let asking = server.wire.settle(task).await;
    assert_eq!(asking["status"], "input_required", "{asking}");
    asking["inputRequests"].clone()
}

#[tokio::test]
async fn a_client_answers_after_two_kills_and_a_lost_charge_is_found() {
    let home = home();
    let mut server = home.serve_raw();
    let task = server.call("payment", json!({"order": "A1", "amount_cents": 5})).await;
    let first = input_requests(&mut server, &task).await;
    server.kill().await;

    let mut server = home.serve_raw();
    assert_eq!(input_requests(&mut server, &task).await, first);
    server.kill().await;

    let mut server = home.serve_raw();
    assert_eq!(input_requests(&mut server, &task).await, first);
    assert_eq!(first[MAIL]["method"], "elicitation/create");
    server.accept(&task, MAIL, json!({"email": "ada@example.org"})).await;
    let second = input_requests(&mut server, &task).await;
    let message = second[YES]["params"]["message"].as_str().unwrap();
    assert!(message.contains("{\"amount_cents\":5,\"order\":\"A1\"}"), "{message}");

    // The charge takes effect, and the process is gone before it hears of that.
    home.hold_charges();
    server.accept(&task, YES, json!({"decision": "approve"})).await;
    until("the charge", async || home.charges() == 1).await;
    server.kill().await;
    home.let_go();

    let mut server = home.serve_raw();
    let end = server.wire.settle(&task).await;
    let text = end["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{end}"));
    let found = "Done: charged 5 cents for order A1: charge ch_1; mailed";
    assert!(text.starts_with(found), "{text}");
    assert_eq!(home.charges(), 1);
    assert_eq!(server.leave().await, Some(0));
}
