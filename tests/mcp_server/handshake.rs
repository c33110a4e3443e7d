//! What a server shows of itself, to clients of each protocol, and which tools it does not serve.

use relight::durable::Runtime;
use relight::mcp::server::{Error, Options, Server};
use serde_json::{Value, json};

use crate::client::tool;
use crate::host;
use crate::wire::tasks_declared;

#[tokio::test]
async fn discover_shows_the_extension_and_no_older_tasks() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let answer = client.modern("server/discover", json!({})).await;
    let capabilities = &answer["result"]["capabilities"];
    assert_eq!(capabilities["extensions"], json!({"io.modelcontextprotocol/tasks": {}}));
    assert_eq!(capabilities["tasks"], Value::Null);
    let versions = answer["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{versions:?}");
}

#[tokio::test]
async fn initialize_negotiates_an_older_protocol_and_hides_the_extension() {
    let (_directory, host) = host().await;
    for (asked, agreed) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2031-01-01", "2025-11-25"),
    ] {
        let answer = host.connect().initialize(asked, tasks_declared()).await;
        let result = &answer["result"];
        assert_eq!(result["protocolVersion"], agreed);
        assert_eq!(result["serverInfo"]["name"], "relight");
        assert!(result["capabilities"]["tools"].is_object(), "{result}");
        assert_eq!(result["capabilities"]["extensions"], Value::Null);
    }
}

#[tokio::test]
async fn tools_are_listed_with_their_schemas() {
    let (_directory, host) = host().await;
    let mut client = host.connect();
    let modern = client.modern("tools/list", json!({})).await;
    let mut client = host.connect();
    client.initialize("2025-11-25", json!({})).await;
    let older = client.request("tools/list", json!({})).await;
    for (answer, followers) in [(modern, 0), (older, 4)] {
        let tools = answer["result"]["tools"].as_array().unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names[..3], ["greet", "nap", "break"]);
        assert_eq!(names.len(), 3 + followers, "{names:?}");
        assert_eq!(tools[0]["inputSchema"]["required"], json!(["name"]));
        assert_eq!(tools[0]["description"], "The fixture greet.");
    }
}

#[tokio::test]
async fn a_server_refuses_tools_that_cannot_be_served() {
    let (_directory, host) = host().await;
    let serve = |tools| {
        let runtime: Runtime = host.runtime.clone();
        Server::new(runtime, tools, Options::default()).err().unwrap()
    };
    let object = json!({"type": "object"});
    let twice = serve(vec![tool("a", object.clone()), tool("a", object)]);
    assert!(matches!(twice, Error::SameName { name } if name == "a"));
    for schema in [json!({"type": "no_such_type"}), json!("x")] {
        let bad = serve(vec![tool("a", schema)]);
        assert!(matches!(&bad, Error::Schema { tool, .. } if tool == "a"), "{bad}");
    }
}
