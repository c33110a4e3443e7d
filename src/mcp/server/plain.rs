//! A call that is answered only when its task has something to say: what clients without Tasks know.

use std::collections::HashSet;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolResponse, CallToolResult, ErrorData, InputRequests, ProgressNotificationParam,
    ProgressToken,
};
use rmcp::service::{Peer, RequestContext};

use super::calls::TakenBack;
use super::elicit::Within;
use super::rounds::{self, Round};
use super::session::Session;
use super::translate::{message, outcome, refusal};
use super::{elicit, follow, questions};
use crate::journal::{End, Error, Status, Task, TaskId};
use crate::mcp::IDEMPOTENCY_KEY;

/// What a wait for a task has come to.
pub(super) enum Waited {
    /// It has ended.
    Ended(End),
    /// It waits for answers that this client cannot be asked for.
    Asks(Task, InputRequests),
    /// The bound has passed, and it is still at work.
    Works(Task),
    /// The client does not wait any more.
    GivenUp,
}

impl Session {
    /// Answers the call that started this task. With `handle`, the answer is the task as soon as it
    /// asks nothing any more. A client that takes its call back stops the task; one that is merely
    /// gone does not.
    pub(super) async fn plain_call(
        &self,
        id: TaskId,
        mut round: Round,
        handle: bool,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // Who cannot come back for the result waits for it, whatever it takes.
        let bound = follow::is_for(context).then_some(self.server.plain_wait);
        loop {
            let result = match self.wait(id, context, Within::Call, bound).await? {
                Waited::Ended(_) if handle => return self.handle(id, context).await,
                Waited::Ended(end) => outcome(end)?,
                Waited::Asks(task, asked) if rounds::are_for(context) => {
                    match round.meet(&self.server.runtime, &task, asked).await? {
                        Some(asks) => return Ok(CallToolResponse::InputRequired(asks)),
                        None if handle => return self.handle(id, context).await,
                        None => continue,
                    }
                }
                Waited::Asks(task, asked) => follow::asks(&task, &asked),
                Waited::Works(task) => follow::works(&task),
                Waited::GivenUp => self.given_up(id, context).await?,
            };
            return Ok(CallToolResponse::Complete(result));
        }
    }

    /// Waits for a task's end, telling its progress and asking its questions meanwhile. With a
    /// bound, the wait ends no later, and at a question that the client cannot be asked. For a client
    /// that is asked by the answer to its call, it ends at any question.
    pub(super) async fn wait(
        &self,
        id: TaskId,
        context: &RequestContext<RoleServer>,
        within: Within,
        bound: Option<Duration>,
    ) -> Result<Waited, ErrorData> {
        let store = self.server.runtime.store();
        let can_be_asked = elicit::can_be_asked(context);
        let mut progress = Progress::new(&context.peer, context.meta.get_progress_token());
        let (mut changes, mut asking) = (store.changes(), self.asking.changes());
        let passed = async {
            match bound {
                Some(bound) => tokio::time::sleep(bound).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(passed);
        let mut is_over = false;
        loop {
            changes.mark_unchanged();
            asking.mark_unchanged();
            let task = self.find(id, context).await?;
            progress.tell(&task).await;
            if task.status.is_ended()
                && let Some(end) = store.end(id).await.map_err(|error| refusal(&error))?
            {
                self.asking.settle(id, &HashSet::new());
                return Ok(Waited::Ended(end));
            }
            let asked = match task.status {
                Status::InputRequired => questions::open(&self.server.runtime, id).await?,
                _ => InputRequests::new(),
            };
            self.asking.settle(id, &asked.keys().cloned().collect());
            if !asked.is_empty() {
                if rounds::are_for(context) {
                    return Ok(Waited::Asks(task, asked));
                }
                if can_be_asked {
                    let (runtime, peer) = (&self.server.runtime, &context.peer);
                    self.asking.put(runtime, peer, within, id, asked.clone()).await;
                }
                let in_vain = !can_be_asked || self.asking.all_refused(id, &asked);
                if bound.is_some() && (in_vain || is_over) {
                    return Ok(Waited::Asks(task, asked));
                }
            }
            if is_over {
                return Ok(Waited::Works(task));
            }
            tokio::select! {
                // A stop also ends connections, which must not count as a call taken back.
                biased;
                () = self.stop.cancelled() => return Err(stopping(id)),
                () = context.ct.cancelled() => return Ok(Waited::GivenUp),
                () = &mut passed => is_over = true,
                changed = changes.changed() => if changed.is_err() {
                    return Err(refusal(&Error::Closed));
                },
                () = asking.changed() => {}
            }
        }
    }

    /// Over HTTP without a session, to close the stream is how a call is taken back, and a broken
    /// connection looks the same. There a call with an idempotency key is one that will be issued
    /// again, and its task goes on.
    async fn given_up(
        &self,
        id: TaskId,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let taken_back = context
            .extensions
            .get::<TakenBack>()
            .map_or(context.meta.get(IDEMPOTENCY_KEY).is_none(), |TakenBack(token)| {
                token.is_cancelled()
            });
        self.asking.settle(id, &HashSet::new());
        if taken_back {
            let reason = Some("the client cancelled its call".to_owned());
            self.server.runtime.cancel(id, reason).await.map_err(|error| refusal(&error))?;
        }
        Err(nobody_waits(id))
    }
}

/// An answer that nobody reads.
pub(super) fn nobody_waits(id: TaskId) -> ErrorData {
    ErrorData::internal_error(format!("nobody waits for task {id} any more"), None)
}

fn stopping(id: TaskId) -> ErrorData {
    let message = format!("the connection ends; task {id} is kept, and goes on when relight runs");
    ErrorData::internal_error(message, None)
}

/// `notifications/progress` for a call whose client asked for them.
pub(super) struct Progress {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    told: u32,
    last: Option<String>,
}

impl Progress {
    pub(super) fn new(peer: &Peer<RoleServer>, token: Option<ProgressToken>) -> Self {
        Self { peer: peer.clone(), token, told: 0, last: None }
    }

    /// Sends the task's status message where it has changed. How much is left to do is not known,
    /// so the number only counts.
    pub(super) async fn tell(&mut self, task: &Task) {
        let Some(token) = &self.token else { return };
        let now = message(task);
        if task.status.is_ended() || self.last.as_ref() == Some(&now) {
            return;
        }
        self.told += 1;
        let params = ProgressNotificationParam::new(token.clone(), f64::from(self.told))
            .with_message(now.clone());
        self.last = Some(now);
        if let Err(error) = self.peer.notify_progress(params).await {
            tracing::debug!(%error, "progress was not told");
        }
    }
}
