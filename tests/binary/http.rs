//! `relight serve --transport http` as a process, with a client of it.

use relight::durable::Entropy;
use relight::mcp::server::Token;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::home::{Home, PATIENCE, signal};
use crate::web::Web;

/// A running server. It dies with this.
pub(crate) struct Running {
    server: Child,
    /// Each line that the operator reads, as it comes.
    said: UnboundedReceiver<String>,
    /// The lines that were taken from there.
    log: String,
    pub(crate) web: Web,
}

impl Running {
    /// Starts it on a free port with these flags, and waits until it listens.
    pub(crate) async fn start(home: &Home, flags: &[&str]) -> Self {
        let http = ["serve", "--transport", "http", "--listen", "127.0.0.1:0"];
        let mut server = home.command(&[&http, flags].concat()).spawn().unwrap();
        let mut stderr = BufReader::new(server.stderr.take().unwrap()).lines();
        let (lines, said) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut running = Self { server, said, log: String::new(), web: Web::new(String::new()) };
        let origin = loop {
            let line = running.says().await;
            if let Some(url) = line.strip_prefix("serving MCP at ") {
                break url.strip_suffix("/mcp").unwrap().to_owned();
            }
        };
        running.web = Web::new(origin);
        running
    }

    /// The next line that the operator reads.
    pub(crate) async fn says(&mut self) -> String {
        let line = timeout(PATIENCE, self.said.recv()).await.expect("it says nothing");
        let line = line.unwrap_or_else(|| panic!("it has ended:\n{}", self.log));
        self.log += &format!("{line}\n");
        line
    }

    /// What requests with these tokens come to.
    pub(crate) async fn knock<const N: usize>(&self, tokens: [&str; N]) -> [u16; N] {
        let mut found = [0; N];
        for (found, token) in found.iter_mut().zip(tokens) {
            let mut web = self.web.clone();
            web.token = Some(token.to_owned());
            let response = web.modern("tools/list", json!({}), json!({})).send().await.unwrap();
            *found = response.status().as_u16();
        }
        found
    }

    /// Asks it to stop by a signal; whether it ended well.
    pub(crate) async fn stop(mut self) -> bool {
        signal(&self.server, Signal::TERM);
        let ended = timeout(PATIENCE, self.server.wait()).await;
        ended.expect("it does not stop").unwrap().success()
    }

    /// Kills it; all that it has said.
    pub(crate) async fn kill(mut self) -> String {
        self.server.kill().await.unwrap();
        while let Some(line) = self.said.recv().await {
            self.log += &format!("{line}\n");
        }
        self.log
    }
}

/// A new token, and its line for the file.
pub(crate) fn draw(owner: &str) -> (String, String) {
    let token = Token::draw(owner, &Entropy::system()).unwrap();
    (token.expose().to_owned(), token.line())
}
