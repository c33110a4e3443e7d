//! TCP connections: accepted within bounds, served, closed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gate::Stopping;
use crate::limits;

/// Serves connections until the stop has run its course.
pub(super) async fn serve(listener: TcpListener, app: Router, stopping: &Stopping) {
    let connections = TaskTracker::new();
    let accepting = async {
        let places = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS));
        // More than that wait in the operating system's queue.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, app.clone(), stopping.close.clone(), place);
                    connections.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(limits::HTTP_ACCEPT_RETRY_MS)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopping.drained() => {}
    }
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: TcpStream,
    app: Router,
    close: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Replies are small: with Nagle's algorithm each would wait for the client's delayed
    // acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays slow");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits::HTTP_HEADER_MS))
        .max_header_size(limits::HTTP_HEADER_MAX_BYTES);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut served = pin!(served);
    tokio::select! {
        ended = served.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
            return;
        }
        () = close.cancelled() => served.as_mut().graceful_shutdown(),
    }
    let patience = Duration::from_millis(limits::HTTP_CLOSE_MS);
    if tokio::time::timeout(patience, served).await.is_err() {
        tracing::debug!("a connection was cut off by the stop");
    }
}
