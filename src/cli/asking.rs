//! A task's questions while it is followed: told, and at a terminal answered right there.

use std::collections::HashSet;
use std::io::{self, BufRead, IsTerminal};

use relight::agent::{AnswerError, OpenQuestions};
use relight::durable::{Clock, Question, SystemClock};
use relight::journal::{Store, TaskId};
use serde_json::Value;
use tokio::sync::mpsc;

use super::Error;
use super::form::{Form, Taken};
use super::screen::{Screen, bold, dim};

/// Lines that are typed before the question is there that they are for.
const LINES_AHEAD: usize = 16;

/// Whether somebody sits there who can be asked.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The lines of stdin, read by a thread of its own: a read of a terminal cannot be broken off, and
/// must not keep the program from ending.
pub(super) fn lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Writes what is asked.
fn show(key: &str, question: &Question, screen: &Screen) {
    screen.note(format!("\n{} {}", bold("?"), bold(key)));
    for line in question.message.lines() {
        screen.note(format!("  {line}"));
    }
}

/// Puts a question to whoever sits at the terminal. The next line is for the first field.
pub(super) fn put(key: &str, question: &Question, screen: &Screen) -> Form {
    show(key, question, screen);
    screen.note(dim("  (/decline says no, /cancel gives no answer)"));
    let form = Form::of(question);
    prompt(&form, screen);
    form
}

/// Says what the next line is for.
pub(super) fn prompt(form: &Form, screen: &Screen) {
    screen.prompt(form.prompt().unwrap_or_else(|| "Enter> ".to_owned()));
}

/// Passes an answer on, and says so where somebody else was first.
///
/// # Errors
/// [`AnswerError`].
pub(super) async fn pass_on(
    store: &dyn Store,
    task: TaskId,
    key: &str,
    answer: Value,
    screen: &Screen,
) -> Result<(), AnswerError> {
    let open = OpenQuestions::of(store, task).await?;
    let taken = open.answer(store, SystemClock.now_ms(), [(key.to_owned(), answer)]).await?;
    if taken == 0 {
        screen.note(format!("{key} is answered already, or the task has ended."));
    }
    Ok(())
}

/// Asks what one followed task asks.
pub(super) struct Asker {
    task: TaskId,
    /// How to answer from elsewhere.
    command: String,
    /// Questions that were told.
    told: HashSet<String>,
    terminal: Terminal,
}

enum Terminal {
    /// There is none, or it was closed.
    Absent,
    /// Nothing was asked yet.
    Idle,
    Open(mpsc::Receiver<String>, Option<(String, Form)>),
}

impl Asker {
    /// `command` answers a question of the task; its key is added to it.
    pub(super) fn new(task: TaskId, command: String, at_terminal: bool) -> Self {
        let terminal = if at_terminal { Terminal::Idle } else { Terminal::Absent };
        Self { task, command, told: HashSet::new(), terminal }
    }

    /// Looks what the task asks now. Returns whether a form waits for a line.
    pub(super) async fn look(&mut self, store: &dyn Store, screen: &Screen) -> Result<bool, Error> {
        let open = OpenQuestions::of(store, self.task).await?;
        if matches!(self.terminal, Terminal::Absent) {
            for (key, question) in open.iter() {
                self.tell(key, question, screen);
            }
            return Ok(false);
        }
        let terminal = std::mem::replace(&mut self.terminal, Terminal::Absent);
        let (lines, mut form) = match terminal {
            Terminal::Open(lines, form) => (Some(lines), form),
            Terminal::Absent | Terminal::Idle => (None, None),
        };
        if let Some((key, _)) = form.take_if(|(key, _)| open.get(key).is_none()) {
            screen.note(format!("\n{key} was answered elsewhere."));
        }
        if form.is_none()
            && let Some((key, question)) = open.iter().find(|(key, _)| !self.told.contains(*key))
        {
            self.told.insert(key.to_owned());
            form = Some((key.to_owned(), put(key, question, screen)));
        }
        let waits = form.is_some();
        self.terminal = match lines {
            None if !waits => Terminal::Idle,
            lines => Terminal::Open(lines.unwrap_or_else(self::lines), form),
        };
        Ok(waits)
    }

    fn tell(&mut self, key: &str, question: &Question, screen: &Screen) {
        if self.told.insert(key.to_owned()) {
            show(key, question, screen);
            for line in Form::of(question).lines() {
                screen.note(dim(format!("  {line}")));
            }
            let (command, usage) = (&self.command, Form::of(question).usage());
            screen.note(format!(
                "Answer it by: {}",
                bold(format!("{command} --question '{key}' {usage}"))
            ));
        }
    }

    /// The next line for an open form; never where there is none.
    pub(super) async fn line(&mut self) -> Option<String> {
        match &mut self.terminal {
            Terminal::Open(lines, Some(_)) => lines.recv().await,
            _ => std::future::pending().await,
        }
    }

    /// Takes the line, or that there are no more.
    pub(super) async fn take(
        &mut self,
        line: Option<String>,
        store: &dyn Store,
        screen: &Screen,
    ) -> Result<(), Error> {
        let Terminal::Open(_, slot) = &mut self.terminal else { return Ok(()) };
        let Some((key, form)) = slot else { return Ok(()) };
        let Some(line) = line else {
            self.told.clear();
            self.terminal = Terminal::Absent;
            return Ok(());
        };
        let answer = match form.take(&line) {
            Taken::Answer(answer) => answer,
            again => {
                if let Taken::Wrong(why) = again {
                    screen.note(why);
                }
                prompt(form, screen);
                return Ok(());
            }
        };
        let key = std::mem::take(key);
        *slot = None;
        match pass_on(store, self.task, &key, answer, screen).await {
            Err(AnswerError::Journal(error)) => Err(error.into()),
            Err(wrong) => {
                screen.note(wrong);
                self.told.remove(&key);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
