//! The keys that say when a person is asked, and for how long: `approve` and `questions`.

use super::document::{Fields, Problems};
use super::policy::{Approve, Asking, Unanswered};
use super::rules::{Mention, choice, mention, words};
use crate::agent::nearest::nearest;

/// The word for all tools that may destroy something.
const DESTRUCTIVE: &str = "destructive";

/// Reads `approve`: tool patterns, and the word `destructive`. The patterns are added to
/// `mentioned`.
pub(super) fn approve(
    fields: &Fields<'_>,
    mentioned: &mut Vec<Mention>,
    problems: &mut Problems,
) -> Approve {
    let mut approve = Approve::default();
    let what = "\"server/tool\" and the word destructive";
    for (word, line) in words(fields, "approve", what, problems).unwrap_or_default() {
        if word == DESTRUCTIVE {
            approve.destructive = true;
        } else if nearest(word, [DESTRUCTIVE]).is_some() {
            problems.at(line, format!("\"approve\" cannot have {word:?}; write {DESTRUCTIVE:?}"));
        } else if let Some(mention) = mention(word, line, problems) {
            approve.tools.push(mention.pattern.clone());
            mentioned.push(mention);
        }
    }
    approve
}

/// Reads `questions`.
pub(super) fn questions(fields: &Fields<'_>, problems: &mut Problems) -> Asking {
    const KEY: &str = "questions";
    const THEN: [(&str, Unanswered); 2] = [("tell", Unanswered::Tell), ("fail", Unanswered::Fail)];
    let Some(node) = fields.get(KEY) else { return Asking::default() };
    let Some(fields) = Fields::open(node, KEY, &["expire", "then"], problems) else {
        return Asking::default();
    };
    let then =
        fields.get("then").and_then(|node| choice(&fields.name("then"), &THEN, node, problems));
    Asking { expire_ms: fields.duration_ms("expire", problems), then: then.unwrap_or_default() }
}
