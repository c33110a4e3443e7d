//! Lines over a pair of streams.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::message::sent;
use crate::oracle::Owed;
use crate::{PATIENCE, Target, check, tokio};

const CASES: u32 = 512;

pub(crate) fn fuzz() {
    let directory = tempfile::tempdir().unwrap();
    let tokio = tokio();
    let target = tokio.block_on(Target::open(directory.path()));
    let handshake = prop::bool::weighted(0.6);
    let case = (handshake, vec(sent(&target.ended.to_string()), 1..12), 1usize..2_000);
    check(CASES, &case, |(handshake, sent, part)| {
        let mut bytes = Vec::new();
        if handshake {
            bytes.extend_from_slice(&initialize());
        }
        bytes.extend(sent.iter().flat_map(crate::message::Sent::bytes));
        tokio.block_on(async {
            converse(&target, bytes, part).await?;
            lists_its_tools(&target).await
        })
    });
    tokio.block_on(target.all_tasks_end());
}

fn initialize() -> Vec<u8> {
    let client = json!({"name": "fuzz", "version": "0"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let request =
        json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": params});
    let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    format!("{request}\n{done}\n").into_bytes()
}

/// Sends bytes in parts on a connection of their own, waits for what is owed, hangs up, and sees
/// that the server lets go.
async fn converse(target: &Target, mut bytes: Vec<u8>, part: usize) -> Result<(), String> {
    // Ends what has no end, so that all is owed for.
    bytes.push(b'\n');
    let mut owed = Owed::of(&bytes);
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (read, write) = tokio::io::split(theirs);
    let server = target.host.server.clone();
    let serving =
        tokio::spawn(async move { server.serve(read, write, CancellationToken::new()).await });
    let (read, mut write) = tokio::io::split(ours);
    let sending = tokio::spawn(async move {
        for part in bytes.chunks(part) {
            // The server may have hung up.
            if write.write_all(part).await.is_err() || write.flush().await.is_err() {
                break;
            }
        }
        write
    });
    let mut lines = BufReader::new(read).lines();
    let mut closed = false;
    while !closed && !owed.unanswered().is_empty() {
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.map_err(|_| format!("not answered: {:?}", owed.unanswered()))?;
        match line.map_err(|error| error.to_string())? {
            Some(line) => owed.received(&parsed(&line)?)?,
            None => closed = true,
        }
    }
    // Reads on, so that the server never waits for room, until it hangs up.
    let hung_up = async {
        let mut write = sending.await.map_err(|error| error.to_string())?;
        // Fails where the server has hung up already.
        let _ = write.shutdown().await;
        Ok::<_, String>(())
    };
    let rest = async {
        while let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? {
            owed.received(&parsed(&line)?)?;
        }
        Ok::<_, String>(())
    };
    let ended = timeout(PATIENCE, async { tokio::try_join!(hung_up, rest) }).await;
    ended.map_err(|_| "the server does not hang up".to_owned())??;
    let served = timeout(PATIENCE, serving).await.map_err(|_| "the server goes on".to_owned())?;
    // A handshake that failed is the server's to report.
    served.map(drop).map_err(|error| error.to_string())
}

fn parsed(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| format!("the server wrote {line:?}: {error}"))
}

async fn lists_its_tools(target: &Target) -> Result<(), String> {
    let mut client = target.host.connect();
    let answer = timeout(PATIENCE, client.modern("tools/list", json!({}))).await;
    client.leave().await;
    let answer = answer.map_err(|_| "tools/list is not answered".to_owned())?;
    let tools = answer["result"]["tools"].as_array().map(Vec::len);
    if tools == Some(3) { Ok(()) } else { Err(format!("tools/list: {answer}")) }
}
