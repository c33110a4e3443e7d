//! The toolbox over real programs: the till, and shell scripts that misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use relight::agent::{RemoteTask, ServerConfig, Servers, TaskDialect, Toolbox};
use relight::durable::{Answer, Question};
use relight::journal::{Effect, FailureKind, Payload};
use relight::limits;
use relight::mcp::client::{Downstream, Timeouts};
use relight::mcp::till::{self, Moment};
use serde_json::json;

use crate::servers::{Place, is_gone, kill, no_env, until};
use crate::shell_server::shell_server;

/// What a server in shell does with every line.
const LOG: &str = r#"printf '%s\n' "$line" >> "$1/log""#;

/// A server that lists two pages and answers no call, but for what these branches say.
fn deaf_but(branches: &str) -> String {
    let pages = r#"
    *'"cursor":"2"'*) result='{"tools":[{"name":"b","inputSchema":{"type":"object"}}]}';;
    *'"method":"tools/list"'*) result='{"tools":[{"name":"a","inputSchema":{"type":"object"}}],"nextCursor":"2"}';;"#;
    shell_server(LOG, &format!("{branches}{pages}"))
}

fn deaf() -> String {
    deaf_but("")
}

fn impatient() -> Timeouts {
    Timeouts { start_ms: 300, call_ms: 300 }
}

#[tokio::test]
async fn tools_are_listed_with_their_effects() {
    let place = Place::till();
    let tools = Downstream::new(no_env).list(&place.servers).await.unwrap();
    let effects: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.effect)).collect();
    assert_eq!(
        effects,
        [
            ("charge_card", Effect::Once),
            ("mail_receipt", Effect::Idempotent),
            ("update_ledger", Effect::Idempotent),
            ("find_charge", Effect::Pure),
            ("read_ledger", Effect::Pure),
        ]
    );
    assert!(tools.iter().all(|tool| tool.server == "till" && tool.description.is_some()));
    assert!(tools[0].input_schema.json().contains("amount_cents"));
}

