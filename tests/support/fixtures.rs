//! The example `conformance` as a process.

#![allow(dead_code, reason = "each suite uses its part")]

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::examples::example;

/// The example, serving.
pub(crate) struct Fixtures {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) origin: String,
}

impl Fixtures {
    /// Starts it on a free port, and waits until it listens.
    pub(crate) fn start(journal: &Path) -> Self {
        Self::start_at("127.0.0.1:0", journal)
    }

    /// Starts it at an address, and waits until it listens.
    pub(crate) fn start_at(listen: &str, journal: &Path) -> Self {
        let mut child = Command::new(example("conformance"))
            .args(["--listen", listen])
            .arg(journal)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            assert!(stderr.read_line(&mut said).unwrap() > 0, "it does not start: {said}");
            if let Some((_, address)) = said[before..].trim_end().split_once("listening on ") {
                break address.to_owned();
            }
        };
        thread::spawn(move || io::copy(&mut stderr, &mut io::stderr()));
        Self { child, origin: format!("http://{address}") }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Fixtures {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
