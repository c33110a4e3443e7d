//! Secrets taken out of a recording.
//!
//! A value is secret by the name that it stands under or by its own form. Once found, it is taken out
//! wherever else the recording has it: in texts, in JSON within texts, in messages of failures. All
//! else stays to the letter, and where a step's hash is that of its recorded input it becomes that
//! of what is left, so that a replay on what is left finds no difference.

use std::borrow::Cow;
use std::collections::BTreeSet;

use regex::{Captures, Regex};
use serde_json::Value;

use super::tokens::{Token, tokens};
use super::{RecordedTask, Recording};
use crate::journal::{Event, Failure, Payload, Record};

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";

/// Whether a value is this recorded one, where what was taken out of that may be anything.
pub(crate) fn is_same_but_redacted(recorded: &Value, given: &Value) -> bool {
    match (recorded, given) {
        (Value::String(text), _) if text == REDACTED => true,
        (Value::String(text), Value::String(given)) if text.contains(REDACTED) => {
            let parts: Vec<_> = text.split(REDACTED).map(regex::escape).collect();
            let form = Regex::new(&format!("(?s)^{}$", parts.join(".*")));
            form.is_ok_and(|form| form.is_match(given))
        }
        (Value::Array(recorded), Value::Array(given)) => {
            recorded.len() == given.len()
                && recorded.iter().zip(given).all(|(a, b)| is_same_but_redacted(a, b))
        }
        (Value::Object(recorded), Value::Object(given)) => {
            let same = |(key, value): (&String, &Value)| {
                given.get(key).is_some_and(|given| is_same_but_redacted(value, given))
            };
            recorded.len() == given.len() && recorded.iter().all(same)
        }
        _ => recorded == given,
    }
}

/// Names of members whose values are secret, in lower case and without `_` and `-`. A longer name
/// that ends in one of them counts too (`x-api-key`, `OPENAI_API_KEY`).
const NAMES: [&str; 13] = [
    "accesskey",
    "apikey",
    "authorization",
    "clientsecret",
    "cookie",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "token",
];

