//! Replies from a YAML file: the model of demos and tests. No key, no network, no chance.
//!
//! ```yaml
//! replies:
//!   - text: I will charge the card.          # what it says
//!     calls:                                 # the tools it calls, side by side
//!       - tool: charge                       # the name as the model is told it
//!         arguments:                         # a mapping; a text is sent as it is, valid or not
//!           amount: "{{input.amount}}"       # one placeholder alone keeps its type
//!         id: call_a                         # made up where there is none
//!     usage: {input_tokens: 900, output_tokens: 40}   # unknown where it is left out
//!     latency_ms: 300                        # how long it takes to answer
//!   - when: {contains: outcome is unknown}   # passed over unless a message since the last reply
//!     text: I will look it up first.         # contains this
//!     calls: [{tool: find_charge}]
//!   - error: {status: 429, retry_after_ms: 50, times: 2}   # the first two attempts fail
//!     text: "Paid: {{results.charge.id}}. The tool said: {{last}}"
//! ```
//!
//! A reply never uses up more tokens than the request lets it write, as it is with real servers; its
//! text stays whole.
//!
//! An `error` has a `status`, which means what it means from a real server, or a `kind`:
//! `transient`, `final`, or `stall` (silent for `latency_ms`, or as long as a real reply may be, and
//! then failed). It may have a `message`. Without `times` every attempt fails.
//!
//! Placeholders are `{{input}}` (the first user message), `{{last}}` (the last tool result) and
//! `{{results.TOOL}}` (that tool's last result). Where the text is JSON, fields follow after a dot;
//! entries of a list by number.
//!
//! Which reply is due is decided by the conversation alone: each assistant message in it took the
//! first reply, after the one before, whose `when` held or that has none. So a restart needs no
//! memory. A summary of earlier messages counts as the replies that it stands for, as if each had taken
//! the next one without `when`. The one exception is `times`: attempts are counted in memory, by idempotency key, and a
//! restarted process counts from the beginning.

mod file;
mod template;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::sleep;

use crate::agent::{Finish, Message, Model, Outcome, Reply, Request, ToolCall};
use crate::journal::{Failure, FailureKind, Hash};
use crate::limits;

use super::fault::is_transient;
use file::{Entry, Kind};
use template::Scene;

