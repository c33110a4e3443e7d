//! Who commits what is to be written: whoever wants it, where nobody else wants anything, or the one
//! thread that writes.
//!
//! ```text
//! callers ──(a place of WRITE_QUEUE)──> queue ──> thread: BEGIN, each command, COMMIT ──> answers
//!    └────────── alone, and the disk is quick: BEGIN, the command, COMMIT
//! ```
//!
//! The thread takes all that is queued into one transaction and answers each caller after the commit,
//! so that callers share the cost of the sync. A caller that is alone has nobody to share it with, and
//! to wake the thread and be woken by it takes about half as long as a sync: so it commits by itself,
//! where commits have been quick of late. Before that it lets others run who may want to write too (see
//! [`company`](super::company)), so that work that goes on side by side comes together in the queue.
//!
//! The queue is the standard library's, with a semaphore for its bound, and the times at which to
//! look at other processes' writes come through it from a thread that only sleeps: a wait with a
//! timeout, or a runtime of its own, would cost every commit a few microseconds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::Options;
use super::committer::{Command, Committer, Tx};
use super::company::Company;
use super::fault::Fault;
use crate::journal::{Error, Result};
use crate::limits;

enum Message {
    Write(Box<dyn Command>),
    /// Look what other processes have done.
    Look,
    /// Look how long the log has become.
    LookAtLog,
    WarmUp,
    Close,
}

struct Call<T, F> {
    command: Option<F>,
    outcome: Result<T, Fault>,
    reply: oneshot::Sender<Result<T>>,
    path: Arc<PathBuf>,
    _place: OwnedSemaphorePermit,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        let Some(command) = self.command.take() else { return Ok(()) };
        let before = tx.total_changes();
        match command(tx) {
            Err(Fault::Sql(error)) => Err(error),
            outcome => {
                debug_assert!(
                    outcome.is_ok() || tx.total_changes() == before,
                    "a command that was refused has written"
                );
                self.outcome = outcome;
                Ok(())
            }
        }
    }

    fn answer(self: Box<Self>, failed: Option<&Error>) {
        let answer = match failed {
            Some(error) => Err(error.clone()),
            None => self.outcome.map_err(|fault| fault.into_error("write", &self.path)),
        };
        // A caller that has gone away does not want it.
        let _ = self.reply.send(answer);
    }
}

/// The way to the journal. Dropping it ends the thread once the queue is empty.
pub(super) struct Writer {
    path: Arc<PathBuf>,
    committer: Arc<Mutex<Committer>>,
    queue: Arc<mpsc::Sender<Message>>,
    room: Arc<Semaphore>,
    company: Company,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens the journal and starts the thread.
    pub(super) fn start(
        path: PathBuf,
        options: Options,
        changes: watch::Sender<u64>,
    ) -> Result<Self> {
        let path = Arc::new(path);
        let committer = Committer::open(Arc::clone(&path), options, changes)?;
        let committer = Arc::new(Mutex::new(committer));
        let (queue, commands) = mpsc::channel();
        let queue = Arc::new(queue);
        let state = Thread { committer: Arc::clone(&committer), commands };
        let no_thread = |error: std::io::Error| Error::Open {
            path: path.to_path_buf(),
            why: format!("its threads cannot be started: {error}"),
        };
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let thread = named("journal-writer").spawn(move || state.run()).map_err(no_thread)?;
        let looks = Arc::downgrade(&queue);
        named("journal-watch").spawn(move || send_looks(&looks)).map_err(no_thread)?;
        let room = Arc::new(Semaphore::new(limits::WRITE_QUEUE));
        let (company, thread) = (Company::default(), Mutex::new(Some(thread)));
        Ok(Self { path, committer, queue, room, company, thread })
    }

