//! What is sent: messages bent out of shape, and bytes that are none.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::wire::{tasks_declared, with_meta};

/// One thing that a client sends.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    /// JSON, and the line end after it.
    Json(Value, &'static str),
    /// Anything. A newline ends it only where it has one.
    Bytes(Vec<u8>),
}

impl Sent {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Json(value, end) => format!("{value}{end}").into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// Something to send; `task` is an id that messages may name.
pub(crate) fn sent(task: &str) -> impl Strategy<Value = Sent> + use<> {
    let end = select(vec!["\n", "\n", "\n", "\r\n", "\n\n", " \r\n\r\n"]);
    prop_oneof![
        8 => (message(task), end).prop_map(|(message, end)| Sent::Json(message, end)),
        1 => garbage().prop_map(Sent::Bytes),
    ]
}

/// One message, or several in an array.
fn message(task: &str) -> impl Strategy<Value = Value> + use<> {
    prop_oneof![
        12 => one(task),
        1 => vec(one(task), 0..4).prop_map(Value::Array),
        1 => junk(),
    ]
}

fn one(task: &str) -> impl Strategy<Value = Value> + use<> {
    let place = (any::<Index>(), option::weighted(0.8, junk()));
    let bends = prop_oneof![3 => Just(Vec::new()), 2 => vec(place, 1..4)];
    let kind = prop_oneof![8 => Just(Kind::Request), 1 => Just(Kind::Notification), 1 => Just(Kind::Response)];
    (select(calls(task)), id(), select(Dialect::ALL.to_vec()), kind, bends).prop_map(
        |((method, params), id, dialect, kind, bends)| {
            let params = dialect.dress(params);
            let mut message = match kind {
                Kind::Request => json!({"jsonrpc": "2.0", "method": method, "params": params}),
                Kind::Notification => {
                    return json!({"jsonrpc": "2.0", "method": method, "params": params});
                }
                Kind::Response => json!({"jsonrpc": "2.0", "result": params}),
            };
            if let Some(id) = id {
                message["id"] = id;
            }
            for (at, with) in bends {
                bend(&mut message, at, with);
            }
            message
        },
    )
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Request,
    Notification,
    Response,
}

/// How a request says which protocol it is of.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    Bare,
    Modern,
    ModernWithTasks,
    Experimental,
    Future,
}

impl Dialect {
    const ALL: [Self; 5] =
        [Self::Bare, Self::Modern, Self::ModernWithTasks, Self::Experimental, Self::Future];

    fn dress(self, mut params: Value) -> Value {
        match self {
            Self::Bare => params,
            Self::Modern => with_meta(params, json!({})),
            Self::ModernWithTasks => with_meta(params, tasks_declared()),
            Self::Experimental => {
                params["task"] = json!({"ttl": 60_000});
                params
            }
            Self::Future => {
                let mut params = with_meta(params, tasks_declared());
                params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2031-01-01");
                params
            }
        }
    }
}

fn calls(task: &str) -> Vec<(&'static str, Value)> {
    let client = json!({"name": "fuzz", "version": "0"});
    let initialize = |version: &str| {
        let params = json!({"protocolVersion": version, "capabilities": {"tasks": {}}, "clientInfo": client});
        ("initialize", params)
    };
    let call = |name: &str, arguments: Value| {
        let params = json!({"name": name, "arguments": arguments, "_meta": {"progressToken": 1}});
        ("tools/call", params)
    };
    let of_task = json!({"taskId": task});
    let keyed = json!({
        "name": "greet",
        "arguments": {"name": "Bob"},
        "_meta": {"relight/idempotencyKey": "once"},
    });
    vec![
        initialize("2025-11-25"),
        initialize("2024-11-05"),
        initialize("2026-07-28"),
        ("notifications/initialized", json!({})),
        ("notifications/cancelled", json!({"requestId": 1, "reason": "enough"})),
        ("notifications/progress", json!({"progressToken": 1, "progress": 1e300})),
        ("ping", json!({})),
        ("server/discover", json!({})),
        ("tools/list", json!({"cursor": "nowhere"})),
        ("tools/list", json!({})),
        call("greet", json!({"name": "Ann"})),
        call("break", json!({})),
        call("nobody", json!({})),
        call("task_list", json!({})),
        call("task_status", json!({"task": task, "task_id": task})),
        call("task_cancel", json!({"task": task, "task_id": task})),
        ("tools/call", keyed),
        ("tasks/get", of_task.clone()),
        ("tasks/get", json!({"taskId": "../journal.db"})),
        ("tasks/result", of_task.clone()),
        ("tasks/list", json!({"cursor": task})),
        ("tasks/cancel", of_task.clone()),
        ("tasks/update", json!({"taskId": task, "inputResponses": {"a": {"action": "accept"}}})),
        ("prompts/list", json!({})),
        ("resources/read", json!({"uri": "file:///etc/passwd"})),
        ("completion/complete", json!({})),
        ("logging/setLevel", json!({"level": "debug"})),
        ("subscriptions/listen", json!({"taskIds": [task]})),
        ("sampling/createMessage", json!({})),
        ("relight/2025-11-25/tasks/get", of_task.clone()),
        ("relight/2025-11-25/relight/2025-11-25/tasks/get", of_task),
        ("rpc.discover", json!({})),
        ("", json!({})),
    ]
}

/// Few enough that some are used twice; some that are none.
fn id() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        8 => (0..40i64).prop_map(|id| Some(json!(id))),
        2 => select(vec![json!("a"), json!(""), json!("\u{0}\u{1f980}"), json!(i64::MAX), json!(-1)]).prop_map(Some),
        1 => junk().prop_map(Some),
        1 => Just(None),
    ]
}

fn junk() -> impl Strategy<Value = Value> {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let deep = (0..300usize).fold(json!({}), |inner, _| json!({"a": inner}));
    select(vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(0.5),
        json!(""),
        json!("2.0"),
        json!("\u{0}\u{feff}\u{202e}"),
        json!("x".repeat(5_000)),
        json!([]),
        json!([null, {"id": 1}]),
        json!({}),
        json!({"": {"": ""}}),
        nested(20),
        nested(110),
        deep,
    ])
}

/// Puts something else at one place in a message, or takes the place away.
fn bend(message: &mut Value, at: Index, with: Option<Value>) {
    let mut places = Vec::new();
    collect(message, &mut String::new(), &mut places);
    if places.is_empty() {
        return;
    }
    let place = at.get(&places);
    match with {
        Some(with) => {
            if let Some(found) = message.pointer_mut(place) {
                *found = with;
            }
        }
        None => {
            let (parent, key) = place.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            if let Some(Value::Object(parent)) = message.pointer_mut(parent) {
                parent.remove(&key);
            }
        }
    }
}

fn collect(value: &Value, path: &mut String, places: &mut Vec<String>) {
    let Value::Object(members) = value else { return };
    for (key, member) in members {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        places.push(path.clone());
        // Bent deep enough for any purpose.
        if length < 200 {
            collect(member, path, places);
        }
        path.truncate(length);
    }
}

/// Invalid UTF-8, halves of messages, and what looks like other protocols.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"\n",
        b"\r\n",
        b"\0\n",
        b"\xff\xfe\xfd\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/",
        b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\xff\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":7,\"id\":8,\"method\":\"ping\"}\n",
        b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}\n",
        b"Content-Length: 20\r\n\r\n",
        b"[[[[[[[[[[\n",
        b"{\"a\":\"\\ud800\"}\n",
        b"nul\n1e999\n-\n\"",
    ];
    prop_oneof![
        2 => select(known).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..200),
    ]
}
