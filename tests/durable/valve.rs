//! A gate before a store that a test opens and closes, method by method.

use std::collections::HashMap;

use async_trait::async_trait;
use relight::journal::{Error, Result};
use tokio::sync::watch;

use crate::faulty::{Call, Gate};
use crate::scratch::within;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It is answered as a journal that cannot be reached answers.
    Refuse,
    /// It waits until the valve is opened.
    Hold,
}

/// All calls pass until something else is said.
#[derive(Default)]
pub(crate) struct Valve {
    modes: watch::Sender<Modes>,
    arrived: watch::Sender<HashMap<String, usize>>,
}

#[derive(Default)]
struct Modes {
    all: Option<Mode>,
    some: Vec<(Call, Mode)>,
    /// Methods that are carried out, and whose answers are held back.
    answers: Vec<Call>,
}

impl Modes {
    fn of(&self, call: Call) -> Option<Mode> {
        let one = self.some.iter().find(|(some, _)| *some == call);
        one.map(|(_, mode)| *mode).or(self.all)
    }
}

impl Valve {
    /// Refuses calls of this method.
    pub(crate) fn refuse(&self, call: Call) {
        self.modes.send_modify(|modes| modes.some.push((call, Mode::Refuse)));
    }

    /// Holds calls of this method back.
    pub(crate) fn hold(&self, call: Call) {
        self.modes.send_modify(|modes| modes.some.push((call, Mode::Hold)));
    }

    /// Has calls of this method carried out, and holds their answers back.
    pub(crate) fn hold_answers(&self, call: Call) {
        self.modes.send_modify(|modes| modes.answers.push(call));
    }

    /// Holds all calls back, as in a process that hangs.
    pub(crate) fn hang(&self) {
        self.modes.send_modify(|modes| modes.all = Some(Mode::Hold));
    }

    /// Lets everything pass again.
    pub(crate) fn open(&self) {
        self.modes.send_replace(Modes::default());
    }

    /// How many calls of this method have come so far.
    pub(crate) fn arrived(&self, call: Call) -> usize {
        self.arrived.borrow().get(&format!("{call:?}")).copied().unwrap_or(0)
    }

    /// Waits for so many more calls of this method to come.
    pub(crate) async fn more(&self, call: Call, count: usize) {
        let wanted = self.arrived(call) + count;
        let mut arrived = self.arrived.subscribe();
        let name = format!("{call:?}");
        let enough = arrived
            .wait_for(|arrived| arrived.get(&name).is_some_and(|arrived| *arrived >= wanted));
        within(&format!("{count} more {name}"), enough).await.unwrap();
    }
}

#[async_trait]
impl Gate for Valve {
    async fn before(&self, call: Call) -> Result<()> {
        self.arrived.send_modify(|arrived| *arrived.entry(format!("{call:?}")).or_default() += 1);
        let mut modes = self.modes.subscribe();
        let not_held = modes.wait_for(|modes| modes.of(call) != Some(Mode::Hold)).await.unwrap();
        match not_held.of(call) {
            Some(_) => {
                let why = "the test refuses it".to_owned();
                Err(Error::Unavailable { operation: "write", why })
            }
            None => Ok(()),
        }
    }

    async fn after(&self, call: Call, _: bool) {
        let mut modes = self.modes.subscribe();
        modes.wait_for(|modes| !modes.answers.contains(&call)).await.unwrap();
    }
}
