//! The run itself: a runtime over a journal of its own, from the start of a task to its end.

use std::sync::Arc;

use super::Error;
use super::answers::Answers;
use super::scratch::Scratch;
use super::world::World;
use crate::agent::{AGENT_FUNCTION, Pinned};
use crate::durable::{Fork, HurriedClock, Runtime};
use crate::journal::{Event, Payload, Recording, Store, TaskId};

pub(super) struct Rerun<'a> {
    pub(super) world: &'a World,
    pub(super) recording: Option<&'a Recording>,
    /// What the recording answers; `None` where all is done for real.
    pub(super) answers: Option<Arc<Answers>>,
}

impl Rerun<'_> {
    /// Runs an agent to its end. What is not recorded and must not be asked for ends it at once, in
    /// whichever task that was; so does dropping this.
    pub(super) async fn run(&self, agent: &Pinned, input: Payload) -> Result<Recording, Error> {
        let scratch = Scratch::new()?;
        let store: Arc<dyn Store> = scratch.open()?;
        let mut start = agent.start(input);
        start.ttl_ms = None;
        let code = Arc::new(self.world.agent_loop(self.answers.clone()));
        let mut builder = Runtime::builder(store).only_own().register(AGENT_FUNCTION, code);
        if let Some(answers) = &self.answers {
            builder = builder.stand_in(Arc::clone(answers) as _);
            let first = self.recording.and_then(|recording| recording.root().records.first());
            if let Some((at_ms, Event::TaskCreated { seed, .. })) =
                first.map(|first| (first.at_ms, &first.event))
            {
                // What was recorded speaks of the time of then, and what is random is to come out
                // the same.
                builder = builder.clock(HurriedClock::at_ms(at_ms));
                let (events, kept, not_undone) = (Vec::new(), Vec::new(), Vec::new());
                start.fork = Some(Fork { seed: *seed, events, kept, not_undone });
            }
        }
        let runtime = builder.start().await?;
        let root = match runtime.start(start).await {
            Ok(root) => root,
            Err(error) => {
                stop(&runtime).await;
                return Err(error.into());
            }
        };
        let mut running = Running { runtime, root, scratch: Some(scratch) };
        let ended = self.follow(&running).await;
        stop(&running.runtime).await;
        running.scratch = None;
        ended
    }

    async fn follow(&self, running: &Running) -> Result<Recording, Error> {
        let (runtime, root) = (&running.runtime, running.root);
        let answers = self.answers.as_deref();
        let (store, clock) = (runtime.store().as_ref(), runtime.clock().as_ref());
        let missed = async {
            match answers {
                Some(answers) => answers.missed().await,
                None => std::future::pending().await,
            }
        };
        let failed = tokio::select! {
            end = runtime.wait(root) => end.err().map(Error::from),
            miss = missed => Some(Error::NotRecorded(Box::new(miss))),
            error = self.world.answer(store, clock, root) => Some(error),
        };
        // A child's miss may have led to the end of all before it was seen here.
        let miss = answers.and_then(Answers::miss).map(|miss| Error::NotRecorded(Box::new(miss)));
        if let Some(error) = miss.or(failed) {
            runtime.cancel(root, None).await?;
            runtime.wait(root).await?;
            return Err(error);
        }
        Ok(Recording::of(store, root).await?)
    }
}

/// A run that is cancelled when nobody waits for it any more: what it calls may be real.
struct Running {
    runtime: Runtime,
    root: TaskId,
    /// Where its journal is, until the run is over.
    scratch: Option<Scratch>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let scratch = self.scratch.take();
        if let (Some(scratch), Ok(tokio)) = (scratch, tokio::runtime::Handle::try_current()) {
            let (runtime, root) = (self.runtime.clone(), self.root);
            tokio.spawn(async move {
                if let Err(error) = runtime.cancel(root, None).await {
                    tracing::debug!(%error, "a dropped run is stopped without a cancel");
                }
                stop(&runtime).await;
                drop(scratch);
            });
        }
    }
}

async fn stop(runtime: &Runtime) {
    runtime.shutdown().await;
    runtime.store().close().await;
}
