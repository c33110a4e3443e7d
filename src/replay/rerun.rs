//! The run itself: a runtime over a journal of its own, from the start of a task to its end.

use std::sync::Arc;

use super::Error;
use super::answers::Answers;
use super::scratch::Scratch;
use super::world::World;
use crate::agent::{AGENT_FUNCTION, Pinned};
use crate::durable::{Fork, HurriedClock, Runtime, StartTask};
use crate::journal::{Event, Payload, Recording, Store};

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
        let mut builder =
            Runtime::builder(Arc::clone(&store)).only_own().register(AGENT_FUNCTION, code);
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
        let running = Running(Some(builder.start().await?));
        let ended = self.follow(&running, start).await;
        running.stop().await;
        ended
    }

    async fn follow(&self, running: &Running, start: StartTask) -> Result<Recording, Error> {
        let Some(runtime) = &running.0 else { return Err(crate::journal::Error::Closed.into()) };
        let answers = self.answers.as_deref();
        let root = runtime.start(start).await?;
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

/// A runtime that is stopped when nobody waits for its run any more: what it calls is real.
struct Running(Option<Runtime>);

impl Running {
    async fn stop(mut self) {
        if let Some(runtime) = self.0.take() {
            stop(runtime).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(runtime), Ok(tokio)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            tokio.spawn(stop(runtime));
        }
    }
}

async fn stop(runtime: Runtime) {
    runtime.shutdown().await;
    runtime.store().close().await;
}