#[tokio::test]
async fn a_list_of_several_pages_is_read_to_its_end() {
    let place = Place::script(&deaf());
    let tools = Downstream::new(no_env).list(&place.servers).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn a_call_carries_its_key_and_brings_the_answer() {
    let place = Place::till();
    let tools = Downstream::new(no_env);
    let order = json!({"order": "A-17", "amount_cents": 4200});
    let output = place.call(&tools, "charge_card", order.clone(), "task/step").await.unwrap();
    assert_eq!(output.text, "charged 4200 cents for order A-17: charge ch_1");
    let entries = till::entries(&place.path("ledger")).unwrap();
    assert_eq!(entries[0].key.as_deref(), Some("task/step"));
    assert_eq!(entries[0].args, order);
}

#[tokio::test]
async fn the_tills_idempotent_tools_honour_the_key() {
    let place = Place::till();
    let tools = Downstream::new(no_env);
    let mail = json!({"order": "A-17", "to": "ann@example.com"});
    let first = place.call(&tools, "mail_receipt", mail.clone(), "k1").await.unwrap();
    let again = place.call(&tools, "mail_receipt", mail.clone(), "k1").await.unwrap();
    assert_eq!(first, again);
    place.call(&tools, "mail_receipt", mail, "k2").await.unwrap();
    let order = json!({"order": "A-17", "amount_cents": 1});
    for _ in 0..2 {
        place.call(&tools, "charge_card", order.clone(), "k3").await.unwrap();
    }
    assert_eq!(
        place.effects(),
        ["mail_receipt", "mail_receipt", "charge_card", "charge_card"],
        "one receipt for each key, and a charge for each call"
    );
}

#[tokio::test]
async fn a_server_killed_between_effect_and_answer_leaves_the_call_in_doubt() {
    let place = Place::till();
    place.hold_charges(Moment::After);
    let tools = Downstream::new(no_env);
    let order = json!({"order": "A-17", "amount_cents": 4200});
    let call = place.call(&tools, "charge_card", order, "k");
    let killer = async {
        until("the charge", || place.effects().len() == 1).await;
        kill(place.pids()[0]);
    };
    let (outcome, ()) = tokio::join!(call, killer);
    let failure = outcome.unwrap_err();
    assert_eq!(failure.kind, FailureKind::InDoubt, "{failure}");
    assert!(failure.message.contains("\"charge_card\" of server \"till\""), "{failure}");
    assert!(failure.message.contains("signal: 9"), "{failure}");

    let found = place.call(&tools, "find_charge", json!({"order": "A-17"}), "k2").await.unwrap();
    assert_eq!(found.text, "order A-17 was charged 4200 cents: charge ch_1");
    assert_eq!(place.pids().len(), 2, "the next use has started it again");
}

#[tokio::test]
async fn a_server_that_died_between_calls_leaves_nothing_in_doubt() {
    let place = Place::till();
    let tools = Downstream::new(no_env);
    for _ in 0..10 {
        tools.list(&place.servers).await.unwrap();
        let pid = *place.pids().last().unwrap();
        kill(pid);
        until("its end", || is_gone(pid)).await;
        let order = json!({"order": "A-17"});
        match place.call(&tools, "find_charge", order, "k").await {
            Ok(_) => {}
            Err(failure) => assert_eq!(failure.kind, FailureKind::Transient, "{failure}"),
        }
    }
}

#[tokio::test]
async fn those_who_come_first_share_one_start() {
    let place = Place::till();
    let tools = Downstream::new(no_env);
    let calls = (0..8).map(|_| place.call(&tools, "read_ledger", json!({}), "k"));
    for output in join_all(calls).await {
        assert_eq!(output.unwrap().text, "[]");
    }
    assert_eq!(place.pids().len(), 1);
}

#[tokio::test]
async fn those_who_come_first_share_one_failure() {
    let place = Place::script("exit 1");
    let tools = Downstream::new(no_env);
    let calls = (0..8).map(|_| place.call(&tools, "read_ledger", json!({}), "k"));
    for output in join_all(calls).await {
        assert_eq!(output.unwrap_err().kind, FailureKind::Transient);
    }
    assert_eq!(place.pids().len(), 1);
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server() {
    let place = Place::script(&deaf());
    let tools = Downstream::new(no_env);
    {
        let call = place.call(&tools, "a", json!({}), "k");
        let called = until("the call", || place.read("log").contains("tools/call"));
        tokio::select! {
            outcome = call => panic!("nobody answers this: {outcome:?}"),
            () = called => {}
        }
    }
    until("the cancel", || place.read("log").contains("notifications/cancelled")).await;
}

#[tokio::test]
async fn a_cancelled_call_takes_no_effect_at_the_till() {
    let place = Place::till();
    place.hold_charges(Moment::Before);
    let tools = Downstream::with_timeouts(no_env, Timeouts { start_ms: 10_000, call_ms: 300 });
    let order = json!({"order": "A-17", "amount_cents": 4200});
    let failure = place.call(&tools, "charge_card", order, "k").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::InDoubt, "{failure}");
    assert!(failure.message.contains("no answer within"), "{failure}");
    tools.close().await;
    assert_eq!(place.effects(), [""; 0]);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_in_doubt_and_is_cancelled() {
    let place = Place::script(&deaf());
    let tools = Downstream::with_timeouts(no_env, Timeouts { start_ms: 10_000, call_ms: 200 });
    let failure = place.call(&tools, "a", json!({}), "k").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::InDoubt, "{failure}");
    until("the cancel", || place.read("log").contains("notifications/cancelled")).await;
}

#[tokio::test]
async fn what_the_server_refuses_is_final() {
    let place = Place::till();
    let tools = Downstream::new(no_env);
    for (tool, args, said) in [
        ("charge_card", json!({"order": "A-17"}), "missing field `amount_cents`"),
        ("no_such_tool", json!({}), "no_such_tool"),
    ] {
        let failure = place.call(&tools, tool, args, "k").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Final, "{failure}");
        assert!(failure.message.contains(said), "{failure}");
    }
    assert_eq!(place.effects(), [""; 0]);
}

