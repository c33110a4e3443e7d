//! The servers as processes: this program, started again with hidden arguments.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use crate::connection::{Connection, Http, Lines};
use crate::floor::Floor;
use crate::support::Error;
use crate::{peer, relight_server};

/// Before the arguments of a server, which nobody types.
const SERVE: &str = "serve-for-bench";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Stdio,
    Http,
}

impl Transport {
    pub(crate) const ALL: [Self; 2] = [Self::Stdio, Self::Http];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
        }
    }
}

/// What keeps the tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// relight, in a journal.
    Relight,
    /// rmcp's `TaskManager`, in memory.
    TaskManager,
    /// The same, with one bare commit before each handle.
    TaskManagerAndCommit,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Relight, Self::TaskManager, Self::TaskManagerAndCommit];

    fn name(self) -> &'static str {
        match self {
            Self::Relight => "relight",
            Self::TaskManager => "task-manager",
            Self::TaskManagerAndCommit => "task-manager-and-commit",
        }
    }
}

/// What this process is when it is a server.
pub(crate) struct Role {
    kind: Kind,
    transport: Transport,
    journal: PathBuf,
}

impl Role {
    /// Reads the hidden arguments; `None` where they are not those of a server.
    pub(crate) fn of(arguments: &[OsString]) -> Option<Result<Self, Error>> {
        let rest = arguments.strip_prefix(&[OsString::from(SERVE)])?;
        let [kind, transport, journal] = rest else {
            return Some(Err("a server is: KIND TRANSPORT JOURNAL".into()));
        };
        let kind = Kind::ALL.into_iter().find(|known| kind == known.name());
        let transport = Transport::ALL.into_iter().find(|known| transport == known.name());
        let (Some(kind), Some(transport)) = (kind, transport) else {
            return Some(Err("there is no such server".into()));
        };
        Some(Ok(Self { kind, transport, journal: journal.into() }))
    }

    /// Serves until the client has gone, or for ever over HTTP, whose address is the only line on
    /// stdout.
    pub(crate) async fn serve(self) -> Result<ExitCode, Error> {
        match self.kind {
            Kind::Relight => relight_server::serve(self.transport, &self.journal).await?,
            Kind::TaskManager => peer::serve(self.transport, None).await?,
            Kind::TaskManagerAndCommit => {
                peer::serve(self.transport, Some(Floor::beside(&self.journal)?)).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A server that is killed on every way out.
pub(crate) struct Server {
    child: Child,
    address: Option<String>,
}

impl Server {
    pub(crate) fn start(kind: Kind, transport: Transport, journal: &Path) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SERVE, kind.name(), transport.name()].map(OsStr::new))
            .arg(journal)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = None;
        if transport == Transport::Http {
            let mut line = String::new();
            if let Some(stdout) = child.stdout.as_mut() {
                BufReader::new(stdout).read_line(&mut line)?;
            }
            address = Some(line.trim().to_owned());
        }
        Ok(Self { child, address })
    }

    /// A connection to it: over stdio the only one, to be taken once.
    pub(crate) fn connect(&mut self) -> Result<Box<dyn Connection>, Error> {
        if let Some(address) = &self.address {
            return Ok(Box::new(Http::connect(address)?));
        }
        let pipes = self.child.stdin.take().zip(self.child.stdout.take());
        let (stdin, stdout) = pipes.ok_or("its stdin and stdout are taken")?;
        Ok(Box::new(Lines::new(stdin, stdout)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
