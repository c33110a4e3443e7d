//! What a supervisor asks: whether the process is up, and whether it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::gate::Stopping;
use crate::durable::Runtime;
use crate::limits;

/// The process is up, whatever else is the matter.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Looks at the journal, and remembers what it saw for a moment: anybody may ask, and a look writes.
#[derive(Clone)]
pub(super) struct Readiness {
    runtime: Runtime,
    stopping: Stopping,
    last: Arc<Mutex<Option<Look>>>,
}

/// When the journal was looked at, and what was wrong with it, in words for the log.
type Look = (Instant, Result<(), String>);

/// What anybody may know of what is wrong: the journal's own words have paths in them.
const NOT_READY: &str = "the journal cannot be used; the server's log says why";

impl Readiness {
    pub(super) fn new(runtime: Runtime, stopping: Stopping) -> Self {
        Self { runtime, stopping, last: Arc::default() }
    }

    /// Whether the journal can be used. What is wrong is logged, once for as long as it is the same.
    async fn is_journal_well(&self) -> bool {
        let mut last = self.last.lock().await;
        let fresh = Duration::from_millis(limits::READY_MS);
        if let Some((_, seen)) = last.as_ref().filter(|(at, _)| at.elapsed() < fresh) {
            return seen.is_ok();
        }
        let patience = Duration::from_millis(limits::JOURNAL_BUSY_MS);
        let seen = match tokio::time::timeout(patience, self.runtime.check()).await {
            Ok(checked) => checked.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the journal does not answer within {patience:?}")),
        };
        if let Err(why) = &seen
            && last.as_ref().is_none_or(|(_, before)| *before != seen)
        {
            warn!(why, "not ready: the journal cannot be used");
        }
        let is_well = seen.is_ok();
        *last = Some((Instant::now(), seen));
        is_well
    }
}

/// The journal can be read and written, and the server does not stop.
pub(super) async fn readyz(State(readiness): State<Readiness>) -> Response {
    let not = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
    if readiness.stopping.stop.is_cancelled() {
        return not("stopping");
    }
    if readiness.is_journal_well().await { "ready\n".into_response() } else { not(NOT_READY) }
}
