//! Makes room when a conversation nears what its model can read.
//!
//! The task and the newest exchanges stay as they are; a summary takes the place of what lies between.
//! The journal keeps every message all the same. Everything here follows from the conversation and
//! from what is pinned with the task, so a replay comes to the same cuts.

use super::Sizes;
use super::conversation::{Conversation, Cut};
use super::model::Message;
use crate::journal::{Failure, Hash};
use crate::limits;

/// What the model that sums up is told. It is no part of a step's input: another wording in another
/// version of relight changes new summaries only.
pub(super) const SYSTEM_PROMPT: &str = include_str!("../../prompts/system/compact.md");

/// How much of a conversation the models of a run can read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    tokens: u64,
    sizes: Sizes,
}

/// A cut through a conversation, and what to ask for a summary of what it leaves out.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) cut: Cut,
    /// The request for a summary, a conversation of its own.
    pub(super) request: [Message; 1],
    /// The hash of what is to be summed up.
    pub(super) hash: Hash,
    /// About how many tokens the request has, whatever it is worded like.
    pub(super) tokens: u64,
    /// The longest summary, in tokens.
    pub(super) summary_tokens: u32,
}

impl Window {
    pub(super) fn new(tokens: u64, sizes: Sizes) -> Self {
        Self { tokens, sizes }
    }

    /// Takes in that this conversation was longer than the window.
    pub(super) fn shrink_below(&mut self, talk: &Conversation) {
        self.tokens = self.tokens.min(talk.estimated_tokens());
    }

    /// The cut to make before the next request, where the window is nearly full and there is enough
    /// to leave out: a summary that wins little would be followed by the next one at once.
    pub(super) fn plan(&self, talk: &Conversation) -> Option<Plan> {
        let near = self.tokens.saturating_mul(self.sizes.compact_at_percent) / 100;
        if talk.estimated_tokens() < near {
            return None;
        }
        let worth = self.tokens.saturating_mul(self.sizes.summary_percent) / 100;
        self.plan_any(talk).filter(|plan| plan.left_out_tokens(talk) > worth)
    }

    /// The cut to make because a model has refused the conversation as too long.
    pub(super) fn plan_any(&self, talk: &Conversation) -> Option<Plan> {
        let share = |percent: u64| self.tokens.saturating_mul(percent) / 100;
        let bytes = |tokens: u64| {
            usize::try_from(tokens.saturating_mul(limits::TOKEN_BYTES)).unwrap_or(usize::MAX)
        };
        let cut = talk.cut(bytes(share(self.sizes.kept_percent)))?;
        let (task, left_out) = talk.before(&cut);
        let most = share(self.sizes.transcript_percent);
        let text = request(task, left_out, bytes(most));
        Some(Plan {
            hash: Hash::of(b"compact").then(talk.hash().bytes()),
            tokens: most.min(talk.bytes_before(&cut) as u64 / limits::TOKEN_BYTES),
            summary_tokens: u32::try_from(share(self.sizes.summary_percent))
                .unwrap_or(u32::MAX)
                .max(1),
            request: [Message::User { text }],
            cut,
        })
    }
}

impl Plan {
    fn left_out_tokens(&self, talk: &Conversation) -> u64 {
        talk.bytes_before(&self.cut) as u64 / limits::TOKEN_BYTES
    }
}

/// What the conversation holds in the place of the messages that were summed up.
pub(super) fn summed_up(summary: &str) -> String {
    format!(
        "[The conversation has grown too long to be read again. The messages between the task and \
         what follows were summed up:]\n\n{}",
        summary.trim()
    )
}

/// The same where there is no summary. The task goes on all the same: what hours of work have come
/// to is worth more than a whole memory of it, and the model is told what it does not know.
pub(super) fn left_out(why: &Failure) -> String {
    format!(
        "[The conversation has grown too long to be read again. The messages between the task and \
         what follows were left out, and could not be summed up ({why}). You do not remember them: \
         find out what was done before you do anything again.]"
    )
}

