//! Wrong files, wrong settings and wrong messages, given to the real binary: each gets an error that
//! names the thing and says what to do, and a server that is up stays up.

use relight::limits;
use serde_json::json;

use crate::home::{Home, Server, has, is_error};

/// Every command that needs agents says the same of them.
async fn no_command_takes_it(home: &Home, said: &[&str]) {
    for command in [&["validate"][..], &["serve"], &["run", "order", "order=A1"]] {
        home.run(command).await.refused(1, said);
    }
}

/// Ends one task of `order` and returns the text of its result, which is an error. The server is up
/// before and after.
async fn failed_run(home: &Home) -> String {
    let mut server = home.serve_raw();
    let task = server.order("A1").await;
    let end = server.wire.settle(&task).await;
    assert_eq!(end["result"]["isError"], true, "{end}");
    stays_up(server).await;
    end["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

/// The server still answers, and ends well when its client goes.
async fn stays_up(mut server: Server) {
    let answer = server.wire.modern("tools/list", json!({})).await;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    assert_eq!(server.leave().await, Some(0));
}

/// An agent with these lines in its front matter.
fn agent(lines: &str) -> String {
    format!(
        "---\nname: order\ndescription: Orders.\ninput: {{type: object}}\n{lines}\n---\nYou order.\n"
    )
}

#[tokio::test]
async fn a_directory_of_agents_that_is_missing_or_empty() {
    let home = Home::empty();
    no_command_takes_it(&home, &["no agents: prompts does not exist", "NAME.md", "--agents"]).await;
    home.write("prompts/README.md", "No agent.");
    no_command_takes_it(&home, &["no agents: prompts has no *.md files"]).await;
    home.run(&["serve", "--agents", "nowhere"])
        .await
        .refused(1, &["nowhere does not exist", "comes from --agents"]);
}

#[tokio::test]
async fn a_broken_agent_file_is_told_with_its_lines_and_all_its_mistakes() {
    let home = Home::empty();
    home.write("prompts/order.md", &agent("maxTurn: 3\nbudget:\n  dollar: 2\nmaxTurns: many"));
    let said = [
        "prompts/order.md:5",
        "\"maxTurn\"",
        "\"maxTurns\"?",
        "prompts/order.md:7",
        "\"dollars\"?",
        "prompts/order.md:8",
    ];
    no_command_takes_it(&home, &said).await;
    home.write("prompts/order.md", "---\nname: [order\n---\nYou order.\n");
    no_command_takes_it(&home, &["prompts/order.md:"]).await;
    home.write("prompts/order.md", "You order.\n");
    no_command_takes_it(&home, &["prompts/order.md", "front matter"]).await;
}

#[tokio::test]
async fn settings_that_are_wrong_name_their_file_or_variable() {
    let home = Home::new().with("OPENAI_BASE_URL", "127.0.0.1:11434");
    no_command_takes_it(&home, &["OPENAI_BASE_URL", "http://"]).await;
    let home = Home::new();
    home.write("relight.yaml", "modell: gpt\n");
    no_command_takes_it(&home, &["relight.yaml:1", "modell", "\"model\"?"]).await;
    home.write("relight.yaml", "");
    home.write(".mcp.json", "{\"mcpServers\": {\"a\": {}}}");
    no_command_takes_it(&home, &[".mcp.json", "\"command\"", "\"url\""]).await;
    home.write(".mcp.json", "{\"mcpServers\": ");
    no_command_takes_it(&home, &[".mcp.json"]).await;
    home.run(&["serve", "--config", "other.yaml"]).await.refused(1, &["other.yaml", "--config"]);
}

#[tokio::test]
async fn a_tool_that_no_server_offers() {
    let home = Home::new();
    let order = std::fs::read_to_string(home.path("prompts/order.md")).unwrap();
    home.write("prompts/order.md", &order.replace("till/*", "[till/charge_crad]"));
    let said = failed_run(&home).await;
    has(&said, &["no server offers: till/charge_crad", "till/charge_card"]);
}

#[tokio::test]
async fn a_server_that_cannot_start_is_told_with_its_last_words() {
    let home = Home::new();
    let server = |command: &str| {
        agent(&format!("retry: {{attempts: 1}}\nmcpServers:\n  shop: {{{command}}}"))
    };
    home.write(
        "prompts/order.md",
        &server("command: sh, args: [-c, 'echo the licence has run out >&2; exit 3']"),
    );
    has(&failed_run(&home).await, &["\"shop\"", "exit status: 3", "the licence has run out"]);
    home.write("prompts/order.md", &server("command: no-such-program"));
    has(&failed_run(&home).await, &["\"shop\"", "no program \"no-such-program\"", "full path"]);
    home.write("prompts/order.md", &server("command: sh, args: ['${SHOP_KEY}']"));
    has(&failed_run(&home).await, &["\"shop\"", "SHOP_KEY"]);
}

#[tokio::test]
async fn a_secret_in_an_address_is_in_no_log() {
    let home = Home::new().with("SHOP_KEY", "hunter2").with("RELIGHT_LOG", "trace");
    let shop = "http://127.0.0.1:9/mcp?key=${SHOP_KEY}";
    let lines =
        format!("retry: {{attempts: 1}}\nmcpServers:\n  shop: {{type: http, url: '{shop}'}}");
    home.write("prompts/order.md", &agent(&lines));
    let said = failed_run(&home).await;
    has(&said, &["\"shop\"", "is it running?"]);
    for text in [said, home.logged()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn no_model_or_one_that_cannot_be_used() {
    let home = Home::new().with("RELIGHT_MODEL", "");
    has(&failed_run(&home).await, &["no model is configured", "--model", "RELIGHT_MODEL"]);
    has(&home.logged(), &["no model is configured", "order"]);
    let home = Home::new().with("RELIGHT_MODEL", "script:none.yaml");
    has(&failed_run(&home).await, &["none.yaml"]);
    // Nobody listens at this address.
    let home = Home::new()
        .with("RELIGHT_MODEL", "gpt-5-mini")
        .with("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    let order = std::fs::read_to_string(home.path("prompts/order.md")).unwrap();
    let once = "in_doubt: tell\nretry: {attempts: 1}";
    home.write("prompts/order.md", &order.replace("in_doubt: tell", once));
    has(&failed_run(&home).await, &["http://127.0.0.1:9/v1", "OPENAI_BASE_URL"]);
}

#[tokio::test]
async fn lines_that_are_no_messages() {
    let home = Home::new();
    let mut server = home.serve_raw();
    for line in ["{\"jsonrpc\": \"2.0\", \"id\": 1,", "\u{0}\u{1}", "nonsense"] {
        server.wire.send_line(line).await;
        is_error(&server.wire.receive().await, -32700, &["not JSON"]);
    }
    server.wire.send_line("{\"id\": 7}").await;
    is_error(&server.wire.receive().await, -32600, &["JSON-RPC 2.0"]);
    is_error(&server.wire.modern("tools/run", json!({})).await, -32601, &["tools/run"]);
    stays_up(server).await;
}

#[tokio::test]
async fn calls_that_are_wrong() {
    let home = Home::new();
    let mut server = home.serve_raw();
    for (call, said) in [
        (json!({"name": "oder", "arguments": {"order": "A1"}}), &["\"oder\"", "order"][..]),
        (json!({"name": "order"}), &["\"order\" is a required property"]),
        (
            json!({"name": "order", "arguments": {"order": 1}}),
            &["/order", "not of type \"string\""],
        ),
        (
            json!({"name": "order", "arguments": {"order": "A1", "ordr": "A1"}}),
            &["'ordr' was unexpected"],
        ),
        (json!({"name": "order", "arguments": ["A1"]}), &["tools/call", "expected a map"]),
        (json!({"arguments": {}}), &["tools/call", "name"]),
    ] {
        is_error(&server.wire.modern("tools/call", call).await, -32602, said);
    }
    // What is wrong with a long value is told without repeating all of it.
    let call = json!({"name": "order", "arguments": {"order": ["x".repeat(1 << 20)]}});
    let answer = server.wire.modern("tools/call", call).await;
    is_error(&answer, -32602, &["/order", "not of type \"string\""]);
    assert!(answer.to_string().len() < 1_000, "{answer}");
    for method in ["tasks/get", "tasks/cancel"] {
        for (id, said) in [
            (json!("00000000000000000000000000000000"), "no task 00000000000000000000000000000000"),
            (json!("A1"), "\"A1\" is not a task id: expected 32 hex digits"),
            (json!(""), "not a task id"),
            (json!(7), method),
        ] {
            let answer = server.wire.modern(method, json!({"taskId": id})).await;
            is_error(&answer, -32602, &[said]);
        }
    }
    stays_up(server).await;
    assert_eq!(home.run(&["tasks", "list", "--json"]).await.json(), json!([]));
}

#[tokio::test]
async fn a_payload_over_the_bound() {
    let home = Home::new();
    let mut server = home.serve_raw();
    let call = |bytes: usize| json!({"name": "order", "arguments": {"order": "x".repeat(bytes)}});
    let answer = server.wire.modern("tools/call", call(33 << 20)).await;
    let max = limits::PAYLOAD_MAX_BYTES.to_string();
    is_error(&answer, -32602, &["arguments for tool \"order\"", "bytes", &max, "file"]);
    // So long that its line is not even kept; the answer finds its request all the same.
    let answer = server.wire.modern("tools/call", call(limits::MESSAGE_MAX_BYTES)).await;
    is_error(&answer, -32600, &[&limits::MESSAGE_MAX_BYTES.to_string(), "send less"]);
    // An answer of that length is not laid to a request of the client's own that has its id.
    let long = "x".repeat(limits::MESSAGE_MAX_BYTES);
    server.wire.send(&json!({"jsonrpc": "2.0", "id": 1, "result": {"content": long}})).await;
    let complaint = server.wire.receive().await;
    is_error(&complaint, -32600, &["send less"]);
    assert_eq!(complaint.get("id"), None, "{complaint}");
    stays_up(server).await;
    assert_eq!(home.run(&["tasks", "list", "--json"]).await.json(), json!([]));
}
