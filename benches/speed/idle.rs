//! What a server that does nothing keeps in memory.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::Error;
use crate::report::Row;

const SAMPLES: u32 = 20;
const EVERY: Duration = Duration::from_millis(100);

/// The most that `relight serve` has resident in the two seconds after a client has shaken hands
/// and listed the tools.
pub(crate) fn idle(dir: &Path) -> Result<Vec<Row>, Error> {
    const BAR_MB: f64 = 25.0;
    let row = |result: String, met| Row {
        measure: "idle server, resident memory".to_owned(),
        result,
        floor: String::new(),
        ratio: String::new(),
        bar: format!("at most {BAR_MB} MB"),
        met,
    };
    if !cfg!(target_os = "linux") {
        return Ok(vec![row("needs /proc".to_owned(), None)]);
    }
    let server = Command::new(env!("CARGO_BIN_EXE_relight"))
        .arg("serve")
        .arg("--journal")
        .arg(dir.join("journal.db"))
        .arg("--agents")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut server = Server(server);
    server.shake_hands()?;
    let mut most_kb = 0;
    for _ in 0..SAMPLES {
        sleep(EVERY);
        most_kb = most_kb.max(resident_kb(server.0.id())?);
    }
    // The kernel's kB are 1024 bytes.
    let mb = f64::from(most_kb) * 1024.0 / 1e6;
    Ok(vec![row(format!("{mb:.1} MB"), Some(mb <= BAR_MB))])
}

/// A server that is stopped on every way out.
struct Server(Child);

impl Server {
    fn shake_hands(&mut self) -> Result<(), Error> {
        const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        const LIST: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
        let (Some(stdin), Some(stdout)) = (&mut self.0.stdin, &mut self.0.stdout) else {
            return Err("the server's pipes are not there".into());
        };
        let mut replies = BufReader::new(stdout).lines();
        for (lines, answer) in
            [(vec![INITIALIZE], "serverInfo"), (vec![INITIALIZED, LIST], "inputSchema")]
        {
            for line in lines {
                writeln!(stdin, "{line}")?;
            }
            let reply = replies.next().ok_or("the server has gone away")??;
            if !reply.contains(answer) {
                return Err(format!("the server answered {reply}").into());
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process has in memory.
pub(crate) fn resident_kb(process: u32) -> Result<u32, Error> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS in its status: the server has ended")?.parse()?)
}