/// The request for a summary, of about this many bytes at most.
fn request(task: &Message, left_out: &[Message], max_bytes: usize) -> String {
    // An earlier summary is all that is left of what it stands for: it is shown whole.
    let (earlier, left_out) = match left_out {
        [earlier @ Message::Summary { .. }, rest @ ..] => (line(earlier, max_bytes), rest),
        all => (String::new(), all),
    };
    // Every message is worth some words before any is worth many.
    let fair = max_bytes / (left_out.len() + 1);
    let each =
        fair.clamp(limits::TRANSCRIPT_MESSAGE_MIN_BYTES, limits::TRANSCRIPT_MESSAGE_MAX_BYTES);
    let lines: Vec<_> = left_out.iter().map(|message| line(message, each)).collect();
    let mut room = max_bytes.saturating_sub(earlier.len());
    let fits = |line: &&String| {
        room = room.saturating_sub(line.len());
        room > 0
    };
    let newest = lines.iter().rev().take_while(fits).count();
    let mut text = format!("The task:\n\n{}\nThe conversation:\n\n{earlier}", line(task, each));
    if newest < lines.len() {
        text.push_str(&format!("\n[{} older messages are not shown]\n", lines.len() - newest));
    }
    for line in &lines[lines.len() - newest..] {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// One message as a paragraph.
fn line(message: &Message, max_bytes: usize) -> String {
    match message {
        Message::User { text } => format!("USER: {}\n", cut(text, max_bytes)),
        Message::Summary { text, .. } => format!("EARLIER: {}\n", cut(text, max_bytes)),
        Message::Tool { call_id, text } => {
            format!("RESULT OF {call_id}: {}\n", cut(text, max_bytes))
        }
        Message::Assistant(reply) => {
            let mut line = format!(
                "ASSISTANT: {}\n",
                cut(reply.text.as_deref().unwrap_or_default(), max_bytes)
            );
            for call in &reply.calls {
                let arguments = cut(&call.arguments, max_bytes);
                line.push_str(&format!("CALL {} OF {}: {arguments}\n", call.id, call.name));
            }
            line
        }
    }
}

/// The beginning and the end of a text that is too long.
fn cut(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(max_bytes * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - max_bytes / 3);
    format!("{} [{} bytes not shown] {}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::{Reply, ToolCall};

    fn talk(exchanges: usize, bytes: usize) -> Conversation {
        let mut talk = Conversation::new("s", "the task".to_owned());
        for n in 0..exchanges {
            let call = |part| ToolCall {
                id: format!("c{n}{part}"),
                name: "look".to_owned(),
                arguments: "{}".to_owned(),
            };
            let reply = Reply { calls: vec![call('a'), call('b')], ..Reply::default() };
            talk.calls(reply, vec!["x".repeat(bytes), format!("end {n}")]);
        }
        talk
    }

    #[test]
    fn nothing_is_done_while_there_is_room() {
        assert!(Window::new(10_000, Sizes::default()).plan(&talk(10, 100)).is_none());
    }

    #[test]
    fn a_full_window_is_cut_and_the_cut_makes_room() {
        let window = Window::new(2_000, Sizes::default());
        let mut talk = talk(20, 400);
        let plan = window.plan(&talk).unwrap();
        let Message::User { text } = &plan.request[0] else { panic!("{plan:?}") };
        assert!(text.contains("USER: the task") && text.contains("a OF look: {}"), "{text}");
        assert!(text.len() < 2_000 * 4, "{}", text.len());
        talk.sum_up(plan.cut, summed_up("short"));
        assert!(window.plan(&talk).is_none());
        assert!(matches!(&talk.messages()[0], Message::User { text } if text == "the task"));
        assert!(matches!(&talk.messages()[1], Message::Summary { replies, .. } if *replies > 10));
    }

    #[test]
    fn one_exchange_is_never_cut() {
        assert!(Window::new(100, Sizes::default()).plan_any(&talk(1, 10_000)).is_none());
        // What the model has just asked for stays, however long it is.
        let long = talk(2, 10_000);
        let (_, left_out) =
            long.before(&Window::new(100, Sizes::default()).plan_any(&long).unwrap().cut);
        assert_eq!(left_out.len(), 3);
    }

    #[test]
    fn a_window_that_was_too_large_shrinks() {
        let talk = talk(4, 400);
        let mut window = Window::new(1_000_000, Sizes::default());
        assert!(window.plan(&talk).is_none());
        window.shrink_below(&talk);
        assert!(window.plan(&talk).is_some());
    }

    #[test]
    fn a_long_transcript_shows_the_newest() {
        let long = talk(500, 400);
        let (task, left_out) = long.before(&long.cut(0).unwrap());
        let text = request(task, left_out, 20_000);
        assert!(text.len() < 25_000, "{}", text.len());
        assert!(
            text.contains("older messages are not shown]") && text.contains("end 498"),
            "{text}"
        );
    }
}
