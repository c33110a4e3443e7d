//! What rmcp's types drop of the Tasks of protocol 2025-11-25, moved to where it is kept: the server's
//! capability, and which tools answer with tasks. Plain JSON in and out, before rmcp reads it.

use rmcp::model::{ServerCapabilities, Tool};
use serde_json::{Map, Value};

/// The server's capability, among its experimental ones.
const TASKS: &str = "relight/tasks";
/// A tool's `execution.taskSupport`, in its `_meta`.
const TASK_SUPPORT: &str = "relight/taskSupport";

/// Prepares a server's message for rmcp. `None` leaves it as it is, which most are.
pub(super) fn keep(message: &str) -> Option<Value> {
    if !message.contains("\"taskSupport\"") && !message.contains("\"capabilities\"") {
        return None;
    }
    let mut message: Value = serde_json::from_str(message).ok()?;
    let result = message.get_mut("result")?;
    let moved = keep_capability(result).is_some() | keep_support(result).is_some();
    moved.then_some(message)
}

fn keep_capability(result: &mut Value) -> Option<()> {
    let capabilities = result.get_mut("capabilities")?.as_object_mut()?;
    capabilities.get("tasks")?.pointer("/requests/tools/call")?;
    let experimental = capabilities.entry("experimental").or_insert_with(|| Map::new().into());
    experimental.as_object_mut()?.insert(TASKS.to_owned(), Map::new().into());
    Some(())
}

fn keep_support(result: &mut Value) -> Option<()> {
    for tool in result.get_mut("tools")?.as_array_mut()? {
        let support = tool.pointer("/execution/taskSupport").cloned();
        if let (Some(support), Some(tool)) = (support, tool.as_object_mut()) {
            let meta = tool.entry("_meta").or_insert_with(|| Map::new().into());
            meta.as_object_mut()?.insert(TASK_SUPPORT.to_owned(), support);
        }
    }
    Some(())
}

/// Whether the server makes tasks of tool calls.
pub(super) fn makes_tasks(capabilities: &ServerCapabilities) -> bool {
    capabilities.experimental.as_ref().is_some_and(|all| all.contains_key(TASKS))
}

/// Whether the tool may be called as a task.
pub(super) fn supports_tasks(tool: &Tool) -> bool {
    let support = tool.meta.as_ref().and_then(|meta| meta.get(TASK_SUPPORT));
    support
        .and_then(Value::as_str)
        .is_some_and(|support| matches!(support, "optional" | "required"))
}

#[cfg(test)]
mod tests {
    use rmcp::model::{JsonRpcMessage, ServerJsonRpcMessage, ServerResult};
    use serde_json::json;

    use super::*;

    fn read(result: &Value) -> ServerResult {
        let message = json!({"jsonrpc": "2.0", "id": 1, "result": result});
        let message = keep(&message.to_string()).unwrap_or(message);
        match serde_json::from_value(message).unwrap() {
            ServerJsonRpcMessage::Response(response) => response.result,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_that_makes_tasks_of_calls_is_known_by_it() {
        let check = |tasks: Value, makes: bool| {
            let capabilities = json!({"tools": {}, "tasks": tasks});
            let info = json!({"name": "s", "version": "1"});
            let result = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info});
            let ServerResult::InitializeResult(result) = read(&result) else { panic!("no result") };
            assert_eq!(makes_tasks(&result.capabilities), makes);
        };
        check(json!({"list": {}, "requests": {"tools": {"call": {}}}}), true);
        check(json!({"list": {}}), false);
    }

    #[test]
    fn a_tool_that_may_be_a_task_is_known_by_it() {
        let tool = |name: &str, support: &str| json!({"name": name, "inputSchema": {"type": "object"}, "execution": {"taskSupport": support}});
        let plain = json!({"name": "d", "inputSchema": {"type": "object"}});
        let tools = [tool("a", "required"), tool("b", "optional"), tool("c", "forbidden"), plain];
        let ServerResult::ListToolsResult(list) = read(&json!({"tools": tools})) else {
            panic!("no list")
        };
        let supports: Vec<_> = list.tools.iter().map(supports_tasks).collect();
        assert_eq!(supports, [true, true, false, false]);
    }

    #[test]
    fn what_is_not_about_tasks_is_left_alone() {
        for text in
            ["7", "{}", r#"{"result":{"capabilities":7}}"#, r#"{"error":{"capabilities":{}}}"#]
        {
            assert_eq!(keep(text), None);
        }
        let is_message = |text: &str| serde_json::from_str::<ServerJsonRpcMessage>(text);
        assert!(matches!(
            is_message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            Ok(JsonRpcMessage::Response(_))
        ));
    }
}
