//! The agent loop on a model that works in the background, with an output that is read on and a
//! conversation that is summed up.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use relight::agent::{
    Called, Invocation, Message, Model, Models, OpenModel, Outcome, Reply, Request, Servers, Tool,
    ToolCall, Toolbox,
};
use relight::durable::{Builder, StartTask};
use relight::journal::{Effect, Failure, Payload, TaskId};
use serde_json::{Value, json};

use crate::parts::{agents, answered, task, tool};
use crate::scratch::Scratch;
use crate::sweep::{Program, effects, sweep};
use crate::world::{Hand, World};

const AGENT: &str = "---
name: reader
description: Reads something long.
model: worker
contextTokens: 2000
mcpServers:
  shelf:
    command: never-started
in_doubt: tell
---
Read it.
";

/// What the book says: more than the model is shown at once, and less than twice that.
fn book() -> String {
    (0..1_200).map(|n| format!("{n:04} ")).collect()
}

/// A toolbox with a book to read, and a card to charge.
struct Shelf(Hand);

#[async_trait]
impl Toolbox for Shelf {
    async fn list(&self, servers: &Servers) -> Result<Vec<Tool>, Failure> {
        let server = servers.keys().next().unwrap();
        let tools = [("open", Effect::Pure), ("charge", Effect::Once)];
        Ok(tools.map(|(name, effect)| tool(server, name, effect)).into())
    }

    async fn call(&self, call: Invocation<'_>) -> Result<Called, Failure> {
        self.0.effect(call.idempotency_key).await;
        answered(if call.tool == "open" { book() } else { "charged".to_owned() })
    }
}

/// The model server. It outlives every process, and works on whether anybody listens or not.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<HashMap<String, Reply>>>);

/// The way of one process to the server. Each creation of a response is an effect.
#[derive(Clone)]
struct Worker(Server, Hand);

impl Models for Worker {
    fn open(&self, model: &str) -> Result<OpenModel, Failure> {
        Ok(OpenModel { provider: Arc::new(self.clone()), name: model.to_owned() })
    }
}

#[async_trait]
impl Model for Worker {
    async fn call(&self, request: &Request) -> Result<Outcome, Failure> {
        let id = request.idempotency_key.clone();
        self.0.0.lock().unwrap().insert(id.clone(), reply(request));
        self.1.effect(&request.idempotency_key).await;
        Ok(Outcome::Pending { pending: id })
    }

    async fn fetch(&self, _model: &str, id: &str) -> Result<Outcome, Failure> {
        self.1.look("fetch").await;
        let reply = self.0.0.lock().unwrap().get(id).cloned();
        Ok(reply.unwrap().into())
    }
}

fn reply(request: &Request) -> Reply {
    let said = |text: &str| Reply { text: Some(text.to_owned()), ..Reply::default() };
    let call = |name: &str, arguments: Value| {
        let (id, name) = (name.to_owned(), name.to_owned());
        let call = ToolCall { id, name, arguments: arguments.to_string() };
        Reply { calls: vec![call], ..Reply::default() }
    };
    if request.system.starts_with("You sum up") {
        return said("what was read");
    }
    let replies: usize = request
        .messages
        .iter()
        .map(|message| match message {
            Message::Assistant(_) => 1,
            Message::Summary { replies, .. } => *replies,
            Message::User { .. } | Message::Tool { .. } => 0,
        })
        .sum();
    let heard = match request.messages.last() {
        Some(Message::Tool { text, .. }) => text.as_str(),
        _ => "",
    };
    match replies {
        0 => call("open", json!({})),
        1 => {
            let shown = heard.rsplit_once("\n[cut: ").map_or(0, |(shown, _)| shown.len());
            call("read_more", json!({"output": "output-1", "offset": shown}))
        }
        2 if heard.contains("the end of output-1") => {
            call("charge", json!({"for": "x".repeat(900)}))
        }
        3 => match request.messages.get(1) {
            Some(Message::Summary { text, .. }) => said(text),
            other => said(&format!("no summary, but {other:?}")),
        },
        _ => said(&format!("not what was to be heard: {heard}")),
    }
}

/// With one server for all trials: the same request has the same reply in each.
#[derive(Default)]
struct Reader(Server);

impl Program for Reader {
    fn register(&self, builder: Builder, hand: Hand, _scratch: &Scratch) -> Builder {
        agents(builder, Worker(self.0.clone(), hand.clone()), Shelf(hand))
    }

    fn start(&self) -> StartTask {
        task(&[AGENT], "a book")
    }

    fn judge(&self, answer: &Payload, _: TaskId, _: &HashSet<String>, _: &World) {
        let answer: String = answer.read().unwrap();
        assert!(answer.ends_with("summed up:]\n\nwhat was read"), "{answer}");
    }
}

#[test]
fn a_long_run_in_the_background_survives_a_crash_at_every_site() {
    // Four turns and a summary, and two tool calls.
    assert_eq!(effects(&sweep(&Reader::default())), 7);
}
