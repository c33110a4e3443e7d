//! Texts of tools that are too long for a model: shown cut, kept whole, and read on with `read_more`.
//!
//! The tool is offered from the first cut on, and not before: most runs never need it. Which texts
//! were cut follows from what the journal holds, so a replay offers it in the same turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Call;
use super::built_in::{described, read};
use crate::agent::{Sizes, Tool};
use crate::durable::RetryPolicy;
use crate::journal::{Failure, StepKind};
use crate::limits;

/// The tool that reads on, as its steps are recorded.
pub(crate) const READ_MORE: &str = "relight/read_more";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadMore {
    /// Which output: its name stands at the end of what is shown of it.
    output: String,
    /// From which byte on.
    offset: usize,
}

/// The long texts of one run.
#[derive(Debug)]
pub(super) struct LongTexts {
    /// The name of `read_more` before the model.
    name: String,
    /// How many bytes the results of one reply may take together.
    reply_bytes: usize,
    sizes: Sizes,
    /// In the order of the calls. The text's name is its place, from 1.
    texts: Mutex<Vec<Arc<str>>>,
}

impl LongTexts {
    /// For models that read so many tokens. `taken` says which names other tools have.
    pub(super) fn new(context_tokens: u64, sizes: Sizes, taken: impl Fn(&str) -> bool) -> Self {
        let mut name = "read_more".to_owned();
        while taken(&name) {
            name.insert_str(0, "relight_");
        }
        let tokens = context_tokens.saturating_mul(sizes.tool_results_percent) / 100;
        let reply_bytes = tokens.saturating_mul(limits::TOKEN_BYTES);
        Self {
            name,
            reply_bytes: usize::try_from(reply_bytes).unwrap_or(usize::MAX),
            sizes,
            texts: Mutex::default(),
        }
    }

    fn texts(&self) -> MutexGuard<'_, Vec<Arc<str>>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any text was cut so far.
    pub(super) fn is_offered(&self) -> bool {
        !self.texts().is_empty()
    }

    /// `read_more`, by the name that the model is told.
    pub(super) fn tool(&self) -> Tool {
        described::<ReadMore>(&self.name, "Reads on in the output of a tool that was shown cut.")
    }

    /// The results of one reply as the model sees them, in the order of its calls.
    pub(super) fn show(&self, results: Vec<String>) -> Vec<String> {
        let max = self.shown_bytes(results.len());
        results.into_iter().map(|text| self.show_one(text, max)).collect()
    }

    /// How much is shown of each of so many results.
    pub(super) fn shown_bytes(&self, results: usize) -> usize {
        let Sizes { tool_text_shown_bytes: most, tool_text_shown_min_bytes: least, .. } =
            self.sizes;
        (self.reply_bytes / results.max(1)).min(most).max(least)
    }

    fn show_one(&self, text: String, max: usize) -> String {
        if text.len() <= max {
            return text;
        }
        let mut texts = self.texts();
        texts.push(text.into());
        let number = texts.len();
        let text = texts[number - 1].as_ref();
        self.part(number, text, 0, max)
    }

    /// Answers a call of `read_more`, with at most `max` bytes.
    ///
    /// # Errors
    /// As every step.
    pub(super) async fn read_on(&self, call: Call<'_>, max: usize) -> Result<String, Failure> {
        let ReadMore { output, offset } = read(call.arguments)?;
        let number = output.strip_prefix("output-").and_then(|number| number.parse().ok());
        let text = number.and_then(|number: usize| {
            let text = Arc::clone(self.texts().get(number.checked_sub(1)?)?);
            Some((number, text))
        });
        let Some((number, text)) = text else {
            let last = self.texts().len();
            let what =
                format!("There is no {output:?}. The last one that was cut is output-{last}.");
            return call.refuse(what).await;
        };
        if offset >= text.len() {
            let what = format!("There is nothing at {offset}: {output} has {} bytes.", text.len());
            return call.refuse(what).await;
        }
        call.turn
            .pure(call.step)
            .kind(StepKind::Tool)
            .input(&json!({"tool": READ_MORE, "arguments": call.arguments}))
            .retry(RetryPolicy::none())
            .run(|_| std::future::ready(Ok(self.part(number, &text, offset, max))))
            .await
    }

    /// A part of a text from an offset on, and how to read on. It has at most `max` bytes.
    fn part(&self, number: usize, text: &str, offset: usize, max: usize) -> String {
        let from = text.floor_char_boundary(offset);
        let room = max.saturating_sub(self.sizes.read_note_bytes);
        let to = text.floor_char_boundary((from + room).min(text.len()));
        let (shown, bytes) = (&text[from..to], text.len());
        if to == bytes {
            return format!("{shown}\n[bytes {from} to {to}: the end of output-{number}]");
        }
        let next = json!({"output": format!("output-{number}"), "offset": to});
        format!(
            "{shown}\n[cut: bytes {from} to {to} of {bytes}; call {} with {next} to read on]",
            self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_text_and_are_no_longer_than_they_may_be() {
        let long = LongTexts::new(1_000, Sizes::default(), |_| false);
        let text = "zoë! ".repeat(1_000);
        let (mut read, mut offset) = (String::new(), 0);
        while offset < text.len() {
            let part = long.part(1, &text, offset, 1_000);
            assert!(part.len() <= 1_000, "{}", part.len());
            let (shown, _) = part.rsplit_once("\n[").unwrap();
            read.push_str(shown);
            offset += shown.len();
        }
        assert_eq!(read, text);
    }

    #[test]
    fn the_results_of_a_reply_share_the_room() {
        let long = LongTexts::new(1_000, Sizes::default(), |_| false);
        let shown = long.show(vec!["a".repeat(1_500)]);
        assert_eq!((shown[0].len(), long.is_offered()), (1_500, false));
        let shown = long.show(vec!["a".repeat(1_500), "b".to_owned()]);
        assert!(shown[0].len() <= 1_000 && shown[0].contains("output-1") && shown[1] == "b");
        assert!(long.is_offered());
    }

    #[test]
    fn another_tool_of_that_name_keeps_it() {
        let long = LongTexts::new(1_000, Sizes::default(), |name| name == "read_more");
        assert_eq!(long.tool().name, "relight_read_more");
    }
}
