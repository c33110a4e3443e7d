//! `subscriptions/listen` for tasks ("Task Status Notifications" of the extension's specification): a
//! client is told of its tasks' changes on one stream, instead of polling.
//!
//! rmcp's filter has no `taskIds` and would drop them, so such a request is renamed before rmcp reads
//! it, and comes back as one that rmcp does not know.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{CustomNotification, ErrorCode, ErrorData, RequestId, ServerNotification};
use rmcp::service::RequestContext;
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::{Session, needs_tasks, takes_tasks};
use super::translate::refusal;
use crate::journal::{Error, Task, TaskId};
use crate::limits;

/// The method as clients write it.
pub(super) const METHOD: &str = "subscriptions/listen";

/// What it is renamed to. Whoever calls it by this name gets the same.
pub(super) const RENAMED: &str = "relight/subscriptions/listen";

const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A client's message as rmcp is to see it, where that is another.
pub(super) fn rename(message: &[u8]) -> Option<Value> {
    // Most messages are others: they are not to be read twice.
    let holds = |word: &[u8]| message.windows(word.len()).any(|part| part == word);
    if message.len() > limits::LISTEN_MAX_BYTES || !holds(METHOD.as_bytes()) || !holds(b"taskIds") {
        return None;
    }
    let mut message: Value = serde_json::from_slice(message).ok()?;
    let is_listen = message["method"] == METHOD;
    if !is_listen || message.pointer("/params/notifications/taskIds").is_none() {
        return None;
    }
    message["method"] = RENAMED.into();
    Some(message)
}

#[derive(Deserialize)]
struct Params {
    notifications: Wanted,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    task_ids: Vec<String>,
}

/// A task, and what the client was told of it last.
struct Watched {
    id: TaskId,
    told: Value,
}

/// Tells the client of changes until all the tasks have ended, or one side stops. An id that is no
/// task of the client's is not among those that are acknowledged.
///
/// # Errors
/// -32021 for a client that has not declared the extension, -32602 for wrong params, -32603 when the
/// journal cannot be read.
pub(super) async fn listen(
    session: &Session,
    params: Value,
    context: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    if !takes_tasks(context) {
        return Err(needs_tasks("only a client that declares Tasks is told of them", context));
    }
    let Params { notifications: Wanted { task_ids } } =
        serde_json::from_value(params).map_err(|error| {
            ErrorData::invalid_params(format!("the params of {METHOD}: {error}"), None)
        })?;
    let mut watched: Vec<Watched> = Vec::new();
    for id in task_ids.iter().filter_map(|id| id.parse().ok()).take(limits::NOTICE_TASKS) {
        let is_new = watched.iter().all(|known| known.id != id);
        if is_new && find(session, id, context).await?.is_some() {
            watched.push(Watched { id, told: Value::Null });
        }
    }
    let accepted: Vec<_> = watched.iter().map(|task| task.id).collect();
    let acknowledged = json!({"notifications": {"taskIds": accepted}});
    tell("notifications/subscriptions/acknowledged", acknowledged, context).await?;

    let mut changes = session.server.runtime.store().changes();
    while !watched.is_empty() {
        changes.mark_unchanged();
        let mut left = Vec::with_capacity(watched.len());
        for mut one in watched {
            // A task that is gone has been removed; nothing more comes of it.
            let Some(task) = find(session, one.id, context).await? else { continue };
            let now = json!(session.detailed(&task).await?);
            if now != one.told {
                tell("notifications/tasks", now.clone(), context).await?;
                one.told = now;
            }
            if !task.status.is_ended() {
                left.push(one);
            }
        }
        watched = left;
        if watched.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = session.stop.cancelled() => break,
            () = context.ct.cancelled() => break,
            changed = changes.changed() => if changed.is_err() {
                return Err(refusal(&Error::Closed));
            },
        }
        tokio::time::sleep(Duration::from_millis(limits::NOTICE_MS)).await;
    }
    Ok(tagged(json!({"resultType": "complete"}), &context.id))
}

/// One of the client's own tasks; `None` where it has none of this id.
async fn find(
    session: &Session,
    id: TaskId,
    context: &RequestContext<RoleServer>,
) -> Result<Option<Task>, ErrorData> {
    match session.find(id, context).await {
        Ok(task) => Ok(Some(task)),
        Err(error) if error.code == ErrorCode::INVALID_PARAMS => Ok(None),
        Err(error) => Err(error),
    }
}

async fn tell(
    method: &str,
    params: Value,
    context: &RequestContext<RoleServer>,
) -> Result<(), ErrorData> {
    let notice = CustomNotification::new(method, Some(tagged(params, &context.id)));
    let sent = context.peer.send_notification(ServerNotification::CustomNotification(notice));
    sent.await.map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// Says which request a message belongs to.
fn tagged(mut message: Value, subscription: &RequestId) -> Value {
    message["_meta"] = json!({SUBSCRIPTION_ID: subscription});
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_for_tasks_is_renamed() {
        let check = |method: &str, notifications: Value, renamed: bool| {
            let params = json!({"notifications": notifications});
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            let found = rename(message.to_string().as_bytes());
            assert_eq!(found.is_some(), renamed, "{message}");
            assert!(found.is_none_or(|found| found["method"] == RENAMED));
        };
        check(METHOD, json!({"taskIds": ["a"]}), true);
        check(METHOD, json!({"toolsListChanged": true}), false);
        check("tools/call", json!({"taskIds": [METHOD]}), false);
        assert!(rename(b"subscriptions/listen taskIds").is_none());
    }
}
