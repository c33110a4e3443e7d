//! The `script:` provider: which reply is due, what placeholders become, failures on purpose, and
//! what a file that is wrong is told.

use std::path::Path;
use std::time::{Duration, Instant};

use relight::agent::models::script::Script;
use relight::agent::models::{ModelsConfig, Registry};
use relight::agent::{Message, Models, OpenModel, Outcome, Reply, Request, ToolCall};
use relight::journal::Failure;
use tempfile::TempDir;

use crate::{tool, user};

/// A directory with one script, `replies.yaml`.
fn script(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), text);
    dir
}

fn write(dir: &Path, text: &str) {
    std::fs::write(dir.join("replies.yaml"), text).unwrap();
}

fn registry(dir: &Path) -> Registry {
    Registry::new(ModelsConfig { script_dir: dir.to_owned(), ..ModelsConfig::default() })
}

fn open(dir: &Path) -> Result<OpenModel, Failure> {
    registry(dir).open("script:replies.yaml")
}

/// A request of the script.
fn request(messages: &[Message], idempotency_key: &str) -> Request {
    let (model, system) = ("replies.yaml".to_owned(), String::new());
    let idempotency_key = idempotency_key.to_owned();
    Request { model, system, idempotency_key, ..crate::request(messages.to_vec()) }
}

/// A turn of some model, calling these tools (id, name).
fn called(calls: &[(&str, &str)]) -> Message {
    let call = |(id, name): &(&str, &str)| ToolCall {
        id: (*id).to_owned(),
        name: (*name).to_owned(),
        arguments: "{}".to_owned(),
    };
    Message::Assistant(Reply { calls: calls.iter().map(call).collect(), ..Reply::default() })
}

/// An outcome as [`crate::show`] writes it, without the directory.
fn show(outcome: Result<Outcome, Failure>, dir: &Path) -> String {
    crate::show(outcome).replace(&format!("{}/", dir.display()), "")
}

/// The outcome of one call of this script after this conversation.
async fn check(yaml: &str, messages: &[Message], expected: &str) {
    let dir = script(yaml);
    let outcome = match open(dir.path()) {
        Ok(model) => model.provider.call(&request(messages, "k")).await,
        Err(failure) => Err(failure),
    };
    assert_eq!(show(outcome, dir.path()), expected, "{yaml}");
}

#[tokio::test]
async fn the_conversation_decides_which_reply_is_due() {
    let yaml = "
replies:
  - text: Charging.
    calls:
      - tool: charge
        arguments: {amount: 5}
      - {tool: mail, id: m1}
    usage: {input_tokens: 9, output_tokens: 4}
  - text: Done.
";
    let first = r#"{"text":"Charging.","calls":[{"id":"call_1_1","name":"charge","arguments":"{\"amount\":5}"},{"id":"m1","name":"mail","arguments":"{}"}],"finish":"stop","usage":{"input_tokens":9,"output_tokens":4},"model":"replies.yaml"}"#;
    let second = r#"{"text":"Done.","finish":"stop","model":"replies.yaml"}"#;
    let mut talk = vec![user("Go")];
    check(yaml, &talk, first).await;
    check(yaml, &talk, first).await;
    talk.extend([called(&[("call_1_1", "charge"), ("m1", "mail")]), tool("call_1_1", "ok")]);
    check(yaml, &talk, second).await;
    talk.push(called(&[]));
    let past = "final: the script has no reply for turn 3: it holds 2";
    check(yaml, &talk, past).await;
    talk.push(called(&[]));
    check(yaml, &talk, "final: the script has no reply for turn 4: it holds 2").await;
}

