//! Requests that a server makes of its client: forms to be filled in (`elicitation/create`).
//!
//! Those that belong to a task wait here until the answer has come up from our own task's client,
//! however long that takes: a task can be found again after a crash, and asks again. The others belong
//! to a call that is under way, and wait as long as that one does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ErrorData, FormElicitationCapability, Implementation, ProtocolVersion,
};
use rmcp::service::RequestContext;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use super::in_flight::InFlight;
use crate::agent::Asked;
use crate::durable::{Answer, Question};
use crate::journal::Payload;
use crate::limits;
use crate::mcp::RELATED_TASK;

/// The questions of one server that wait for answers, by the task that asks. Clones are one.
#[derive(Clone, Default)]
pub(super) struct Desk {
    waiting: Arc<Mutex<HashMap<String, Vec<Waiting>>>>,
    came: Arc<Notify>,
}

struct Waiting {
    asked: Asked,
    reply: oneshot::Sender<Answer>,
}

impl Waiting {
    /// Whether its server still waits: it may have taken the question back, and asked it anew.
    fn is_open(&self) -> bool {
        !self.reply.is_closed()
    }
}

impl Desk {
    fn waiting<T>(&self, f: impl FnOnce(&mut HashMap<String, Vec<Waiting>>) -> T) -> T {
        f(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The questions that a task waits with. One that its server has taken back is none.
    pub(super) fn asked(&self, task: &str) -> Vec<Asked> {
        self.waiting(|waiting| {
            let Some(questions) = waiting.get_mut(task) else { return Vec::new() };
            questions.retain(Waiting::is_open);
            let asked = questions.iter().map(|waiting| waiting.asked.clone()).collect();
            if questions.is_empty() {
                waiting.remove(task);
            }
            asked
        })
    }

    /// The same, once there is one.
    pub(super) async fn first_asked(&self, task: &str) -> Vec<Asked> {
        loop {
            let came = self.came.notified();
            let asked = self.asked(task);
            if !asked.is_empty() {
                return asked;
            }
            came.await;
        }
    }

    /// Answers a question as soon as it is asked.
    pub(super) async fn reply_once_asked(&self, task: &str, key: &str, answer: &Answer) {
        loop {
            let came = self.came.notified();
            if self.reply(task, key, answer.clone()) {
                return;
            }
            came.await;
        }
    }

    /// Answers a question; says whether it was still waiting.
    pub(super) fn reply(&self, task: &str, key: &str, answer: Answer) -> bool {
        let reply = self.waiting(|waiting| {
            let questions = waiting.get_mut(task)?;
            let is_it = |waiting: &Waiting| waiting.asked.key == key && waiting.is_open();
            let at = questions.iter().position(is_it)?;
            let found = questions.swap_remove(at);
            if questions.is_empty() {
                waiting.remove(task);
            }
            Some(found.reply)
        });
        reply.is_some_and(|reply| reply.send(answer).is_ok())
    }

    /// Takes a question, in place of those that their server has taken back. One too many is let go,
    /// and so has no answer.
    fn put(&self, task: String, question: Waiting) {
        self.waiting(|all| {
            all.retain(|_, questions| {
                questions.retain(Waiting::is_open);
                !questions.is_empty()
            });
            if all.values().map(Vec::len).sum::<usize>() < limits::REMOTE_QUESTIONS {
                all.entry(task).or_default().push(question);
            } else {
                tracing::warn!(
                    task,
                    "a tool server asks too much at once: a question is cancelled"
                );
            }
        });
    }

    async fn ask(&self, task: String, question: Question) -> Option<Answer> {
        // These requests have no name that outlives a connection, so the answer goes by what is asked.
        let key = Payload::of(&question).ok()?.hash().to_string();
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { asked: Asked { key, question }, reply };
        self.put(task, waiting);
        self.came.notify_waiters();
        answer.await.ok()
    }
}

/// Us, as a server sees us.
pub(super) struct Client {
    pub(super) desk: Desk,
    pub(super) calls: InFlight,
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let name = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let forms = ElicitationCapability::new().with_form(FormElicitationCapability::new());
        let mut can = ClientCapabilities::builder().enable_tasks().build();
        can.elicitation = Some(forms);
        ClientConfig::new(can, name).with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn create_elicitation(
        &self,
        asked: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let meta = context.meta.get(RELATED_TASK);
        let task = meta.and_then(|task| task.get("taskId")).and_then(Value::as_str);
        let Some(question) = question(&asked) else {
            return Ok(ElicitResult::new(ElicitationAction::Cancel));
        };
        let asking = async {
            match task {
                Some(task) => self.desk.ask(task.to_owned(), question).await,
                None => self.calls.ask(question).await,
            }
        };
        let answer = context.ct.run_until_cancelled(asking).await.flatten();
        Ok(result(&answer.unwrap_or(Answer::Cancel)))
    }
}

/// A form to be filled in, or a page to be opened as one without fields.
pub(super) fn question(asked: &ElicitRequestParams) -> Option<Question> {
    let (message, schema) = match asked {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            (message.clone(), json!(requested_schema))
        }
        ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
            (format!("{message} (open {url})"), json!({"type": "object", "properties": {}}))
        }
        _ => return None,
    };
    Some(Question::new(message, Payload::of(&schema).ok()?))
}

/// An answer as the result of `elicitation/create`.
pub(super) fn result(answer: &Answer) -> ElicitResult {
    match answer {
        Answer::Accept { content } => ElicitResult::new(ElicitationAction::Accept)
            .with_content(Value::Object(content.clone())),
        Answer::Decline => ElicitResult::new(ElicitationAction::Decline),
        Answer::Cancel | Answer::Expired => ElicitResult::new(ElicitationAction::Cancel),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn an_answer_goes_to_the_question_that_still_waits() {
        let desk = Desk::default();
        let ask = || {
            let question = Question::new("Sure?", Payload::null());
            Box::pin(desk.ask("task".to_owned(), question))
        };
        let (mut taken_back, mut again) = (ask(), ask());
        assert!(poll!(&mut taken_back).is_pending() && poll!(&mut again).is_pending());
        let key = desk.asked("task")[0].key.clone();
        drop(taken_back);
        assert!(desk.reply("task", &key, Answer::Decline));
        assert_eq!(again.await, Some(Answer::Decline));
        assert!(!desk.reply("task", &key, Answer::Decline), "nothing waits any more");
    }

    #[tokio::test]
    async fn a_task_whose_questions_were_all_taken_back_asks_nothing() {
        let desk = Desk::default();
        let mut asked =
            Box::pin(desk.ask("task".to_owned(), Question::new("Sure?", Payload::null())));
        assert!(poll!(&mut asked).is_pending());
        drop(asked);
        assert!(desk.asked("task").is_empty());
        assert!(desk.waiting(|waiting| waiting.is_empty()));
    }

    #[tokio::test]
    async fn a_server_that_asks_without_end_is_let_go_and_then_asks_again() {
        let desk = Desk::default();
        let ask = |n: usize| {
            Box::pin(desk.ask(format!("task {n}"), Question::new("Sure?", Payload::null())))
        };
        let mut asked: Vec<_> = (0..limits::REMOTE_QUESTIONS).map(ask).collect();
        for asked in &mut asked {
            assert!(poll!(asked).is_pending());
        }
        assert_eq!(ask(0).await, None, "one too many");
        drop(asked);
        assert!(poll!(&mut ask(0)).is_pending());
        assert_eq!(desk.waiting(|waiting| waiting.len()), 1, "what was taken back is forgotten");
    }
}