#[tokio::test]
async fn an_answer_over_the_bound_is_final_and_the_server_stays() {
    let zeros = limits::MESSAGE_MAX_BYTES;
    let place = Place::script(&deaf_but(&format!(
        r#"*tools/call*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"content":"' "$id"
               head -c {zeros} /dev/zero | tr '\0' 0; echo '"}}}}'; continue;;"#
    )));
    let tools = Downstream::new(no_env);
    let failure = place.call(&tools, "a", json!({}), "k").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Final, "{failure}");
    assert!(failure.message.contains("ask the tool for less"), "{failure}");
    tools.list(&place.servers).await.unwrap();
    assert_eq!(place.pids().len(), 1);
}

#[tokio::test]
async fn a_program_that_is_missing_is_final_and_named() {
    let missing = |command: &str, cwd: Option<&str>| {
        let config = ServerConfig::Stdio {
            command: command.to_owned(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: cwd.map(str::to_owned),
        };
        Servers::from([("books".to_owned(), config)])
    };
    let tools = Downstream::new(no_env);
    for (servers, said) in [
        (missing("no-such-program-anywhere", None), "no program \"no-such-program-anywhere\""),
        (missing("sh", Some("/no/such/dir")), "working directory \"/no/such/dir\""),
        (missing("/etc/passwd", None), "cannot be executed"),
    ] {
        let failure = tools.list(&servers).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Final, "{failure}");
        assert!(failure.message.contains("\"books\""), "{failure}");
        assert!(failure.message.contains(said), "{failure}");
    }
}

#[tokio::test]
async fn a_program_that_ends_at_once_shows_its_last_words() {
    let place = Place::script("echo Hello there; echo cannot open the database >&2; exit 3");
    let failure = Downstream::new(no_env).list(&place.servers).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    for said in ["\"till\"", "exit status: 3", "cannot open the database", "(stdout) Hello there"] {
        assert!(failure.message.contains(said), "{said}: {failure}");
    }
}

#[tokio::test]
async fn only_the_last_words_are_kept() {
    let place = Place::script("i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo line $i >&2; done");
    let failure = Downstream::new(no_env).list(&place.servers).await.unwrap_err();
    assert!(failure.message.contains("line 5000"), "{failure}");
    assert!(failure.message.len() < 2_000, "{failure}");
}

#[tokio::test]
async fn a_program_that_says_nothing_is_given_up_and_killed() {
    let place = Place::script("sleep 1000 & echo $! >> \"$1/pids\"; wait");
    let tools = Downstream::with_timeouts(no_env, impatient());
    let failure = tools.list(&place.servers).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    assert!(failure.message.contains("does it speak MCP?"), "{failure}");
    let pids = place.pids();
    assert_eq!(pids.len(), 2);
    until("the end of both processes", || pids.iter().all(|pid| is_gone(*pid))).await;
}

#[tokio::test]
async fn close_reaps_every_server_and_refuses_new_calls() {
    let place = Place::till();
    let tools = Downstream::new(no_env);
    tools.list(&place.servers).await.unwrap();
    tools.close().await;
    assert!(is_gone(place.pids()[0]));
    let failure = tools.list(&place.servers).await.unwrap_err();
    assert!(failure.message.contains("relight is stopping"), "{failure}");
}

#[tokio::test]
async fn close_ends_a_server_that_ignores_the_end_of_its_stdin() {
    let place = Place::script(&format!("{}; trap '' TERM; while :; do sleep 1; done", deaf()));
    let tools = Downstream::new(no_env);
    tools.list(&place.servers).await.unwrap();
    tools.close().await;
    assert!(is_gone(place.pids()[0]));
}

#[tokio::test]
async fn dropping_the_toolbox_ends_the_servers() {
    let place = Place::till();
    let tools = Downstream::new(no_env);
    tools.list(&place.servers).await.unwrap();
    drop(tools);
    until("its end", || is_gone(place.pids()[0])).await;
}

