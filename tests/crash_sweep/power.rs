//! The power of one process: which sites it has passed, and where it is cut.

use std::future::pending;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use relight::journal::Result;
use tokio::sync::watch;

use crate::faulty::{Call, Gate};

/// A point at which a process can die.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Site {
    BeforeCommit(Call),
    AfterCommit(Call),
    BeforeEffect(String),
    AfterEffect(String),
}

/// Counts sites, and lets the process go on until the one at which it is to die.
pub(crate) struct Power {
    state: Mutex<State>,
    dead: watch::Sender<bool>,
}

struct State {
    passed: Vec<Site>,
    cut_at: Option<usize>,
    dead: bool,
}

impl Power {
    /// Power until site number `cut_at` (from 0), or for ever.
    pub(crate) fn until(cut_at: Option<usize>) -> Self {
        let state = State { passed: Vec::new(), cut_at, dead: false };
        Self { state: Mutex::new(state), dead: watch::Sender::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Passes a site, or never returns.
    pub(crate) async fn pass(&self, site: Site) {
        let dead = {
            let mut state = self.state();
            if !state.dead {
                state.dead = state.cut_at == Some(state.passed.len());
                state.passed.push(site);
            }
            state.dead
        };
        if dead {
            self.dead.send_replace(true);
            pending().await
        }
    }

    /// Does something in no time, unless the process is dead.
    pub(crate) async fn act(&self, what: impl FnOnce()) {
        {
            let state = self.state();
            if !state.dead {
                return what();
            }
        }
        pending().await
    }

    /// Returns when the process has died.
    pub(crate) async fn cut(&self) {
        if self.dead.subscribe().wait_for(|dead| *dead).await.is_err() {
            pending().await
        }
    }

    /// The sites passed, the one of its death last.
    pub(crate) fn passed(&self) -> Vec<Site> {
        self.state().passed.clone()
    }
}

#[async_trait]
impl Gate for Power {
    async fn before(&self, call: Call) -> Result<()> {
        // Whether a claim will write is only known after it.
        if call.writes() && !matches!(call, Call::Claim | Call::ClaimOne | Call::Purge) {
            self.pass(Site::BeforeCommit(call)).await;
        } else {
            self.act(|| ()).await;
        }
        Ok(())
    }

    async fn after(&self, call: Call, wrote: bool) {
        if wrote {
            self.pass(Site::AfterCommit(call)).await;
        } else {
            self.act(|| ()).await;
        }
    }
}
