//! The calls that are under way over one connection, for questions that a server asks in the middle of
//! one of them.
//!
//! Such a question (`elicitation/create`) does not say which call it belongs to. It is put only where
//! there is no doubt about that: to ask the people of another task would show them what is none of
//! their business.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::durable::{Answer, Question};
use crate::journal::TaskId;
use crate::limits;

/// A question, and where its answer goes. It is not waited for any more once that is closed.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) reply: oneshot::Sender<Answer>,
    /// Its place among the open questions of the call, given back once it is put away.
    pub(super) place: OwnedSemaphorePermit,
}

/// The calls of one connection. Clones are one.
#[derive(Clone)]
pub(super) struct InFlight {
    calls: Arc<Mutex<Calls>>,
    left: Arc<Notify>,
    /// Places for questions that are on their way to a call, or wait until it is clear which it is.
    coming: Arc<Semaphore>,
}

#[derive(Default)]
struct Calls {
    next: u64,
    /// In the order in which they began.
    all: Vec<Call>,
}

struct Call {
    number: u64,
    task: TaskId,
    asks: Asks,
    /// Given up before it was answered: its server may ask on for a while.
    is_given_up: bool,
}

/// The way to the people of a call.
#[derive(Clone)]
struct Asks {
    to: mpsc::Sender<Asked>,
    places: Arc<Semaphore>,
}

/// A call while it is under way.
pub(super) struct Entered {
    number: u64,
    calls: InFlight,
    is_over: bool,
    /// The questions that belong to it.
    pub(super) asked: mpsc::Receiver<Asked>,
}

impl Entered {
    /// Says that the call was answered, or that its connection is gone.
    pub(super) fn answered(mut self) {
        self.is_over = true;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        match Handle::try_current() {
            Ok(runtime) if !self.is_over => {
                let (calls, number) = (self.calls.clone(), self.number);
                calls.give_up(number);
                runtime.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(limits::CANCELLED_CALL_MS)).await;
                    calls.leave(number);
                });
            }
            _ => self.calls.leave(self.number),
        }
    }
}

impl Default for InFlight {
    fn default() -> Self {
        let coming = Arc::new(Semaphore::new(limits::REMOTE_QUESTIONS));
        Self { calls: Arc::default(), left: Arc::default(), coming }
    }
}

impl InFlight {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a call that begins for this task.
    pub(super) fn enter(&self, task: TaskId) -> Entered {
        let (to, asked) = mpsc::channel(1);
        let asks = Asks { to, places: Arc::new(Semaphore::new(limits::QUESTIONS_OF_CALL)) };
        let mut calls = self.calls();
        let number = calls.next;
        calls.next += 1;
        calls.all.push(Call { number, task, asks, is_given_up: false });
        Entered { number, calls: self.clone(), is_over: false, asked }
    }

    fn leave(&self, number: u64) {
        self.calls().all.retain(|call| call.number != number);
        self.left.notify_waiters();
    }

    fn give_up(&self, number: u64) {
        for call in &mut self.calls().all {
            call.is_given_up |= call.number == number;
        }
        self.left.notify_waiters();
    }

    /// Puts a question to the people of the call that it must belong to. `None` where that is not
    /// clear in time, the call has ended first, or too many are open already.
    pub(super) async fn ask(&self, question: Question) -> Option<Answer> {
        let coming = place(&self.coming)?;
        let patience = Duration::from_millis(limits::QUESTION_OF_CALL_MS);
        let asks = timeout(patience, self.asker()).await.ok().flatten()?;
        let place = place(&asks.places)?;
        let (reply, answer) = oneshot::channel();
        asks.to.send(Asked { question, reply, place }).await.ok()?;
        drop(coming);
        answer.await.ok()
    }

    /// The call that asks. One that is answered meanwhile has not asked, so it is enough to wait
    /// until those that were under way at first are of one task. Of one that was given up nobody
    /// knows.
    async fn asker(&self) -> Option<Asks> {
        let before = self.calls().next;
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            {
                let calls = self.calls();
                let maybe = || calls.all.iter().filter(|call| call.number < before);
                let first = maybe().find(|call| !call.is_given_up)?;
                let mut others = maybe().filter(|call| call.task != first.task);
                match others.next() {
                    None => return Some(first.asks.clone()),
                    Some(_) if maybe().any(|call| call.is_given_up) => return None,
                    Some(_) => {}
                }
            }
            left.await;
        }
    }
}

/// A place for one more question.
fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    let place = Arc::clone(places).try_acquire_owned();
    if place.is_err() {
        tracing::warn!(
            "a tool server asks too much in the middle of calls: a question is cancelled"
        );
    }
    place.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Payload;

    fn question() -> Question {
        Question::new("Sure?", Payload::null())
    }

    fn task(n: u128) -> TaskId {
        TaskId::from_bits(n)
    }

    #[tokio::test]
    async fn a_question_goes_to_the_only_call() {
        let calls = InFlight::default();
        let mut call = calls.enter(task(1));
        let answer = async {
            let asked = call.asked.recv().await.unwrap();
            asked.reply.send(Answer::Decline).unwrap();
        };
        let (answer, ()) = tokio::join!(calls.ask(question()), answer);
        assert_eq!(answer, Some(Answer::Decline));
    }

    #[tokio::test]
    async fn it_waits_while_it_may_be_of_two_tasks() {
        let calls = InFlight::default();
        let (mut first, second) = (calls.enter(task(1)), calls.enter(task(2)));
        let mut asking = Box::pin(calls.ask(question()));
        assert!(futures_util::poll!(asking.as_mut()).is_pending());
        assert!(first.asked.try_recv().is_err());
        // A call that begins later has not asked.
        let _later = calls.enter(task(3));
        second.answered();
        assert!(futures_util::poll!(asking.as_mut()).is_pending());
        let asked = first.asked.recv().await.unwrap();
        asked.reply.send(Answer::Cancel).unwrap();
        assert_eq!(asking.await, Some(Answer::Cancel));
    }

    #[tokio::test]
    async fn a_call_that_was_given_up_may_ask_on_and_nobody_is_asked_for_it() {
        let calls = InFlight::default();
        let (first, _second) = (calls.enter(task(1)), calls.enter(task(2)));
        drop(first);
        assert_eq!(calls.ask(question()).await, None);
    }

    #[tokio::test]
    async fn without_a_call_there_is_nobody() {
        assert_eq!(InFlight::default().ask(question()).await, None);
    }

    #[tokio::test]
    async fn a_call_has_so_many_open_questions_and_no_more() {
        let calls = InFlight::default();
        let mut call = calls.enter(task(1));
        let (mut asking, mut open) = (Vec::new(), Vec::new());
        for _ in 0..limits::QUESTIONS_OF_CALL {
            let mut ask = Box::pin(calls.ask(question()));
            assert!(futures_util::poll!(ask.as_mut()).is_pending());
            asking.push(ask);
            open.push(call.asked.recv().await.unwrap());
        }
        assert_eq!(calls.ask(question()).await, None, "one too many");
        // One that its server takes back has its place until it is put away here.
        drop(asking.pop());
        assert_eq!(calls.ask(question()).await, None);
        drop(open.pop());
        let mut again = Box::pin(calls.ask(question()));
        assert!(futures_util::poll!(again.as_mut()).is_pending());
        assert!(call.asked.try_recv().is_ok());
    }
}
