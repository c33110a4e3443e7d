//! What a task asks people, and the one place where answers are taken: whoever brings them (an MCP
//! client, a person at a terminal), they are held against the question's form here.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Schema;
use crate::durable::{Answer, Question};
use crate::journal::{Error, History, Payload, Sent, Signal, Store, TaskId};

/// The questions of one task that nobody has answered yet, in the order in which they were asked.
#[derive(Debug)]
pub struct OpenQuestions {
    task: TaskId,
    asked: Vec<(String, Question)>,
}

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is neither an accepted form nor a refusal.
    #[error(
        "the answer to {key:?} is no elicitation result ({why}); it is an object with \"action\", \
         which is accept, decline or cancel, and with accept \"content\""
    )]
    NoAnswer {
        /// The question.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// The form is not filled in as its schema says.
    #[error("the answer to {key:?} does not fit: {complaints}")]
    DoesNotFit {
        /// The question.
        key: String,
        /// What the schema has against it.
        complaints: String,
    },
    /// The journal did not take it.
    #[error(transparent)]
    Journal(#[from] Error),
}

impl OpenQuestions {
    /// What a task asks now.
    ///
    /// # Errors
    /// As [`Store::history`].
    pub async fn of(store: &dyn Store, task: TaskId) -> Result<Self, Error> {
        let records = store.history(task, 0).await?;
        let (signals, _) = store.signals(task).await?;
        // An answer counts from the moment that it is written, whether the task runs or not.
        let answered: HashSet<_> = signals
            .iter()
            .filter_map(|signal| match signal {
                Signal::Answer { key, .. } => Some(key.as_str()),
                Signal::Cancel { .. } => None,
            })
            .collect();
        let history = History::of(records).map_err(|source| Error::Illegal { task, source })?;
        let open = history.questions().filter(|(key, _)| !answered.contains(key));
        // One that this version cannot read is one that it cannot put to anybody.
        let asked = open.filter_map(|(key, asked)| Some((key.to_owned(), asked.read().ok()?)));
        Ok(Self { task, asked: asked.collect() })
    }

    /// The questions by their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Question)> {
        self.asked.iter().map(|(key, question)| (key.as_str(), question))
    }

    /// The question of this key.
    pub fn get(&self, key: &str) -> Option<&Question> {
        self.iter().find(|(open, _)| *open == key).map(|(_, question)| question)
    }

    /// Passes answers on to the task, all or none, and returns how many that were. One under a key
    /// that is not open, or not any more, is passed over, as the Tasks extension says ("Task
    /// Input"). Each is an `ElicitResult` of MCP.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub async fn answer(
        &self,
        store: &dyn Store,
        now_ms: i64,
        answers: impl IntoIterator<Item = (String, Value)>,
    ) -> Result<usize, AnswerError> {
        let mut signals = Vec::new();
        for (key, answer) in answers {
            if let Some(question) = self.get(&key) {
                let value = checked(&key, question, answer)?;
                signals.push(Signal::Answer { key, value });
            }
        }
        let mut taken = 0;
        for signal in signals {
            if store.signal(self.task, signal, now_ms).await? == Sent::Delivered {
                taken += 1;
            }
        }
        Ok(taken)
    }
}

fn checked(key: &str, question: &Question, answer: Value) -> Result<Payload, AnswerError> {
    let wrong = |why: String| AnswerError::NoAnswer { key: key.to_owned(), why };
    let answer: Answer =
        serde_json::from_value(answer).map_err(|error| wrong(error.to_string()))?;
    match &answer {
        Answer::Accept { content } => {
            if let Some(complaints) = complaints(question, content).map_err(wrong)? {
                return Err(AnswerError::DoesNotFit { key: key.to_owned(), complaints });
            }
        }
        Answer::Decline | Answer::Cancel => {}
        Answer::Expired => return Err(wrong("nobody can say that a question has expired".into())),
    }
    Payload::of(&answer).map_err(|error| wrong(error.to_string()))
}

/// What the question's form has against these values.
fn complaints(question: &Question, content: &Map<String, Value>) -> Result<Option<String>, String> {
    let schema: Value = question.schema.read().map_err(|error| error.to_string())?;
    Ok(Schema::of_form(&schema)?.complaints(&Value::Object(content.clone())))
}