/// A file of replies. The [module](self) documents its format.
#[derive(Debug)]
pub struct Script {
    content: Hash,
    replies: Vec<Entry>,
    /// How often a call has failed on purpose, by its idempotency key.
    failed: Mutex<HashMap<String, u32>>,
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// A final failure that names the line where there is one, and what to change. Which file it is,
    /// the model's name says.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_bounded(path)
            .map_err(|error| Failure::is_final(format!("the script cannot be read: {error}")))?;
        let replies = file::parse(&text)?;
        let content = Hash::of(text.as_bytes());
        Ok(Self { content, replies, failed: Mutex::default() })
    }

    /// Whether both were read from the same text.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.content == other.content
    }

    /// The reply that is due after these messages, and its turn, from 1.
    fn due(&self, messages: &[Message]) -> Result<(&Entry, usize), Failure> {
        let summed_up = |message: &Message| match message {
            Message::Summary { replies, .. } => *replies,
            _ => 0,
        };
        let summed_up: usize = messages.iter().map(summed_up).sum();
        let mut given = self.after(summed_up);
        let mut turn = summed_up + 1;
        for heard in messages.split_inclusive(|said| matches!(said, Message::Assistant(_))) {
            let Some((Message::Assistant(_), heard)) = heard.split_last() else { continue };
            given = self.next(given, heard).map_or(self.replies.len(), |place| place + 1);
            turn += 1;
        }
        let last = messages.rsplit(|said| matches!(said, Message::Assistant(_))).next();
        let place = self.next(given, last.unwrap_or_default());
        let entry = place.and_then(|place| self.replies.get(place)).ok_or_else(|| {
            let left = self.replies.len().saturating_sub(given);
            let unmet = match left {
                0 => String::new(),
                left => format!(", and no `when` of the {left} left holds"),
            };
            Failure::is_final(format!(
                "the script has no reply for turn {turn}: it holds {}{unmet}",
                self.replies.len()
            ))
        })?;
        Ok((entry, turn))
    }

    /// The place after so many replies without `when`.
    fn after(&self, replies: usize) -> usize {
        let Some(nth) = replies.checked_sub(1) else { return 0 };
        let mut places =
            (0..self.replies.len()).filter(|place| self.replies[*place].when.is_none());
        places.nth(nth).map_or(self.replies.len(), |place| place + 1)
    }

    /// The first reply from this place on that may follow what was heard.
    fn next(&self, from: usize, heard: &[Message]) -> Option<usize> {
        let holds = |entry: &Entry| match &entry.when {
            None => true,
            Some(when) => heard.iter().any(|message| match message {
                Message::User { text }
                | Message::Summary { text, .. }
                | Message::Tool { text, .. } => text.contains(&when.contains),
                Message::Assistant(_) => false,
            }),
        };
        (from..self.replies.len()).find(|place| holds(&self.replies[*place]))
    }

    /// Whether this attempt of a call is to fail, where its first `times` attempts do.
    fn fails_again(&self, key: &str, times: Option<u32>) -> bool {
        let Some(times) = times else { return true };
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = failed.remove(key).unwrap_or(0);
        if before >= times {
            return false;
        }
        if failed.len() >= limits::SCRIPT_FAILING_CALLS {
            failed.clear();
        }
        failed.insert(key.to_owned(), before + 1);
        true
    }

    async fn fail(error: &file::Error, latency_ms: Option<u64>) -> Failure {
        let (kind, what) = match (error.status, error.kind) {
            (Some(status), _) if is_transient(status) => {
                (FailureKind::Transient, format!("HTTP {status}"))
            }
            (Some(status), _) => (FailureKind::Final, format!("HTTP {status}")),
            (None, Some(Kind::Stall)) => {
                pause(Some(latency_ms.unwrap_or(limits::MODEL_STALL_MS))).await;
                (FailureKind::Transient, "the reply stalled".to_owned())
            }
            (None, Some(Kind::Transient)) => (FailureKind::Transient, "an error".to_owned()),
            (None, _) => (FailureKind::Final, "an error".to_owned()),
        };
        let words = error.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        Failure::new(kind, format!("{what}{words}")).retry_after_ms(error.retry_after_ms)
    }

    fn reply(entry: &Entry, turn: usize, request: &Request) -> Result<Reply, Failure> {
        let scene = Scene::of(&request.messages);
        let unfilled = |error: template::Error| {
            Failure::is_final(format!("the script's reply for turn {turn}: {error}"))
        };
        let text = entry.text.as_ref().map(|text| template::fill_text(text, &scene));
        let call = |(place, call): (usize, &file::Call)| {
            let arguments = match &call.arguments {
                Value::Null => "{}".to_owned(),
                Value::String(text) => template::fill_text(text, &scene)?,
                mapping => template::fill(mapping, &scene)?.to_string(),
            };
            let made_up = || format!("call_{turn}_{}", place + 1);
            let id = call.id.clone().unwrap_or_else(made_up);
            Ok(ToolCall { id, name: call.tool.clone(), arguments })
        };
        let mut usage = entry.usage();
        let mut finish = Finish::Stop;
        if let (Some(usage), Some(most)) = (&mut usage, request.settings.max_output_tokens)
            && usage.output_tokens > u64::from(most)
        {
            usage.output_tokens = u64::from(most);
            finish = Finish::Length;
        }
        Ok(Reply {
            text: text.transpose().map_err(unfilled)?,
            calls: entry
                .calls
                .iter()
                .enumerate()
                .map(call)
                .collect::<Result<_, _>>()
                .map_err(unfilled)?,
            finish,
            usage,
            model: Some(request.model.clone()),
            ..Reply::default()
        })
    }
}

#[async_trait]
impl Model for Script {
    async fn call(&self, request: &Request) -> Result<Outcome, Failure> {
        let (entry, turn) = self.due(&request.messages)?;
        if let Some(error) = &entry.error
            && self.fails_again(&request.idempotency_key, error.times)
        {
            if error.kind != Some(Kind::Stall) {
                pause(entry.latency_ms).await;
            }
            return Err(Self::fail(error, entry.latency_ms).await);
        }
        pause(entry.latency_ms).await;
        Self::reply(entry, turn, request).map(Outcome::Reply)
    }
}

async fn pause(latency_ms: Option<u64>) {
    if let Some(latency_ms) = latency_ms {
        sleep(Duration::from_millis(latency_ms)).await;
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(limits::SCRIPT_MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limits::SCRIPT_MAX_BYTES {
        let why = format!("it is longer than {} bytes", limits::SCRIPT_MAX_BYTES);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}
