//! The seam to rmcp, which knows nothing of this dialect and drops its fields: plain JSON in and
//! out, before rmcp reads it and after rmcp has written it.
//!
//! A request that concerns the dialect is renamed to a method of our own, which rmcp passes on with
//! all its params; ids, cancellation and requests to the client stay rmcp's. No I/O here, and no
//! state: a transport says which session a message belongs to.

use rmcp::model::ProtocolVersion;
use serde_json::{Map, Value, json};

/// Before the names of methods that are answered in this dialect.
pub(super) const PREFIX: &str = "relight/2025-11-25/";

/// Where the client's declaration of Tasks is kept among its experimental capabilities, which rmcp
/// reads.
pub(super) const CLIENT_TASKS: &str = "relight/tasks";

/// Prepares a client's message for rmcp: `initialize` in any session, everything else in a session
/// that speaks the dialect ([`patch_initialize`] said so).
///
/// A name that begins with our prefix gets it twice, so that nobody has it: the private methods are
/// not to be called from outside.
pub(in crate::mcp::server) fn rename(message: &mut Value) {
    let Some(method) = message.get("method").and_then(Value::as_str) else { return };
    let params = message.get("params");
    let ours = match method {
        "initialize" => return keep_declaration(message),
        _ if method.starts_with(PREFIX) => true,
        _ if is_modern(params) => false,
        "tools/list" | "tasks/get" | "tasks/list" | "tasks/result" | "tasks/cancel" => true,
        "tools/call" => params.and_then(|params| params.get("task")).is_some_and(Value::is_object),
        _ => false,
    };
    if ours {
        message["method"] = format!("{PREFIX}{method}").into();
    }
}

/// Adds the dialect's capability to the response to an `initialize`, and says whether the session
/// speaks the dialect: only where exactly its protocol was negotiated.
pub(in crate::mcp::server) fn patch_initialize(response: &mut Value) -> bool {
    let Some(result) = response.get_mut("result") else { return false };
    let speaks = result["protocolVersion"] == ProtocolVersion::V_2025_11_25.as_str();
    if speaks && let Some(capabilities) = result["capabilities"].as_object_mut() {
        let tasks = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        capabilities.insert("tasks".to_owned(), tasks);
    }
    speaks
}

/// Such a request is of the newer protocol, whatever its session is.
fn is_modern(params: Option<&Value>) -> bool {
    params
        .and_then(|params| params.get("_meta")?.get("io.modelcontextprotocol/protocolVersion"))
        .and_then(Value::as_str)
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28.as_str())
}

fn keep_declaration(message: &mut Value) {
    let capabilities = message.pointer_mut("/params/capabilities").and_then(Value::as_object_mut);
    let Some(capabilities) = capabilities else { return };
    let declared = capabilities.get("tasks").is_some_and(Value::is_object);
    let experimental = capabilities.entry("experimental").or_insert_with(|| Map::new().into());
    let Some(experimental) = experimental.as_object_mut() else { return };
    experimental.remove(CLIENT_TASKS);
    if declared {
        experimental.insert(CLIENT_TASKS.to_owned(), Map::new().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, params: Value, expected: &str) {
        let mut message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let mut renamed = message.clone();
        renamed["method"] = expected.into();
        rename(&mut message);
        assert_eq!(message, renamed);
    }

    #[test]
    fn only_what_concerns_the_dialect_is_renamed() {
        for method in ["tools/list", "tasks/get", "tasks/list", "tasks/result", "tasks/cancel"] {
            check(method, json!({"taskId": "x"}), &format!("relight/2025-11-25/{method}"));
        }
        for method in ["ping", "tasks/update", "notifications/cancelled"] {
            check(method, json!({}), method);
        }
        check("tools/call", json!({"name": "a"}), "tools/call");
        check("tools/call", json!({"name": "a", "task": 7}), "tools/call");
        let with_task = json!({"name": "a", "task": {"ttl": 1}});
        check("tools/call", with_task, "relight/2025-11-25/tools/call");
    }

    #[test]
    fn a_request_of_the_newer_protocol_is_left_alone() {
        let meta = |version| json!({"_meta": {"io.modelcontextprotocol/protocolVersion": version}});
        check("tasks/get", meta("2026-07-28"), "tasks/get");
        check("tasks/get", meta("2025-11-25"), "relight/2025-11-25/tasks/get");
    }

    #[test]
    fn a_private_name_from_outside_is_nobodys() {
        let name = "relight/2025-11-25/tasks/get";
        check(name, json!({}), &format!("relight/2025-11-25/{name}"));
    }

    #[test]
    fn what_is_no_request_is_left_alone() {
        for text in ["7", "[]", "{}", r#"{"id":1,"result":{}}"#, r#"{"method":7}"#] {
            let message: Value = serde_json::from_str(text).unwrap();
            let mut renamed = message.clone();
            rename(&mut renamed);
            assert_eq!(renamed, message);
        }
    }

    #[test]
    fn a_clients_declaration_is_kept_where_rmcp_reads_it() {
        let check = |capabilities: Value, kept: bool| {
            let params = json!({"capabilities": capabilities});
            let mut message = json!({"method": "initialize", "params": params});
            rename(&mut message);
            let found = message.pointer("/params/capabilities/experimental/relight~1tasks");
            assert_eq!(found.is_some(), kept, "{message}");
        };
        check(json!({"tasks": {"list": {}}}), true);
        check(json!({}), false);
        check(json!({"experimental": {"relight/tasks": {}}}), false);
    }

    #[test]
    fn the_capability_is_shown_to_sessions_of_its_protocol_only() {
        let check = |version: &str, speaks: bool| {
            let result = json!({"protocolVersion": version, "capabilities": {"tools": {}}});
            let mut response = json!({"jsonrpc": "2.0", "id": 1, "result": result});
            assert_eq!(patch_initialize(&mut response), speaks);
            assert_eq!(response.pointer("/result/capabilities/tasks").is_some(), speaks);
        };
        check("2025-06-18", false);
        check("2025-11-25", true);
        assert!(!patch_initialize(&mut json!({"error": {"code": -32602}})));
    }
}
