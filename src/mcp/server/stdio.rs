//! Lines of JSON from one client, and to it.
//!
//! Whatever a client sends, the server stays up: a line that is no message is answered as JSON-RPC
//! says where it has an answer, and what comes out of turn before the handshake is dropped (rmcp
//! would end the connection).

use std::future::Future;
use std::io;

use rmcp::RoleServer;
use rmcp::model::{
    ClientRequest, ErrorData, GetMeta, JsonRpcMessage, ProtocolVersion, ServerResult,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::experimental::wire;
use super::listen;
use super::malformed::{self, Complaint};
use crate::limits;
use crate::mcp::head;
use crate::mcp::lines::{Line, LineReader, LineWriter};

pub(super) struct Stdio<R, W> {
    read: LineReader<R>,
    write: LineWriter<W>,
    calls: Calls,
    /// The answer to a line that was no message, on its way. It goes on if rmcp stops reading for
    /// something else meanwhile, which drops the reader wherever it waits.
    complaining: Option<JoinHandle<io::Result<()>>>,
    /// Whether rmcp has left its handshake.
    shaken_hands: bool,
    /// Whether the session speaks the experimental Tasks.
    experimental: bool,
    gone: CancellationToken,
}

impl<R, W> Stdio<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    /// `gone` is cancelled when the client has gone.
    pub(super) fn new(read: R, write: W, gone: CancellationToken) -> Self {
        let read = LineReader::new(read, limits::MESSAGE_MAX_BYTES);
        let (write, calls) = (LineWriter::new(write), Calls::default());
        let (shaken_hands, experimental) = (false, false);
        Self { read, write, calls, complaining: None, shaken_hands, experimental, gone }
    }

    /// Reads a message as rmcp is to see it.
    fn parse(&self, line: &[u8]) -> serde_json::Result<RxJsonRpcMessage<RoleServer>> {
        let message = if let Some(message) = listen::rename(line) {
            serde_json::from_value(message)?
        } else if self.shaken_hands && !self.experimental {
            serde_json::from_slice(line)?
        } else {
            let mut message: Value = serde_json::from_slice(line)?;
            wire::rename(&mut message);
            serde_json::from_value(message)?
        };
        Ok(message)
    }

    /// The response to an `initialize` as the client is to see it; `None` for any other message.
    fn initialized(&mut self, message: &TxJsonRpcMessage<RoleServer>) -> Option<Value> {
        let JsonRpcMessage::Response(response) = message else { return None };
        let ServerResult::InitializeResult(_) = response.result else { return None };
        let mut message = serde_json::to_value(message).ok()?;
        self.experimental = wire::patch_initialize(&mut message);
        Some(message)
    }

    /// The next message; `None` once the client has gone. May be dropped at any await and taken up
    /// again.
    async fn next(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(complaining) = &mut self.complaining {
                let told = complaining.await;
                self.complaining = None;
                if !matches!(told, Ok(Ok(()))) {
                    tracing::debug!(?told, "the client does not listen");
                    return None;
                }
            }
            let complaint: TxJsonRpcMessage<RoleServer> = match self.read.next().await {
                Ok(Some(Line::Whole(line))) => match self.parse(&line) {
                    Ok(message) if !malformed::is_misread(&message, &line) => {
                        match self.pass(message) {
                            Some(message) => return Some(message),
                            None => continue,
                        }
                    }
                    _ => match malformed::complaint(&line, "a line of stdin") {
                        Complaint { is_unasked: true, .. } => continue,
                        Complaint { error, .. } => JsonRpcMessage::Error(error),
                    },
                },
                Ok(Some(Line::TooLong(head))) => {
                    let max_bytes = limits::MESSAGE_MAX_BYTES;
                    let why = format!("a message has at most {max_bytes} bytes; send less at once");
                    let error = ErrorData::invalid_request(why, None);
                    // An answer has the id of a request of ours, which is none of the client's.
                    let id = head::id(&head).filter(|_| head::has_method(&head));
                    JsonRpcMessage::error(error, id)
                }
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(%error, "stdin cannot be read any more");
                    return None;
                }
            };
            let write = self.write.clone();
            self.complaining = Some(tokio::spawn(async move { write.write(complaint).await }));
        }
    }

    /// Takes note of what a message means for this connection. `None` for one that rmcp must not
    /// see.
    fn pass(
        &mut self,
        mut message: RxJsonRpcMessage<RoleServer>,
    ) -> Option<RxJsonRpcMessage<RoleServer>> {
        match &message {
            JsonRpcMessage::Request(request) => {
                self.shaken_hands |= ends_handshake(&request.request);
            }
            _ if !self.shaken_hands => return None,
            _ => {}
        }
        self.calls.received(&mut message);
        Some(message)
    }
}

impl<R, W> Transport<RoleServer> for Stdio<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.calls.sent(&message);
        let write = self.write.clone();
        let initialized = self.initialized(&message);
        async move {
            match initialized {
                Some(message) => write.write(message).await,
                None => write.write(message).await,
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let message = self.next().await;
        if message.is_none() {
            self.gone.cancel();
        }
        message
    }

    async fn close(&mut self) -> io::Result<()> {
        self.write.close().await;
        Ok(())
    }
}

/// Whether rmcp takes this request as the end of the handshake: `initialize`, or the first request
/// that says by itself which protocol it speaks.
fn ends_handshake(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        request => {
            let meta = request.get_meta();
            let known = |version| ProtocolVersion::KNOWN_VERSIONS.contains(&version);
            meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty()
                && meta.protocol_version().is_some_and(known)
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn a_complaint_arrives_whole_though_its_reader_was_dropped() {
        // With less room than a complaint takes.
        let (client, server) = tokio::io::duplex(16);
        let (answers, mut lines) = tokio::io::split(client);
        let (read, write) = tokio::io::split(server);
        let mut stdio = Stdio::new(read, write, CancellationToken::new());
        lines.write_all(b"hello\n").await.unwrap();
        assert!(poll!(Box::pin(stdio.next())).is_pending());

        let mut answers = BufReader::new(answers).lines();
        let read_on = async {
            lines.shutdown().await.unwrap();
            assert!(stdio.next().await.is_none());
        };
        let (answer, ()) = tokio::join!(answers.next_line(), read_on);
        let answer: Value = serde_json::from_str(&answer.unwrap().unwrap()).unwrap();
        assert_eq!(answer["error"]["code"], -32700, "{answer}");
    }
}
