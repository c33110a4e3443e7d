//! Newline-delimited JSON over a pair of byte streams: the framing of MCP's stdio transport, for
//! both ends of it.
//!
//! rmcp's own framing drops what it cannot read without a word: a client that sends a broken line
//! gets no answer, and an answer over the bound leaves its caller waiting. Here the transports see
//! every line, and decide. This file knows bytes and lines, and nothing of what they say.

use std::io;
use std::sync::Arc;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::Mutex;

/// How much of an over-long line is kept: enough to see which request it answers.
const HEAD_BYTES: usize = 256;

/// One line, without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// All of it; never empty.
    Whole(Vec<u8>),
    /// It had more bytes than the bound. This is its beginning; the rest was skipped.
    TooLong(Vec<u8>),
}

/// Reads lines of bounded length. Reading may be dropped at any await and taken up again.
pub(super) struct LineReader<R> {
    read: BufReader<R>,
    line: Vec<u8>,
    max_bytes: usize,
    /// Set once the line has outgrown the bound, until its newline.
    skipping: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(super) fn new(read: R, max_bytes: usize) -> Self {
        Self { read: BufReader::new(read), line: Vec::new(), max_bytes, skipping: false }
    }

    /// The next line that is not empty; `None` at the end of the stream. What follows the last
    /// newline is no line: its writer died in the middle of it.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let available = self.read.fill_buf().await?;
            if available.is_empty() {
                return Ok(None);
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..newline.unwrap_or(available.len())];
            if !self.skipping {
                self.line.extend_from_slice(part);
                if self.line.len() > self.max_bytes {
                    self.line.truncate(HEAD_BYTES);
                    self.line.shrink_to_fit();
                    self.skipping = true;
                }
            }
            let used = part.len() + usize::from(newline.is_some());
            self.read.consume(used);
            if newline.is_none() {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            if std::mem::take(&mut self.skipping) {
                return Ok(Some(Line::TooLong(line)));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(Line::Whole(line)));
            }
        }
    }
}

/// Writes values as lines, one at a time. Clones share the stream.
pub(super) struct LineWriter<W>(Arc<Mutex<Option<W>>>);

impl<W> Clone for LineWriter<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: AsyncWrite + Unpin> LineWriter<W> {
    pub(super) fn new(write: W) -> Self {
        Self(Arc::new(Mutex::new(Some(write))))
    }

    /// Writes one value and flushes. An error means that the line has not arrived whole.
    pub(super) async fn write<T: Serialize>(&self, value: T) -> io::Result<()> {
        let mut line = serde_json::to_vec(&value)?;
        line.push(b'\n');
        let mut stream = self.0.lock().await;
        let Some(stream) = stream.as_mut() else {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the stream is closed"));
        };
        stream.write_all(&line).await?;
        stream.flush().await
    }

    /// Closes the stream; the other side reads its end.
    pub(super) async fn close(&self) {
        drop(self.0.lock().await.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8], max_bytes: usize) -> Vec<Line> {
        let mut reader = LineReader::new(input, max_bytes);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn empty_lines_and_an_unfinished_last_line_are_no_lines() {
        let read = lines(b"one\n\n \r\ntwo\r\nthr", 10).await;
        assert_eq!(read, [Line::Whole(b"one".into()), Line::Whole(b"two\r".into())]);
    }

    #[tokio::test]
    async fn an_over_long_line_is_skipped_to_its_newline() {
        let read = lines(b"12345\n123456789\n123\n", 5).await;
        assert_eq!(
            read,
            [
                Line::Whole(b"12345".into()),
                Line::TooLong(b"123456789".into()),
                Line::Whole(b"123".into())
            ]
        );
    }

    #[tokio::test]
    async fn a_line_over_many_reads_keeps_only_its_head() {
        let (mut write, read) = tokio::io::duplex(16);
        let writing = tokio::spawn(async move {
            write.write_all(&[b'x'; 1000]).await.unwrap();
            write.write_all(b"\nafter\n").await.unwrap();
        });
        let mut reader = LineReader::new(read, 500);
        let Some(Line::TooLong(head)) = reader.next().await.unwrap() else { panic!("not refused") };
        assert!(head.len() <= 500 && head.iter().all(|byte| *byte == b'x'));
        assert_eq!(reader.next().await.unwrap(), Some(Line::Whole(b"after".into())));
        writing.await.unwrap();
    }
}