#[tokio::test]
async fn a_reply_under_a_condition_is_passed_over_unless_it_holds() {
    let yaml = "
replies:
  - calls: [{tool: charge}]
  - when: {contains: outcome is unknown}
    calls: [{tool: find_charge}]
  - text: Paid.
  - when: {contains: again}
    text: No.
";
    let find = r#"{"calls":[{"id":"call_2_1","name":"find_charge","arguments":"{}"}],"finish":"stop","model":"replies.yaml"}"#;
    let paid = r#"{"text":"Paid.","finish":"stop","model":"replies.yaml"}"#;
    let charged = called(&[("c", "charge"), ("d", "mail")]);
    let known = [user("Go"), charged.clone(), tool("c", "ok"), tool("d", "sent")];
    check(yaml, &known, paid).await;
    // Any of the messages since the last reply counts, and none before it.
    let unknown = [user("Go"), charged, tool("c", "the outcome is unknown"), tool("d", "sent")];
    check(yaml, &unknown, find).await;
    let found = [&unknown[..], &[called(&[("f", "find_charge")]), tool("f", "it is there")]];
    check(yaml, &found.concat(), paid).await;
    let asked = [&known[..], &[called(&[]), user("Pay again")]].concat();
    check(yaml, &asked, r#"{"text":"No.","finish":"stop","model":"replies.yaml"}"#).await;
    let thanked = [&known[..], &[called(&[]), user("Thanks")]].concat();
    check(
        yaml,
        &thanked,
        "final: the script has no reply for turn 3: it holds 4, and no `when` of the 1 left holds",
    )
    .await;
}

#[tokio::test]
async fn placeholders_quote_the_conversation() {
    let talk = [
        user(
            r#"{"order": "A7", "amount": 42.5, "to": {"mail": "z@example.com"}, "items": ["x", "y"]}"#,
        ),
        called(&[("a", "charge")]),
        tool("a", r#"{"id": "ch_1", "paid": true}"#),
        called(&[("b", "mail"), ("c", "book")]),
        tool("b", "sent"),
        tool("c", "line 3"),
    ];
    let yaml = |text: &str| {
        format!(
            "replies: [{{text: '1'}}, {{text: '2'}}, {{calls: [{{tool: t, arguments: {text}}}]}}]"
        )
    };
    for (arguments, expected) in [
        (r#"{n: "{{input.amount}}"}"#, r#"{"n":42.5}"#),
        (r#"{n: "{{ input.amount }} EUR"}"#, r#"{"n":"42.5 EUR"}"#),
        (r#"{to: ["{{input.to.mail}}", "{{input.items.1}}"]}"#, r#"{"to":["z@example.com","y"]}"#),
        (
            r#"{all: "{{input.to}}", s: "is {{input.to}}"}"#,
            r#"{"all":{"mail":"z@example.com"},"s":"is {\"mail\":\"z@example.com\"}"}"#,
        ),
        (
            r#"{c: "{{results.charge.id}}", p: "{{results.charge.paid}}"}"#,
            r#"{"c":"ch_1","p":true}"#,
        ),
        (r#"{m: "{{results.mail}}", l: "{{last}}"}"#, r#"{"l":"line 3","m":"sent"}"#),
        // A text goes out as it is, JSON or not.
        (r#"'{"order": "{{input.order}}", '"#, r#"{"order": "A7", "#),
        ("{n: 1.0, on: true, none: null}", r#"{"n":1.0,"none":null,"on":true}"#),
    ] {
        let arguments_sent = serde_json::to_string(expected).unwrap();
        let reply = format!(
            r#"{{"calls":[{{"id":"call_3_1","name":"t","arguments":{arguments_sent}}}],"finish":"stop","model":"replies.yaml"}}"#
        );
        check(&yaml(arguments), &talk, &reply).await;
    }
    let yaml = "
replies:
  - text: One.
  - text: Two.
  - text: '{{input.order}}: {{results.charge.id}}'
";
    let text = r#"{"text":"A7: ch_1","finish":"stop","model":"replies.yaml"}"#;
    check(yaml, &talk, text).await;
}

#[tokio::test]
async fn a_placeholder_that_stands_for_nothing_is_final() {
    let yaml = |text: &str| format!("replies: [{{text: '{text}'}}]");
    let talk = [user("plain words")];
    for (text, expected) in [
        ("{{input.amount}}", r#"{{input.amount}} stands for nothing: there is no "amount" in it"#),
        ("{{last}}", "{{last}} stands for nothing: no tool has answered yet"),
        (
            "{{results.charge}}",
            r#"{{results.charge}} stands for nothing: "charge" has not answered yet"#,
        ),
    ] {
        let expected = format!("final: the script's reply for turn 1: {expected}");
        check(&yaml(text), &talk, &expected).await;
    }
    check(&yaml("{{input}}"), &[], "final: the script's reply for turn 1: {{input}} stands for nothing: the conversation has no user message").await;
    check(
        &yaml("{{input}}!"),
        &talk,
        r#"{"text":"plain words!","finish":"stop","model":"replies.yaml"}"#,
    )
    .await;
}

#[tokio::test]
async fn a_script_can_fail_like_a_server() {
    let yaml = |error: &str| format!("replies: [{{latency_ms: 1, error: {error}}}]");
    for (error, expected) in [
        ("{status: 429, retry_after_ms: 70}", "transient (70 ms): HTTP 429"),
        ("{status: 500, message: down}", "transient: HTTP 500: down"),
        ("{status: 401}", "final: HTTP 401"),
        ("{kind: transient}", "transient: an error"),
        ("{kind: final, message: no}", "final: an error: no"),
        ("{kind: stall}", "transient: the reply stalled"),
    ] {
        check(&yaml(error), &[user("Go")], expected).await;
    }
}

#[tokio::test]
async fn a_call_that_fails_at_first_is_counted_by_its_key() {
    let yaml = "replies: [{text: Hi, error: {status: 503, times: 2}}]";
    let dir = script(yaml);
    let registry = registry(dir.path());
    let hi = r#"{"text":"Hi","finish":"stop","model":"replies.yaml"}"#;
    let fails = "transient: HTTP 503";
    // Opening it again, as every turn does, does not begin anew.
    for (key, expected) in
        [("a", fails), ("b", fails), ("a", fails), ("a", hi), ("b", fails), ("b", hi)]
    {
        let model = registry.open("script:replies.yaml").unwrap();
        let outcome = model.provider.call(&request(&[user("Go")], key)).await;
        assert_eq!(show(outcome, dir.path()), expected, "{key}");
    }
}

#[tokio::test]
async fn an_edited_file_counts_from_the_next_opening() {
    let dir = script("replies: [{text: old}]");
    let registry = registry(dir.path());
    let before = registry.open("script:replies.yaml").unwrap();
    write(dir.path(), "replies: [{text: new}]");
    let after = registry.open("script:replies.yaml").unwrap();
    for (model, text) in [(before, "old"), (after, "new")] {
        let reply = model.provider.call(&request(&[], "k")).await.unwrap();
        let Outcome::Reply(reply) = reply else { panic!("{reply:?}") };
        assert_eq!(reply.text.as_deref(), Some(text));
    }
}

#[tokio::test]
async fn latency_is_waited_for() {
    let dir = script("replies: [{text: Hi, latency_ms: 80}]");
    let model = open(dir.path()).unwrap();
    let begun = Instant::now();
    let _reply = model.provider.call(&request(&[], "k")).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_file_that_is_wrong_is_told_what_and_where() {
    for (yaml, expected) in [
        (
            "replies:\n  - txt: Hi\n",
            "line 2: unknown key `txt`, did you mean `text`? (known here: when, text, calls, usage, latency_ms, error)",
        ),
        (
            "reply: []\n",
            "line 1: unknown key `reply`, did you mean `replies`? (known here: replies)",
        ),
        (
            "replies:\n  - text: Hi\n    colour: red\n",
            "line 3: unknown key `colour` (known here: when, text, calls, usage, latency_ms, error)",
        ),
        (
            "replies:\n  - calls:\n      - tool: a\n        argument: {}\n",
            "line 4: unknown key `argument`, did you mean `arguments`? (known here: tool, arguments, id)",
        ),
        ("replies:\n  - calls: [{arguments: {}}]\n", "line 2: `tool` is missing here"),
        (
            "replies:\n  - text: 1\n    latency_ms: soon\n",
            "line 3: a whole number from 0 up is expected here",
        ),
        (
            "replies:\n  - error: {kind: finale}\n",
            "line 2: unknown kind `finale`, did you mean `final`? (known here: transient, final, stall)",
        ),
        (
            "replies:\n  - error: {status: 429, kind: final}\n",
            "line 2: an error has either a `status` or a `kind`",
        ),
        (
            "replies:\n  - error: {message: no}\n",
            "line 2: an error has either a `status` or a `kind`",
        ),
        ("replies:\n  - error: {status: 200}\n", "line 2: 200 is no HTTP status of an error"),
        (
            "replies:\n  - text: a\n  - text: Hi\n    error: {status: 500}\n",
            "line 3: this reply fails on every attempt, so that its `text` and `calls` are never given: add `times` to `error`",
        ),
        (
            "replies:\n  - error: {status: 500, times: 1}\n",
            "line 2: this reply has nothing to say after it has failed for the last time: give it `text` or `calls`, or leave out `times`",
        ),
        (
            "replies:\n  - latency_ms: 5\n",
            "line 2: this reply says nothing: give it `text`, `calls` or `error`",
        ),
        (
            "replies:\n  - {text: Hi, latency_ms: 600001}\n",
            "line 2: latency_ms is 600001, and at most 600000 is taken",
        ),
        (
            "replies:\n  - calls: [{tool: a, arguments: [1]}]\n",
            "line 2: the arguments of \"a\" are neither a mapping nor a text that is sent as it is",
        ),
        (
            "replies:\n  - calls: [{tool: a, id: x}, {tool: b, id: x}]\n",
            "line 2: two calls of this reply have the id \"x\"",
        ),
        (
            "replies:\n  - text: 'Hi {{input'\n",
            "line 2: the placeholder \"input\" has no closing braces",
        ),
        (
            "replies:\n  - calls: [{tool: a, arguments: {x: ['{{inputs.x}}']}}]\n",
            "line 2: {{inputs.x}} is no placeholder: write {{input}}, {{last}} or {{results.TOOL}}, each with fields after a dot",
        ),
        (
            "replies:\n  - text: '{{results}}'\n",
            "line 2: {{results}} is no placeholder: write {{input}}, {{last}} or {{results.TOOL}}, each with fields after a dot",
        ),
        ("replies: []\n", "`replies` is empty: a script needs at least one reply"),
        ("replies: 5\n", "line 1: a list is expected here"),
        ("replies:\n  - text: 'open\n", "line 2: unclosed quote"),
        ("replies: [Hi]\n", "line 1: a mapping of keys to values is expected here"),
        ("", "line 1: the file ends here, and `replies` is missing"),
    ] {
        check(yaml, &[user("Go")], &format!("final: {expected}")).await;
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = show(open(dir.path()).map(|_| Reply::default().into()), dir.path());
    assert_eq!(outcome, "final: the script cannot be read: No such file or directory (os error 2)");
    write(dir.path(), &"# padding\n".repeat(110_000));
    let outcome = show(
        Script::read(&dir.path().join("replies.yaml")).map(|_| Reply::default().into()),
        dir.path(),
    );
    assert_eq!(outcome, "final: the script cannot be read: it is longer than 1048576 bytes");
    let empty = registry(dir.path()).open("script:").map(|_| Reply::default().into());
    assert_eq!(
        show(empty, dir.path()),
        r#"final: "script:" names no model: write openai:NAME, plain NAME, openai-responses:NAME, or script:FILE"#
    );
}

#[tokio::test]
async fn a_summary_counts_as_the_replies_that_it_stands_for() {
    let dir = tempfile::tempdir().unwrap();
    let replies = "replies:\n  - {when: {contains: Sum up}, text: summary}\n  - text: one\n  - text: two\n  - text: three\n  - text: four";
    write(dir.path(), replies);
    let model = registry(dir.path()).open("script:replies.yaml").unwrap();
    let summary = Message::Summary { text: "Before.".to_owned(), replies: 2 };
    let kept = Message::Assistant(Reply { text: Some("three".to_owned()), ..Reply::default() });
    for (messages, expected) in [
        (vec![user("Sum up")], "summary"),
        (vec![user("go")], "one"),
        (vec![user("go"), summary.clone()], "three"),
        (vec![user("go"), summary, kept, user("on")], "four"),
    ] {
        let outcome = model.provider.call(&request(&messages, "k")).await.unwrap();
        let Outcome::Reply(reply) = outcome else { panic!("{outcome:?}") };
        assert_eq!(reply.text.as_deref(), Some(expected));
    }
}
