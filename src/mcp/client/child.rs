//! A tool server that is a program: started, spoken to over its stdin and stdout, stopped and
//! reaped, its last words kept for whoever has to be told why it failed.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{ErrorData, JsonRpcMessage};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::AsyncRead;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::seam;
use super::wire::Handed;
use crate::limits;
use crate::mcp::head;
use crate::mcp::lines::{Line, LineReader, LineWriter};

/// What a program said outside the protocol, and how it ended.
#[derive(Default)]
pub(super) struct LastWords {
    lines: Mutex<VecDeque<String>>,
    status: Mutex<Option<ExitStatus>>,
    /// Cancelled at the end of its stderr: nothing more will come.
    silent: CancellationToken,
}

impl LastWords {
    fn hear(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == limits::STDERR_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn ended(&self, status: ExitStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// For the end of a message: ` (exit status: 1)`, and the last lines below it.
    pub(super) async fn tell(&self) -> String {
        let _ =
            timeout(Duration::from_millis(limits::LAST_WORDS_MS), self.silent.cancelled()).await;
        let status = *self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = status.map(|status| format!(" ({status})")).unwrap_or_default();
        if !lines.is_empty() {
            told.push_str("; its last output:");
            for line in lines.iter() {
                told.push_str("\n  ");
                told.push_str(line);
            }
        }
        told
    }
}

/// A line of a program's output as it may be shown: bounded, with no control characters.
fn printable(line: &[u8]) -> String {
    let line = &line[..line.len().min(limits::STDERR_LINE_BYTES)];
    String::from_utf8_lossy(line).trim_end().replace(|c: char| c.is_control() && c != '\t', "?")
}

async fn listen(stderr: impl AsyncRead + Unpin, server: String, words: Arc<LastWords>) {
    let mut lines = LineReader::new(stderr, limits::STDERR_LINE_BYTES);
    while let Ok(Some(Line::Whole(line) | Line::TooLong(line))) = lines.next().await {
        let line = printable(&line);
        tracing::debug!(server, "{line}");
        words.hear(line);
    }
    words.silent.cancel();
}

/// The program as rmcp's transport. Dropping it kills the program and all that it started.
pub(super) struct ChildTransport {
    child: Child,
    read: LineReader<ChildStdout>,
    write: LineWriter<ChildStdin>,
    /// Cancelled when it takes no more input.
    deaf: CancellationToken,
    words: Arc<LastWords>,
}

impl ChildTransport {
    /// Starts the program.
    pub(super) fn spawn(server: &str, mut command: Command) -> io::Result<(Self, Arc<LastWords>)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        // Its own group: Ctrl-C in a terminal is for relight to handle, and what the program
        // started (`npx` starts a shell, which starts a server) is stopped with it.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("its standard streams could not be opened"));
        };
        let words = Arc::new(LastWords::default());
        tokio::spawn(listen(stderr, server.to_owned(), Arc::clone(&words)));
        let read = LineReader::new(stdout, limits::MESSAGE_MAX_BYTES);
        let write = LineWriter::new(stdin);
        let deaf = CancellationToken::new();
        Ok((Self { child, read, write, deaf, words: Arc::clone(&words) }, words))
    }

    /// Tells the program that a request of its was too long. A notification is merely left out.
    fn refuse(&self, head: &[u8]) {
        tracing::debug!(head = printable(head), "a tool server's message is too long");
        let Some(id) = head::id(head) else { return };
        let why = format!("a request has at most {} bytes", limits::MESSAGE_MAX_BYTES);
        let error = ErrorData::invalid_request(why, None);
        let refusal = TxJsonRpcMessage::<RoleClient>::error(error, Some(id));
        let write = self.write.clone();
        tokio::spawn(async move {
            if let Err(error) = write.write(refusal).await {
                tracing::debug!(%error, "a tool server takes no more input");
            }
        });
    }

    /// MCP's order for stdio: close its stdin, then `SIGTERM`, then `SIGKILL`.
    async fn stop(&mut self) -> io::Result<()> {
        self.write.close().await;
        let patience = Duration::from_millis(limits::SERVER_STOP_MS);
        let mut waited = timeout(patience, self.child.wait()).await;
        if waited.is_err() {
            signal(&self.child, Stop::Ask);
            waited = timeout(patience, self.child.wait()).await;
        }
        let status = match waited {
            Ok(status) => status?,
            Err(_) => {
                signal(&self.child, Stop::Kill);
                self.child.kill().await?;
                self.child.wait().await?
            }
        };
        self.words.ended(status);
        Ok(())
    }
}

impl Transport<RoleClient> for ChildTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (write, deaf) = (self.write.clone(), self.deaf.clone());
        async move {
            let handed = Handed::of(&message);
            if let Err(error) = write.write(message).await {
                // A pipe that does not take the whole line has no reader left. That is told as the
                // end of the connection, by `receive`: it knows more of the reasons.
                tracing::debug!(%error, "a tool server takes no more input");
                if let Some(handed) = handed {
                    handed.take_back();
                }
                deaf.cancel();
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let patience = Duration::from_millis(limits::LAST_WORDS_MS);
        loop {
            let line = tokio::select! {
                biased;
                line = self.read.next() => line,
                () = async { self.deaf.cancelled().await; sleep(patience).await } => Ok(None),
            };
            match line {
                Ok(Some(Line::Whole(line))) => match read(&line) {
                    Ok(message) => return Some(message),
                    Err(error) => {
                        tracing::debug!(%error, "a line on a tool server's stdout is no message");
                        self.words.hear(format!("(stdout) {}", printable(&line)));
                    }
                },
                Ok(Some(Line::TooLong(head))) if head::has_method(&head) => self.refuse(&head),
                Ok(Some(Line::TooLong(head))) => {
                    let refusal = format!(
                        "the answer is longer than {} bytes; ask the tool for less at once",
                        limits::MESSAGE_MAX_BYTES
                    );
                    self.words.hear(format!("(stdout) {}…: {refusal}", printable(&head)));
                    let id = head::id(&head)?;
                    return Some(JsonRpcMessage::error(
                        ErrorData::internal_error(refusal, None),
                        Some(id),
                    ));
                }
                Ok(None) | Err(_) => {
                    if let Ok(Ok(status)) = timeout(patience, self.child.wait()).await {
                        self.words.ended(status);
                    }
                    return None;
                }
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        self.stop()
    }
}

fn read(line: &[u8]) -> serde_json::Result<RxJsonRpcMessage<RoleClient>> {
    match std::str::from_utf8(line).ok().and_then(seam::keep) {
        Some(kept) => serde_json::from_value(kept),
        None => serde_json::from_slice(line),
    }
}

impl Drop for ChildTransport {
    fn drop(&mut self) {
        signal(&self.child, Stop::Kill);
    }
}

#[derive(Clone, Copy)]
enum Stop {
    Ask,
    Kill,
}

/// Signals the program's group; nothing happens once it was reaped.
#[cfg(unix)]
fn signal(child: &Child, stop: Stop) {
    use rustix::process::{Pid, Signal, kill_process_group};

    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = pid {
        let signal = match stop {
            Stop::Ask => Signal::TERM,
            Stop::Kill => Signal::KILL,
        };
        // The group may be gone by now, which is what was wanted.
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn signal(_child: &Child, _stop: Stop) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_shown_bounded_and_without_control_characters() {
        assert_eq!(printable(b"\x1b[31mred\x07\r"), "?[31mred?");
        assert_eq!(printable(&[b'x'; 10_000]).len(), limits::STDERR_LINE_BYTES);
    }
}
