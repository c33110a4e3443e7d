//! How soon a cancelled task has ended.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Error;
use crate::report::Row;
use crate::served::Served;
use crate::stats::median;

const ROUNDS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);

const AGENT: &str = "---
name: talker
description: Talks without end.
model: talker
tools: []
---
Talk.
";

/// Cancels tasks in the middle of a model's reply: from sending `tasks/cancel` until `tasks/get` says
/// `cancelled`, over stdio.
pub(crate) fn cancel(dir: &Path) -> Result<Vec<Row>, Error> {
    const BAR_MS: f64 = 50.0;
    let agents = dir.join("prompts");
    fs::create_dir(&agents)?;
    fs::write(agents.join("talker.md"), AGENT)?;
    let model = Model::start()?;
    let base_url = format!("http://{}/v1", model.address);
    let variables = [("OPENAI_BASE_URL", base_url.as_str()), ("OPENAI_API_KEY", "none")];
    let mut server = Served::start(&dir.join("journal.db"), &agents, &variables)?;
    let (mut ended_ms, mut left_ms) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let task = server.call("talker")?;
        model.talks.recv_timeout(PATIENCE).map_err(|_| "the model is not asked")?;
        let begun = Instant::now();
        server.request("tasks/cancel", json!({"taskId": task}))?;
        while server.status(&task)? != "cancelled" {
            if begun.elapsed() > PATIENCE {
                return Err("the task does not end".into());
            }
        }
        ended_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        let left = model.left.recv_timeout(PATIENCE);
        let left = left.map_err(|_| "the model's reply is still being read")?;
        left_ms.push(left.saturating_duration_since(begun).as_secs_f64() * 1e3);
    }
    let ended_ms = median(&ended_ms);
    Ok(vec![Row {
        measure: "cancel of a task whose model is streaming, to its end".to_owned(),
        result: format!("{ended_ms:.1} ms; the request is gone after {:.1} ms", median(&left_ms)),
        floor: String::new(),
        ratio: String::new(),
        bar: format!("at most {BAR_MS} ms"),
        met: Some(ended_ms <= BAR_MS),
    }])
}

/// A model server that streams a word every few milliseconds until its client goes away.
struct Model {
    address: std::net::SocketAddr,
    /// A word whenever a reply has begun.
    talks: mpsc::Receiver<()>,
    /// When a client was seen to have gone away.
    left: mpsc::Receiver<Instant>,
}

impl Model {
    fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (talk, talks) = mpsc::channel();
        let (leave, left) = mpsc::channel();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (talk, leave) = (talk.clone(), leave.clone());
                // A reply ends with an error: its client has gone away.
                thread::spawn(move || {
                    let _ = reply(connection, &talk);
                    leave.send(Instant::now())
                });
            }
        });
        Ok(Self { address, talks, left })
    }
}

fn reply(connection: TcpStream, talk: &mpsc::Sender<()>) -> Result<(), Error> {
    const EVERY: Duration = Duration::from_millis(5);
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut request = BufReader::new(connection.try_clone()?);
    let (mut line, mut body_bytes) = (String::new(), 0);
    while request.read_line(&mut line)? > 2 {
        if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            body_bytes = length.trim().parse()?;
        }
        line.clear();
    }
    request.read_exact(&mut vec![0; body_bytes])?;
    let mut reply = connection;
    reply.set_nodelay(true)?;
    reply.write_all(HEAD.as_bytes())?;
    for n in 0_u64.. {
        let delta = json!({"content": format!("word {n} ")});
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        let event = json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "talker", "choices": [choice]});
        let event = format!("data: {event}\n\n");
        reply.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
        if n == 2 {
            talk.send(())?;
        }
        thread::sleep(EVERY);
    }
    Ok(())
}
