//! Children: tasks of their own that a task starts and waits for.
//!
//! A child survives crashes by itself, and its parent is parked while it runs. People know the parent
//! only, so the parent puts its children's questions as its own, passes the answers on, and takes a
//! question back that has been settled below.
//!
//! ```text
//!  child asks ──> its append wakes the parent ──> the parent asks under KEY#child/QUESTION
//!  child goes on <── signal to the child <── answer to the parent
//! ```

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::account::account;
use super::ask::{asked, taken_back};
use super::context::Awaited;
use super::cursor::OF_CHILD;
use super::live::Halt;
use super::{Ask, Context, TimeLimit, step};
use crate::journal::{
    Effect, End, Error, Event, Failure, FailureKind, Hash, History, NewTask, ParentLink, Payload,
    Signal, Status, StepKind, TaskId,
};
use crate::limits;

/// What a child is.
#[derive(Debug, Clone)]
pub struct Child {
    /// The registered function that runs it.
    pub function: String,
    /// What people call it.
    pub name: String,
    /// What it is pinned to, whatever the files say later. It is taken from the call that starts the
    /// child: a replay that comes to another one changes nothing.
    pub definition: Option<Payload>,
    /// How long it may take from its creation. It has no longer than its parent, in any case.
    pub time_limit: Option<TimeLimit>,
}

impl Child {
    /// A child that is called what its function is called.
    pub fn of(function: &str) -> Self {
        let (function, name) = (function.to_owned(), function.to_owned());
        Self { function, name, definition: None, time_limit: None }
    }
}

/// How far a child is.
enum Look {
    Ended(End),
    /// It goes on, and asks these, by its own keys.
    Asks(HashMap<String, Payload>),
}

impl Context {
    /// Starts a registered function as a task of its own and waits for it. It is cancelled with this
    /// task, and survives crashes by itself.
    ///
    /// # Errors
    /// What the child failed with; [`FailureKind::Cancelled`] where it was cancelled.
    pub async fn child<T: DeserializeOwned>(
        &self,
        name: &str,
        function: &str,
        input: &(impl Serialize + ?Sized),
    ) -> Result<T, Failure> {
        self.child_as(name, &Child::of(function), input).await
    }

    /// As [`Context::child`], for a child with a name and a definition of its own.
    ///
    /// # Errors
    /// As [`Context::child`].
    pub async fn child_as<T: DeserializeOwned>(
        &self,
        name: &str,
        child: &Child,
        input: &(impl Serialize + ?Sized),
    ) -> Result<T, Failure> {
        let name = self.scoped(name)?;
        let input = Payload::of(input).map_err(|error| {
            Failure::is_final(format!("the input of child {name:?} has no JSON form: {error}"))
        })?;
        step::bounded(&input, || format!("the input of child {name:?}"))?;
        let open = self.open(&name).await;
        let (function, called) = (&child.function, &child.name);
        let ask = Ask {
            kind: StepKind::Child,
            effect: Effect::Idempotent,
            input: child_input(function, &input),
            shown: Payload::of(&serde_json::json!({"function": function, "name": called})).ok(),
        };
        match self.awaited(&open.key, &ask).await {
            Awaited::Over(outcome) => return step::read(&open.key, &outcome?),
            Awaited::Begun { .. } => {}
            Awaited::New => self.start(&open.key, ask, None).await,
        }
        let child = match self.task_of(&open.key, child, input) {
            Ok(child) => child,
            Err(failure) => return self.live.fail(&open.key, failure).await,
        };
        let id = child.id;
        let mut failure = match self.child_end(&open.key, child).await {
            End::Completed(output) => {
                self.complete(&open.key, output.clone()).await;
                return step::read(&open.key, &output);
            }
            End::Failed(failure) | End::Stopped(failure) => failure,
            End::Cancelled(message) => Failure::new(FailureKind::Cancelled, message),
        };
        if failure.details.is_none() {
            failure.details = self.account_of(id).await;
        }
        self.live.fail(&open.key, failure).await
    }

