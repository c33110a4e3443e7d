//! `notifications/tasks/status`: a client is told of changes of the tasks that it has made on this
//! connection. A courtesy, which the specification leaves open: who misses one polls.

use std::sync::OnceLock;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{CustomNotification, ErrorData, ServerNotification};
use rmcp::service::{Peer, RequestContext};
use tokio::sync::mpsc;

use super::shown::Shown;
use crate::durable::Runtime;
use crate::journal::TaskId;
use crate::limits;
use crate::mcp::server::plain::Progress;
use crate::mcp::server::session::Session;
use crate::mcp::server::translate::refusal;

/// Tells one client. Ends when it is dropped.
pub(super) struct Notices {
    watch: OnceLock<mpsc::Sender<Watched>>,
}

struct Watched {
    id: TaskId,
    told: Shown,
    /// For the token that came with the call, which is good for the task's whole life.
    progress: Progress,
}

impl Notices {
    pub(super) fn new() -> Self {
        Self { watch: OnceLock::new() }
    }

    /// Tells the client of this task's changes from what it has been `told` on.
    pub(super) fn watch(
        &self,
        session: &Session,
        id: TaskId,
        told: Shown,
        context: &RequestContext<RoleServer>,
    ) {
        let watch = self.watch.get_or_init(|| {
            let (watch, watched) = mpsc::channel(limits::NOTICE_TASKS);
            tokio::spawn(tell(watched, session.server.runtime.clone(), context.peer.clone()));
            watch
        });
        let progress = Progress::new(&context.peer, context.meta.get_progress_token());
        // Too many at once: this one is polled.
        let _ = watch.try_send(Watched { id, told, progress });
    }
}

async fn tell(mut new: mpsc::Receiver<Watched>, runtime: Runtime, peer: Peer<RoleServer>) {
    let mut changes = runtime.store().changes();
    let mut watched: Vec<Watched> = Vec::new();
    loop {
        tokio::select! {
            new = new.recv() => match new {
                Some(new) if watched.len() < limits::NOTICE_TASKS => watched.push(new),
                Some(_) => {}
                None => return,
            },
            changed = changes.changed(), if !watched.is_empty() => if changed.is_err() { return },
        }
        changes.mark_unchanged();
        let mut left = Vec::with_capacity(watched.len());
        for mut one in watched {
            match one.tell(&runtime, &peer).await {
                Ok(()) if one.told.is_terminal() => {}
                Ok(()) => left.push(one),
                Err(error) => {
                    tracing::debug!(task = %one.id, error = %error.message, "not told any more");
                }
            }
        }
        watched = left;
        tokio::time::sleep(Duration::from_millis(limits::NOTICE_MS)).await;
    }
}

impl Watched {
    async fn tell(&mut self, runtime: &Runtime, peer: &Peer<RoleServer>) -> Result<(), ErrorData> {
        let task = runtime.store().task(self.id).await.map_err(|error| refusal(&error))?;
        let Some(task) = task else {
            return Err(refusal(&crate::journal::Error::UnknownTask { task: self.id }));
        };
        self.progress.tell(&task).await;
        let now = Shown::of(runtime, &task).await?;
        if now == self.told {
            return Ok(());
        }
        let notice = CustomNotification::new("notifications/tasks/status", Some(now.json()?));
        self.told = now;
        let notice = ServerNotification::CustomNotification(notice);
        peer.send_notification(notice)
            .await
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))
    }
}
