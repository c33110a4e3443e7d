//! The world outside of a run, as far as it is there: models, tool servers, a person.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::Error;
use super::answers::{Answers, Reach};
use super::offline::Nothing;
use crate::agent::{
    AgentLoop, AnswerError, Called, Invocation, Models, OpenQuestions, People, Pinned, RemoteTask,
    Servers, TaskNews, Tool, Toolbox,
};
use crate::durable::{Answer, Clock, Look, Question};
use crate::journal::{Failure, Status, Store, Task, TaskId};

/// Who answers the questions of a run that no recorded answer fits.
#[async_trait]
pub trait Person: Send + Sync {
    /// Answers a question of this key. Questions come one at a time.
    async fn answer(&self, key: &str, question: &Question) -> Answer;
}

/// A function answers as a person does.
#[async_trait]
impl<F: Fn(&Question) -> Answer + Send + Sync> Person for F {
    async fn answer(&self, _key: &str, question: &Question) -> Answer {
        self(question)
    }
}

type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a run may reach. What is `None` is not there.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) models: Option<Arc<dyn Models>>,
    pub(super) tools: Option<Arc<dyn Toolbox>>,
    pub(super) person: Option<Arc<dyn Person>>,
    pub(super) variables: Option<Variables>,
}

impl World {
    pub(super) fn reach(&self) -> Reach {
        Reach {
            models: self.models.is_some(),
            tools: self.tools.is_some(),
            person: self.person.is_some(),
        }
    }

    /// Whether a run of this agent has all that it may need.
    pub(super) fn can_do_all(&self, agent: &Pinned) -> Result<(), Error> {
        let agents = std::iter::once(&agent.agent).chain(agent.agents.values());
        if self.models.is_none() {
            return Err(Error::NotThere { what: "model", method: "models" });
        }
        if self.tools.is_none() && agents.into_iter().any(|agent| !agent.servers().is_empty()) {
            return Err(Error::NotThere { what: "tool server", method: "toolbox" });
        }
        Ok(())
    }

    /// The agent loop in this world; its list of tools is the recorded one where there is one.
    pub(super) fn agent_loop(&self, answers: Option<Arc<Answers>>) -> AgentLoop {
        let models = self.models.clone().unwrap_or_else(|| Arc::new(Nothing));
        let real = self.tools.clone().unwrap_or_else(|| Arc::new(Nothing));
        let tools: Arc<dyn Toolbox> = match answers {
            Some(answers) => Arc::new(Tools { real, answers }),
            None => real,
        };
        let variables = self.variables.clone();
        AgentLoop::new(models, tools)
            .with_variables(move |name| variables.as_ref().and_then(|variables| variables(name)))
    }

    /// Has the questions of a task answered as they come. Only ends with an error.
    pub(super) async fn answer(&self, store: &dyn Store, clock: &dyn Clock, task: TaskId) -> Error {
        let mut changes = store.changes();
        let mut told = HashSet::new();
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.answer_open(store, clock, task, &mut told).await {
                return error;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn answer_open(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        task: TaskId,
        told: &mut HashSet<String>,
    ) -> Result<(), Error> {
        let asks = |task: Task| task.status == Status::InputRequired;
        if !store.task(task).await?.is_some_and(asks) {
            return Ok(());
        }
        let open = OpenQuestions::of(store, task).await?;
        for (key, question) in open.iter() {
            if !told.insert(key.to_owned()) {
                continue;
            }
            let Some(person) = &self.person else {
                return Err(Error::NobodyToAsk { question: question.message.clone() });
            };
            let answer = person.answer(key, question).await;
            let answer = serde_json::to_value(&answer).unwrap_or_default();
            match open.answer(store, clock.now_ms(), [(key.to_owned(), answer)]).await {
                Ok(_) => {}
                Err(AnswerError::Journal(error)) => return Err(error.into()),
                Err(error) => return Err(Error::Answer(error)),
            }
        }
        Ok(())
    }
}

/// The real tool servers, whose list of tools is the recorded one where that is wanted. Calls that the
/// recording answers never get here.
struct Tools {
    real: Arc<dyn Toolbox>,
    answers: Arc<Answers>,
}

#[async_trait]
impl Toolbox for Tools {
    async fn list(&self, servers: &Servers) -> Result<Vec<Tool>, Failure> {
        match self.answers.listing(servers) {
            Some(tools) => Ok(tools),
            None => self.real.list(servers).await,
        }
    }

    async fn call(&self, call: Invocation<'_>) -> Result<Called, Failure> {
        self.real.call(call).await
    }

    async fn call_with(
        &self,
        call: Invocation<'_>,
        people: &dyn People,
    ) -> Result<Called, Failure> {
        self.real.call_with(call, people).await
    }

    async fn look(
        &self,
        servers: &Servers,
        task: &RemoteTask,
        answered: &[String],
    ) -> Result<Look<TaskNews>, Failure> {
        self.real.look(servers, task, answered).await
    }

    async fn asks(&self, servers: &Servers, task: &RemoteTask, key: &str) -> Result<bool, Failure> {
        self.real.asks(servers, task, key).await
    }

    async fn answer(
        &self,
        servers: &Servers,
        task: &RemoteTask,
        key: &str,
        answer: &Answer,
    ) -> Result<(), Failure> {
        self.real.answer(servers, task, key, answer).await
    }

    async fn cancel(&self, servers: &Servers, task: &RemoteTask) -> Result<(), Failure> {
        // The recorded run's tasks are not this run's to cancel.
        if self.answers.is_recorded(task) { Ok(()) } else { self.real.cancel(servers, task).await }
    }
}
