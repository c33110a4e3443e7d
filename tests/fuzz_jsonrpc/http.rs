//! Requests to `/mcp` over a socket, and bytes that are no HTTP.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::sample::select;
use relight::mcp::server::{HttpOptions, HttpServer};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::message::{Sent, sent};
use crate::oracle::{Owed, is_request};
use crate::web::Web;
use crate::{PATIENCE, Target, check, tokio};

const CASES: u32 = 256;

/// What a request's head says beside the message.
#[derive(Debug, Clone, Copy)]
enum Head {
    Bare,
    /// Repeats the message's method and name, as protocol 2026-07-28 asks.
    Modern,
    /// Says another method.
    Mismatched,
    Session,
    UnknownSession,
    /// Not over HTTP at all.
    Socket,
}

pub(crate) fn fuzz() {
    let directory = tempfile::tempdir().unwrap();
    let tokio = tokio();
    let target = tokio.block_on(Target::open(directory.path()));
    let (stop, serving, address) = tokio.block_on(async {
        let here = "127.0.0.1:0".parse().unwrap();
        let options = HttpOptions::default();
        let http = HttpServer::bind(&target.host.server, here, options).await.unwrap();
        let (address, stop) = (http.address(), CancellationToken::new());
        (stop.clone(), tokio::spawn(http.serve(stop)), address)
    });
    let web = Web::new(format!("http://{address}"));
    let head = select(vec![
        Head::Bare,
        Head::Modern,
        Head::Modern,
        Head::Mismatched,
        Head::Session,
        Head::Session,
        Head::UnknownSession,
        Head::Socket,
    ]);
    let case = vec((head, sent(&target.ended.to_string())), 1..8);
    check(CASES, &case, |requests| {
        tokio.block_on(async {
            let mut older = web.clone();
            older.initialize().await;
            for (head, sent) in requests {
                send(&web, &older, address, head, &sent).await?;
            }
            let tools = web.ask("tools/list", json!({})).await["result"]["tools"].clone();
            if tools.as_array().map(Vec::len) == Some(3) {
                Ok(())
            } else {
                Err(format!("tools/list: {tools}"))
            }
        })
    });
    tokio.block_on(async {
        target.all_tasks_end().await;
        stop.cancel();
        timeout(PATIENCE, serving).await.expect("the server goes on").unwrap();
    });
}

async fn send(
    web: &Web,
    older: &Web,
    address: SocketAddr,
    head: Head,
    sent: &Sent,
) -> Result<(), String> {
    let bytes = sent.bytes();
    let request = match head {
        Head::Bare => web.post(bytes.clone()),
        Head::Modern => modern(web.post(bytes.clone()), sent),
        Head::Mismatched => web
            .post(bytes.clone())
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tasks/nothing"),
        Head::Session => older.post(bytes.clone()).header("mcp-protocol-version", "2025-11-25"),
        Head::UnknownSession => web.post(bytes.clone()).header("mcp-session-id", "nobody's"),
        Head::Socket => return spill(address, &bytes).await,
    };
    let response = timeout(PATIENCE, async {
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((status, text))
    });
    let response = response.await.map_err(|_| format!("no response, {head:?}: {sent:?}"))?;
    let (status, text) = response?;
    if status.is_server_error() {
        return Err(format!("{status}, {head:?}: {text}"));
    }
    // A refusal by the transport may be in words. What got past it is JSON-RPC.
    let Sent::Json(message, _) = sent else { return Ok(()) };
    if !status.is_success() || !is_request(message) {
        return Ok(());
    }
    let mut owed = Owed::of(message.to_string().as_bytes());
    for message in messages(&text) {
        owed.received(&message)?;
    }
    match owed.unanswered().as_slice() {
        [] => Ok(()),
        ids => Err(format!("{status}, {head:?}, not answered: {ids:?}: {text}")),
    }
}

/// The head that belongs to a message.
fn modern(request: RequestBuilder, sent: &Sent) -> RequestBuilder {
    let request = request.header("mcp-protocol-version", "2026-07-28");
    let Sent::Json(message, _) = sent else { return request };
    let params = &message["params"];
    let name = ["name", "taskId"].iter().find_map(|key| params[*key].as_str());
    let fits = |text: &&str| text.len() < 100 && text.chars().all(|c| c.is_ascii_graphic());
    let request = match message["method"].as_str().filter(fits) {
        Some(method) => request.header("mcp-method", method),
        None => request,
    };
    match name.filter(fits) {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}

/// The messages of a body: one as JSON, or a stream of events.
fn messages(text: &str) -> Vec<Value> {
    if let Ok(message) = serde_json::from_str(text) {
        return vec![message];
    }
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// Writes bytes to a connection of their own, hangs up, and sees that the server does too.
async fn spill(address: SocketAddr, bytes: &[u8]) -> Result<(), String> {
    let spilled = timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await
    });
    match spilled.await {
        Err(_) => Err("the server does not hang up".to_owned()),
        // A reset is a way to hang up.
        Ok(_) => Ok(()),
    }
}