/// Forms that are secret wherever they stand.
const FORMS: [&str; 8] = [
    // OpenAI and those who took its form; GitHub; Slack; AWS; Google.
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{35}",
    // A JSON Web Token; what follows "Bearer"; a private key in PEM.
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{8,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----",
];

/// A secret shorter than this is taken out where it stands and not looked for elsewhere: it would be
/// found in words that have nothing to do with it.
const SPREAD_MIN_BYTES: usize = 6;

/// What is secret.
#[derive(Debug, Clone)]
pub struct Redaction {
    names: BTreeSet<String>,
    forms: Vec<Regex>,
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is no regular expression: {why}")]
pub struct BadPattern {
    pattern: String,
    why: String,
}

impl Redaction {
    /// The usual secrets: values named as passwords, keys and tokens are, and texts that have the
    /// form of a well-known kind of key.
    pub fn usual() -> Self {
        let names = NAMES.map(str::to_owned).into();
        let forms = FORMS.iter().filter_map(|form| Regex::new(form).ok()).collect();
        Self { names, forms }
    }

    /// Values under names that end like this are secret too; case, `_` and `-` make no difference.
    #[must_use]
    pub fn and_name(mut self, name: &str) -> Self {
        self.names.insert(plain(name));
        self
    }

    /// Texts that this regular expression matches are secret too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn and_form(mut self, pattern: &str) -> Result<Self, BadPattern> {
        let form = Regex::new(pattern)
            .map_err(|error| BadPattern { pattern: pattern.to_owned(), why: error.to_string() })?;
        self.forms.push(form);
        Ok(self)
    }

    /// The recording without its secrets, and whether there were any.
    pub fn apply(&self, recording: Recording) -> (Recording, bool) {
        let mut found = BTreeSet::new();
        for record in recording.tasks().iter().flat_map(|task| &task.records) {
            let mut event = record.event.clone();
            visit(&mut event, |text, is_json| {
                let pass = Pass { rules: self, known: &[] };
                let mut found_here = |secret: &str| {
                    if secret.len() >= SPREAD_MIN_BYTES {
                        found.insert(secret.to_owned());
                    }
                };
                if is_json {
                    pass.json(text, &mut found_here)
                } else {
                    pass.text(text, &mut found_here)
                }
            });
        }
        // A secret that holds another one goes first.
        let mut known: Vec<String> = found.into_iter().collect();
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let pass = Pass { rules: self, known: &known };
        let mut changed = false;
        let recording = recording.map(|task: &RecordedTask| {
            task.records.iter().map(|record| pass.record(record, &mut changed)).collect()
        });
        (recording, changed)
    }

    fn is_secret(&self, name: &str) -> bool {
        let name = plain(name);
        self.names.iter().any(|secret| name.ends_with(secret.as_str()))
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Whether a value is the name of a secret rather than one: `${OPENAI_API_KEY}`.
fn is_reference(value: &str) -> bool {
    value.contains("${")
}

struct Pass<'a> {
    rules: &'a Redaction,
    known: &'a [String],
}

impl Pass<'_> {
    fn record(&self, record: &Record, changed: &mut bool) -> Record {
        let Record { seq, at_ms, event } = record;
        let mut redacted = event.clone();
        visit(&mut redacted, |text, is_json| {
            let mut ignore = |_: &str| {};
            if is_json { self.json(text, &mut ignore) } else { self.text(text, &mut ignore) }
        });
        *changed |= redacted != *event;
        if let (
            Event::StepStarted { input: old, shown: Some(before), .. },
            Event::StepStarted { input, shown: Some(after), .. },
        ) = (event, &mut redacted)
            && *old == before.hash()
        {
            *input = after.hash();
        }
        Record { seq: *seq, at_ms: *at_ms, event: redacted }
    }

    /// A JSON text; `None` where nothing in it is secret.
    fn json(&self, text: &str, found: &mut impl FnMut(&str)) -> Option<String> {
        let (mut out, mut changed) = (String::with_capacity(text.len()), false);
        // Whether what comes next stands under a secret name; an array hands that on.
        let (mut secret, mut arrays) = (false, Vec::new());
        for token in tokens(text) {
            let new = match token {
                Token::Key(name) => {
                    secret = decoded(name).is_some_and(|name| self.rules.is_secret(&name));
                    None
                }
                Token::String(string) => {
                    let value = decoded(string);
                    let value = value.as_deref().unwrap_or_default();
                    let new = self.value(value, secret, found);
                    new.and_then(|new| serde_json::to_string(&new).ok())
                }
                // `true` under a secret name is no secret, a number may be.
                Token::Scalar(number)
                    if secret && number.starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    found(number);
                    Some(format!("\"{REDACTED}\""))
                }
                Token::Open(bracket) => {
                    arrays.push(secret && bracket == "[");
                    secret &= bracket == "[";
                    None
                }
                Token::Close(_) => {
                    arrays.pop();
                    None
                }
                Token::Scalar(_) | Token::Rest(_) => None,
            };
            let (Token::Key(old)
            | Token::String(old)
            | Token::Scalar(old)
            | Token::Open(old)
            | Token::Close(old)
            | Token::Rest(old)) = token;
            changed |= new.is_some();
            out.push_str(new.as_deref().unwrap_or(old));
            if matches!(token, Token::String(_) | Token::Scalar(_) | Token::Close(_)) {
                secret = arrays.last().copied().unwrap_or_default();
            }
        }
        changed.then_some(out)
    }

    fn value(&self, value: &str, secret: bool, found: &mut impl FnMut(&str)) -> Option<String> {
        if secret && !value.is_empty() && !is_reference(value) && value != REDACTED {
            found(value);
            return Some(REDACTED.to_owned());
        }
        let is_json = value.starts_with(['{', '['])
            && serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok();
        let inner = if is_json { self.json(value, found) } else { None };
        match self.text(inner.as_deref().unwrap_or(value), found) {
            None => inner,
            new => new,
        }
    }

    /// A plain text; `None` where nothing in it is secret.
    fn text(&self, text: &str, found: &mut impl FnMut(&str)) -> Option<String> {
        let mut text = Cow::Borrowed(text);
        for form in &self.rules.forms {
            let redacted = form.replace_all(&text, |secret: &Captures<'_>| {
                found(&secret[0]);
                REDACTED
            });
            if let Cow::Owned(redacted) = redacted {
                text = Cow::Owned(redacted);
            }
        }
        for secret in self.known {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), REDACTED));
            }
        }
        match text {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        }
    }
}

/// The value of a string token.
fn decoded(token: &str) -> Option<String> {
    serde_json::from_str(token).ok()
}

/// Shows every text of an event that comes from outside to `change`, and whether it is JSON, and
/// puts in what it returns.
fn visit(event: &mut Event, mut change: impl FnMut(&str, bool) -> Option<String>) {
    for payload in event.payloads_mut().into_iter().flatten() {
        if let Some(new) =
            change(payload.json(), true).and_then(|json| Payload::from_json(json).ok())
        {
            *payload = new;
        }
    }
    if let Some(Failure { message, .. }) = event.failure_mut()
        && let Some(new) = change(message, false)
    {
        *message = new;
    }
    if let Event::CancelRequested { reason: Some(text) } | Event::TaskCancelled { message: text } =
        event
        && let Some(new) = change(text, false)
    {
        *text = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_form_can_be_read() {
        assert_eq!(Redaction::usual().forms.len(), FORMS.len());
    }
}
