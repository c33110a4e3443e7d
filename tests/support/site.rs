//! The server over HTTP in this process.

#![allow(dead_code, reason = "each suite uses its part")]

use std::net::SocketAddr;

use relight::mcp::server::{HttpOptions, HttpServer};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::Host;
use super::web::Web;

pub(crate) struct Site {
    pub(crate) host: Host,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    _directory: TempDir,
}

impl Site {
    pub(crate) async fn open(options: HttpOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::open(directory.path()).await;
        let here = "127.0.0.1:0".parse().unwrap();
        let http = HttpServer::bind(&host.server, here, options).await.unwrap();
        let (address, stop) = (http.address(), CancellationToken::new());
        let serving = tokio::spawn(http.serve(stop.clone()));
        Self { host, address, stop, serving, _directory: directory }
    }

    pub(crate) fn web(&self) -> Web {
        Web::new(format!("http://{}", self.address))
    }
}