    /// Runs a command and returns after its commit. It runs to its end even when the caller does
    /// not wait for it.
    pub(super) async fn write<T, F>(&self, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Error::Closed)?;
        let (call, answer) = self.call(command, place);
        self.queue.send(Message::Write(call)).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// As [`Writer::write`], for a command of a few rows: where nobody else writes, it runs on this
    /// thread. A caller that goes away while it lets others run first has written nothing.
    pub(super) async fn write_few<T, F>(&self, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let arrival = self.company.arrive();
        // No place is held while others run: whoever holds on to this future without polling it would
        // keep it from them.
        let is_empty = || self.room.available_permits() == limits::WRITE_QUEUE;
        let is_alone = arrival.is_alone(is_empty).await;
        let place = Arc::clone(&self.room).try_acquire_owned().ok().filter(|_| is_alone);
        let Some(place) = place else {
            drop(arrival);
            return self.write(command).await;
        };
        let (call, answer) = self.call(command, place);
        self.commit_or_queue(call)?;
        drop(arrival);
        answer.await.map_err(|_| Error::Closed)?
    }

    /// As [`Writer::write`], for a command that writes payloads of so many bytes and a few rows more.
    pub(super) async fn write_payloads<T, F>(&self, bytes: usize, command: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        if bytes > limits::COMMIT_ASIDE_BYTES {
            return self.write(command).await;
        }
        self.write_few(command).await
    }

    fn commit_or_queue(&self, call: Box<dyn Command>) -> Result<()> {
        let queue = |message| self.queue.send(message).map_err(|_| Error::Closed);
        let mut committer = match self.committer.try_lock() {
            Ok(committer) => committer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return queue(Message::Write(call)),
        };
        match committer.commit_at_once(call) {
            Err(call) => queue(Message::Write(call)),
            Ok(()) => {
                // Nobody who is answered waits for that. A journal that was closed needs none.
                if committer.is_log_due() {
                    let _ = queue(Message::LookAtLog);
                }
                Ok(())
            }
        }
    }

    fn call<T, F>(
        &self,
        command: F,
        place: OwnedSemaphorePermit,
    ) -> (Box<dyn Command>, oneshot::Receiver<Result<T>>)
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            command: Some(command),
            outcome: Err(Fault::Refused(Error::Closed)),
            reply,
            path: Arc::clone(&self.path),
            _place: place,
        };
        (Box::new(call), answer)
    }

    /// Has the thread prepare for many commits (see [`wal`](super::wal)) when it next has the time.
    pub(super) fn warm_up(&self) {
        // A closed journal needs none.
        let _ = self.queue.send(Message::WarmUp);
    }

    /// Lets no more commands in, has those in the queue committed, and ends the thread.
    pub(super) async fn close(&self) {
        self.room.close();
        let _ = self.queue.send(Message::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // An error is a panic of the thread, which its own message has told.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// Sends [`Message::Look`] every [`limits::WATCH_MS`] until the journal is closed or dropped.
fn send_looks(queue: &Weak<mpsc::Sender<Message>>) {
    while queue.upgrade().is_some_and(|queue| queue.send(Message::Look).is_ok()) {
        thread::sleep(Duration::from_millis(limits::WATCH_MS));
    }
}

struct Thread {
    committer: Arc<Mutex<Committer>>,
    commands: mpsc::Receiver<Message>,
}

impl Thread {
    fn run(self) {
        // An error is the end of the last sender: the store was dropped.
        while let Ok(first) = self.commands.recv() {
            if !self.serve(first) {
                break;
            }
        }
        self.committer().close();
    }

    fn committer(&self) -> MutexGuard<'_, Committer> {
        // A panic leaves no connection behind, and so nothing half done.
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is queued into one commit. `false` when the journal is to be closed.
    fn serve(&self, first: Message) -> bool {
        let mut committer = self.committer();
        let mut group = Vec::new();
        let mut next = Some(first);
        let (mut open, mut look, mut warm) = (true, false, false);
        while let Some(message) = next {
            match message {
                Message::Write(call) => group.push(call),
                Message::Look => look = true,
                Message::LookAtLog => {}
                Message::WarmUp => warm = true,
                Message::Close => open = false,
            }
            // After Close, all that was queued before it is still written.
            let full = open && group.len() >= limits::GROUP_COMMIT_MAX;
            next = if full { None } else { self.commands.try_recv().ok() };
        }
        if !group.is_empty() {
            committer.commit(group);
        }
        if committer.is_log_due() {
            committer.look_at_log();
        }
        if look {
            committer.look();
        }
        if warm && open {
            committer.warm_up();
        }
        open
    }
}