    /// What a child that has ended in silence has to tell.
    async fn account_of(&self, id: TaskId) -> Option<Payload> {
        let _running = self.live.running();
        loop {
            match account(&self.live.shared, id).await {
                Ok(told) => return told,
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(Duration::from_millis(limits::JOURNAL_RETRY_MS)).await;
                }
                Err(error) => return self.live.never(Halt::Journal(error)).await,
            }
        }
    }

    fn task_of(&self, key: &str, child: &Child, input: Payload) -> Result<NewTask, Failure> {
        let live = &self.live;
        let depth = live.task.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        if depth > limits::CHILD_DEPTH_MAX {
            let max = limits::CHILD_DEPTH_MAX;
            return Err(Failure::is_final(format!(
                "children are {depth} levels deep, and at most {max} are allowed"
            )));
        }
        let now_ms = live.shared.clock.now_ms();
        let own = child.time_limit.clone().map(|limit| limit.from(now_ms));
        let deadlines = live.deadline.clone().into_iter().chain(own);
        Ok(NewTask {
            id: child_id(live.lease.task, key),
            function: child.function.clone(),
            name: child.name.clone(),
            input,
            definition: child.definition.clone(),
            seed: self.random(key),
            parent: Some(ParentLink { task: live.lease.task, key: key.to_owned(), depth }),
            owner: live.task.owner.clone(),
            owner_tasks_max: None,
            idempotency_key: None,
            ttl_ms: live.task.ttl_ms,
            past: Vec::new(),
            deadline: deadlines.min_by_key(|deadline| deadline.at_ms),
            created_at_ms: now_ms,
            runner: None,
        })
    }

    /// Creates the child unless it is there, and waits for its end.
    async fn child_end(&self, key: &str, child: NewTask) -> End {
        let live = &self.live;
        let id = child.id;
        let mut nudges = live.nudges.subscribe();
        let mut answers = live.answers.subscribe();
        let mut to_create = Some(child);
        loop {
            nudges.mark_unchanged();
            answers.mark_unchanged();
            let passed_on = match self.look(&mut to_create, id).await {
                Ok(Look::Ended(end)) => {
                    self.pass_on(key, id, &HashMap::new()).await.map(|()| Some(end))
                }
                Ok(Look::Asks(asked)) => self.pass_on(key, id, &asked).await.map(|()| None),
                Err(error) => Err(error),
            };
            match passed_on {
                Ok(Some(end)) => return end,
                Ok(None) => {
                    let _waiting = live.waiting(None);
                    // The senders live in `live`, so these end only with news.
                    tokio::select! {
                        _ = nudges.changed() => {}
                        _ = answers.changed() => {}
                    }
                }
                Err(error) if error.is_retryable() => {
                    tokio::time::sleep(Duration::from_millis(limits::JOURNAL_RETRY_MS)).await;
                }
                Err(error) => return live.never(Halt::Journal(error)).await,
            }
        }
    }

    async fn look(&self, to_create: &mut Option<NewTask>, id: TaskId) -> Result<Look, Error> {
        let _running = self.live.running();
        let shared = &self.live.shared;
        if let Some(child) = to_create.clone() {
            shared.begin(child).await?;
            *to_create = None;
        }
        if let Some(end) = shared.store.end(id).await? {
            return Ok(Look::Ended(end));
        }
        let task = shared.store.task(id).await?;
        if task.is_none_or(|task| task.status != Status::InputRequired) {
            return Ok(Look::Asks(HashMap::new()));
        }
        let history = History::of(shared.store.history(id, 0).await?)
            .map_err(|source| Error::Illegal { task: id, source })?;
        let asked = history.questions().map(|(key, asked)| (key.to_owned(), asked.clone()));
        Ok(Look::Asks(asked.collect()))
    }

    /// Brings the questions that this task puts for a child up to what the child asks.
    async fn pass_on(
        &self,
        step: &str,
        child: TaskId,
        asks: &HashMap<String, Payload>,
    ) -> Result<(), Error> {
        let shared = &self.live.shared;
        let prefix = format!("{step}{OF_CHILD}");
        let put: Vec<String> = self.live.cursor(|cursor| {
            let open = cursor.history().questions();
            open.filter_map(|(key, _)| key.strip_prefix(&prefix)).map(str::to_owned).collect()
        });
        for question in put {
            let key = format!("{prefix}{question}");
            let answer = self.live.answers.borrow().get(&key).cloned();
            let settled = match answer.map(|answer| Payload::of(&answer)) {
                Some(Ok(answer)) => {
                    // Before it is recorded here: a crash between the two sends it twice, and a
                    // child takes the first answer only.
                    let signal = Signal::Answer { key: question, value: answer.clone() };
                    let now_ms = shared.clock.now_ms();
                    let _running = self.live.running();
                    shared.store.signal(child, signal, now_ms).await?;
                    Event::StepCompleted { key, output: answer }
                }
                _ if asks.contains_key(&question) => continue,
                _ => taken_back(key),
            };
            self.settle(settled).await;
        }
        let mut asks: Vec<_> = asks.iter().collect();
        asks.sort_by_key(|(question, _)| *question);
        for (question, shown) in asks {
            let key = format!("{prefix}{question}");
            if self.live.cursor(|cursor| cursor.history().step(&key).is_none()) {
                self.put(&key, asked(shown.clone()), None).await;
            }
        }
        Ok(())
    }
}

/// The hash of what a step that starts a child is asked with.
pub(crate) fn child_input(function: &str, input: &Payload) -> Hash {
    Hash::of(function.as_bytes()).then(input.json().as_bytes())
}

/// The id of the child that a task's step starts: the same on every run, and as hard to guess as the
/// parent's.
pub fn child_id(parent: TaskId, key: &str) -> TaskId {
    let hash = Hash::of(parent.to_string().as_bytes()).then(key.as_bytes());
    TaskId::from_bits(u128::from_be_bytes(*hash.bytes()))
}
