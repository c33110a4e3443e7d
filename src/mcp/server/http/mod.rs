//! Streamable HTTP: MCP at `/mcp`, and what a supervisor asks at `/healthz` and `/readyz`.
//!
//! ```text
//! connections ──> gate ──> identify ──> body ──> rmcp's StreamableHttpService ──> Session
//!  TCP, bounds    503 once  whose is it  whole,     ├ 2026-07-28: no state between requests
//!                 stopping               in bounds  └ before it: Sessions
//! ```
//!
//! Protocol 2026-07-28 has no sessions here: any process that opens the journal can answer any of
//! its requests. Clients of older protocols get one, and ask for a new one after a restart.

mod auth;
mod body;
mod connections;
mod cors;
mod gate;
mod health;
mod identify;
mod pace;
mod routes;
mod sessions;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::auth::{
    Auth, Jwt, JwtOptions, Keys, KeysError, PublicUrl, PublicUrlError, Token, TokenError, Tokens,
};
pub use self::identify::{Identify, Refusal};

use self::gate::Stopping;
use super::Server;

/// What the HTTP transport lets in.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Names under which clients reach the server, as `host` or `host:port`, besides those of the
    /// machine itself. Requests with another `Host` are refused: a web page that has its own name
    /// resolve to this machine would send them (DNS rebinding).
    pub hosts: Vec<String>,
    /// Origins of web pages that may use the server, as `https://host:port`, besides those of the
    /// server itself.
    pub origins: Vec<String>,
    /// Finds out whose a request is. Without it everybody who reaches the server is one user.
    pub identify: Option<Arc<dyn Identify>>,
    /// How many requests a second one owner may make in the long run, and twice as many at once;
    /// `None` for any number.
    pub requests_per_second: Option<NonZeroU32>,
    /// How many tasks of one owner may be under way; a call beyond them is refused. `None` for any
    /// number.
    pub live_tasks: Option<NonZeroUsize>,
    /// Whether a server that everybody on the network reaches may go without `identify`.
    pub allow_unauthenticated: bool,
}

/// Why HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Others could reach the server, and nobody would be asked who they are.
    #[error(
        "{address} can be reached from other machines, and nobody would be asked who they are: \
         listen on 127.0.0.1, let in by tokens (--auth-tokens, --auth-jwks), or pass \
         --allow-unauthenticated if that is meant"
    )]
    Unauthenticated {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// A server that listens. Serves once [`HttpServer::serve`] is awaited.
pub struct HttpServer {
    server: Server,
    options: HttpOptions,
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpServer {
    /// Takes the address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn bind(
        server: &Server,
        address: SocketAddr,
        options: HttpOptions,
    ) -> Result<Self, HttpError> {
        let open = options.identify.is_none() && !options.allow_unauthenticated;
        if open && !address.ip().is_loopback() {
            return Err(HttpError::Unauthenticated { address });
        }
        let listen = |source| HttpError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { server: server.clone(), options, listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled. From then on new requests are answered with 503, calls that
    /// wait for their task are told that it goes on later, and after at most
    /// [`HTTP_DRAIN_MS`](crate::limits::HTTP_DRAIN_MS) and
    /// [`HTTP_CLOSE_MS`](crate::limits::HTTP_CLOSE_MS) every connection is closed.
    pub async fn serve(self, stop: CancellationToken) {
        let stopping = Stopping::new(stop);
        let app = routes::routes(&self.server, self.options, self.address, &stopping);
        connections::serve(self.listener, app, &stopping).await;
    }
}