#[tokio::test]
async fn variables_are_expanded_and_a_missing_one_is_named() {
    let mut place = Place::till();
    let tools = Downstream::new(|name: &str| (name == "LEDGER").then(|| "books".to_owned()));
    let Some(ServerConfig::Stdio { args, .. }) = place.servers.get_mut("till") else { panic!() };
    let ledger = args.last_mut().unwrap();
    *ledger = ledger.replace("ledger", "${LEDGER}");
    let order = json!({"order": "A-17", "amount_cents": 1});
    place.call(&tools, "charge_card", order, "k").await.unwrap();
    assert!(place.path("books").exists());

    let Some(ServerConfig::Stdio { env, .. }) = place.servers.get_mut("till") else { panic!() };
    env.insert("TOKEN".to_owned(), "${TILL_TOKEN}".to_owned());
    let failure = tools.list(&place.servers).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Final);
    assert!(failure.message.contains("TILL_TOKEN"), "{failure}");
}

#[tokio::test]
async fn an_unknown_server_is_final_and_the_known_ones_are_named() {
    let mut place = Place::till();
    let config = place.servers.remove("till").unwrap();
    place.servers.insert("bank".to_owned(), config);
    let tools = Arc::new(Downstream::new(no_env));
    let failure = place.call(&tools, "charge_card", json!({}), "k").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Final);
    assert!(failure.message.contains("the agent has: bank"), "{failure}");
}

#[tokio::test]
async fn a_message_that_is_too_long_and_no_answer_is_laid_to_no_call() {
    let zeros = limits::MESSAGE_MAX_BYTES;
    // It tells of something, and then asks for something, each with what looks like the call's id.
    let script = deaf_but(&format!(
        r#"*'"method":"tools/call"'*)
      long() {{ printf '%s"id":%s,"zeros":"' "$1" "$id"; head -c {zeros} /dev/zero | tr '\0' 0; printf '"}}}}\n'; }}
      long '{{"jsonrpc":"2.0","method":"notifications/message","params":{{'
      long '{{"jsonrpc":"2.0","id":"mine","method":"sampling/createMessage","params":{{'
      result='{{"content":[{{"type":"text","text":"done"}}]}}';;"#
    ));
    let place = Place::script(&script);
    let tools = Downstream::new(no_env);
    let output = place.call(&tools, "a", json!({}), "key").await.unwrap();
    assert_eq!(output.text, "done");
    until("the refusal", || place.read("log").contains("a request has at most")).await;
    assert!(place.read("log").contains(r#""id":"mine""#), "{}", place.read("log"));
}

/// A server of the older Tasks in shell: its task waits for two answers, and the second question comes
/// late.
fn two_questions() -> String {
    let server = shell_server(
        LOG,
        r#"
    *'"method":"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{"requests":{"tools":{"call":{}}}}},"serverInfo":{"name":"sh","version":"1"}}';;
    *'"method":"tasks/get"'*) result='{"taskId":"t1","status":"input_required","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z","ttl":null}';;
    *'"method":"tasks/result"'*) ask first; sleep 0.3; ask second; continue;;"#,
    );
    let ask = r#"
ask() {
  printf '{"jsonrpc":"2.0","id":"%s","method":"elicitation/create","params":{"message":"%s?","requestedSchema":{"type":"object","properties":{}},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}}\n' "$1" "$1"
}"#;
    format!("{ask}{server}")
}

fn waiting_task() -> RemoteTask {
    RemoteTask {
        server: "till".to_owned(),
        id: "t1".to_owned(),
        dialect: TaskDialect::Experimental,
        poll_interval_ms: None,
        ttl_ms: None,
        session: None,
    }
}

#[tokio::test]
async fn after_a_restart_an_answer_waits_for_its_question() {
    let place = Place::script(&two_questions());
    let schema = Payload::of(&json!({"type": "object", "properties": {}})).unwrap();
    let key = Payload::of(&Question::new("second?", schema)).unwrap().hash().to_string();
    let tools = Downstream::new(no_env);
    let answer = Answer::Accept { content: serde_json::Map::new() };
    tools.answer(&place.servers, &waiting_task(), &key, &answer).await.unwrap();
    let log = || place.read("log");
    until("the answer", || log().contains(r#""id":"second""#)).await;
    assert!(log().contains("accept") && !log().contains(r#""id":"first""#), "{}", log());
    tools.close().await;
}
