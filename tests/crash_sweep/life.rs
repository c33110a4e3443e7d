//! The life of one process: started on the journal, and run to its end or its death.

use std::sync::Arc;

use relight::durable::{Builder, Clock, Entropy, Runtime};
use relight::journal::Store;

use crate::faulty::Faulty;
use crate::power::Power;
use crate::scratch::Scratch;
use crate::world::{Hand, World};

/// A process to be.
pub(crate) struct Life<'a, C> {
    pub(crate) scratch: &'a Scratch,
    pub(crate) world: &'a Arc<World>,
    pub(crate) clock: C,
    pub(crate) power: Arc<Power>,
    /// Of ids; another one for every life.
    pub(crate) seed: u64,
    pub(crate) threads: Threads,
}

/// How a process runs its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// On one, so that sites come in the same order every time.
    One,
    /// Side by side.
    Several,
}

impl<C: Clock + Clone> Life<'_, C> {
    /// Runs the process: registers its functions, does `work` with its runtime, and stops it.
    /// `None` when it died before that was done.
    pub(crate) fn run<T, F>(
        self,
        register: impl FnOnce(Builder, Hand) -> Builder,
        work: impl FnOnce(Runtime, Arc<dyn Store>) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let store: Arc<dyn Store> = self.scratch.open();
        let faulty = Faulty::new(Arc::clone(&store), Arc::clone(&self.power));
        // The first bits that a runtime draws name its runner.
        let runner = Entropy::seeded(self.seed).runner_id().unwrap();
        let hand = Hand { world: Arc::clone(self.world), power: Arc::clone(&self.power), runner };
        let builder =
            Runtime::builder(faulty).clock(self.clock).entropy(Entropy::seeded(self.seed));
        let builder = register(builder, hand);
        let process = async {
            let runtime = builder.start().await.unwrap();
            let done = work(runtime.clone(), Arc::clone(&store)).await;
            runtime.shutdown().await;
            done
        };
        let tokio = match self.threads {
            Threads::One => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            Threads::Several => {
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
            }
        }
        .unwrap();
        let done = tokio.block_on(async {
            tokio::select! {
                biased;
                () = self.power.cut() => None,
                done = process => Some(done),
            }
        });
        tokio.shutdown_background();
        // What the writer's thread had in its queue is committed before the next life begins, and
        // the lock that shows a living process is let go.
        let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio.block_on(store.close());
        done
    }
}
