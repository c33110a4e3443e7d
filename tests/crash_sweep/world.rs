//! What lives outside of every process: the ledger of effects, and the referee.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use relight::journal::{
    Effect, FailureKind, Filter, History, Result, RunnerId, Status, Step, StepState, Store, Task,
    TaskId,
};

use crate::power::{Power, Site};

/// The ledger, the referee, and what was seen to go wrong.
pub(crate) struct World {
    /// The idempotency key of every effect, in order.
    ledger: Mutex<Vec<String>>,
    wrongs: Mutex<Vec<String>>,
    referee: Arc<dyn Store>,
}

/// The way of one process to the world.
#[derive(Clone)]
pub(crate) struct Hand {
    pub(crate) world: Arc<World>,
    pub(crate) power: Arc<Power>,
    pub(crate) runner: RunnerId,
}

impl Hand {
    /// Takes effect.
    pub(crate) async fn effect(&self, idempotency_key: &str) {
        self.power.pass(Site::BeforeEffect(idempotency_key.to_owned())).await;
        let wrong = self.world.wrong_with(self.runner, idempotency_key).await;
        self.power
            .act(|| {
                // Only in a process that is being dropped can the referee not be asked.
                self.world.wrongs.lock().unwrap().extend(wrong.unwrap());
                self.world.ledger.lock().unwrap().push(idempotency_key.to_owned());
            })
            .await;
        self.power.pass(Site::AfterEffect(idempotency_key.to_owned())).await;
    }

    /// Does something that leaves no mark in the world.
    pub(crate) async fn look(&self, what: &str) {
        self.power.pass(Site::BeforeEffect(what.to_owned())).await;
    }
}

impl World {
    pub(crate) fn new(referee: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { ledger: Mutex::default(), wrongs: Mutex::default(), referee })
    }

    /// Why this effect should not take place now, if so.
    async fn wrong_with(&self, runner: RunnerId, idempotency_key: &str) -> Result<Option<String>> {
        let (task, key) = idempotency_key.split_once('/').unwrap();
        let id = task.parse().unwrap();
        let holder = self.referee.task(id).await?.and_then(|task| task.runner);
        if holder != Some(runner) {
            return Ok(Some(format!("{idempotency_key}: run by {runner}, held by {holder:?}")));
        }
        let history = History::of(self.referee.history(id, 0).await?).unwrap();
        // What is in doubt may be made again by a further step, once somebody has said that it did
        // not happen.
        let settled = |step: &&Step| match &step.state {
            StepState::Failed(failure) => failure.kind != FailureKind::InDoubt,
            state => state.is_finished(),
        };
        let finished = history.step(key).filter(settled);
        Ok(finished.map(|step| format!("{idempotency_key}: run again, and is already {step:?}")))
    }

    pub(crate) async fn tasks(&self) -> Vec<Task> {
        self.referee.tasks(Filter { limit: usize::MAX, ..Filter::default() }).await.unwrap()
    }

    /// A task's history, which must be legal.
    pub(crate) async fn history(&self, task: TaskId) -> History {
        History::of(self.referee.history(task, 0).await.unwrap()).unwrap()
    }

    /// The idempotency keys of the `Once` steps that are in doubt for whoever takes the tasks up now.
    pub(crate) async fn in_doubt(&self) -> HashSet<String> {
        let mut doubts = HashSet::new();
        for task in self.tasks().await {
            let history = self.history(task.id).await;
            let open = history
                .steps()
                .filter(|(_, step)| step.effect == Effect::Once && !step.state.is_finished());
            doubts.extend(open.map(|(key, _)| format!("{}/{key}", task.id)));
        }
        doubts
    }

    /// How often each effect took place.
    pub(crate) fn effects(&self) -> HashMap<String, u32> {
        let mut counts = HashMap::new();
        for key in &*self.ledger.lock().unwrap() {
            *counts.entry(key.clone()).or_default() += 1;
        }
        counts
    }

    /// Checks all that is promised of any program, after all has ended. `runs_max` bounds how often a
    /// step that is safe to repeat may have run.
    pub(crate) async fn check(&self, runs_max: u32) {
        let wrongs = self.wrongs.lock().unwrap().clone();
        assert!(wrongs.is_empty(), "{wrongs:#?}");
        let effects = self.effects();
        for task in self.tasks().await {
            assert_eq!(task.status, Status::Completed, "{task:?}");
            assert_eq!(task.runner, None, "{task:?}");
            let history = self.history(task.id).await;
            for (key, step) in history.steps() {
                assert!(step.state.is_finished(), "{key}: {step:?}");
                let runs = effects.get(&format!("{}/{key}", task.id)).copied().unwrap_or(0);
                let max = if step.effect == Effect::Once { 1 } else { runs_max };
                assert!(runs <= max, "{key} took effect {runs} times: {step:?}");
            }
        }
    }
}
