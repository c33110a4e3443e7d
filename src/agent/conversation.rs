//! The conversation with a model, valid in every state.
//!
//! Every tool call in it has exactly one result before anything else follows: model servers refuse a
//! conversation with an orphaned call for ever after. The types keep it so: replies and results come
//! in through the two methods below and nowhere else.

use super::model::{Message, Reply, ToolCall, Usage};
use crate::journal::Hash;
use crate::limits;

/// What a model and the runtime have said so far.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    messages: Vec<Message>,
    /// The length of each as JSON.
    lengths: Vec<usize>,
    /// The hash of the system prompt, where the chain begins.
    system: Hash,
    /// Grows by the newest message only: a replayed turn costs its own messages, not all of them.
    hash: Hash,
    bytes: usize,
    counted: Option<Counted>,
}

/// What a server has counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// The tokens of the first messages, up to a reply, and of the system prompt and the tools.
    tokens: u64,
    /// How many bytes these messages have.
    bytes: usize,
}

/// A place between two exchanges, after the first message and what is to be left out.
#[derive(Debug)]
pub(super) struct Cut(usize);

impl Conversation {
    /// A conversation that begins with what the caller wants.
    pub(super) fn new(system: &str, first_message: String) -> Self {
        let hash = Hash::of(system.as_bytes());
        let mut talk = Self {
            messages: Vec::new(),
            lengths: Vec::new(),
            system: hash,
            hash,
            bytes: system.len(),
            counted: None,
        };
        talk.say(first_message);
        talk
    }

    /// What the model is to read next, from the person or the runtime.
    pub(super) fn say(&mut self, text: String) {
        self.push(Message::User { text });
    }

    /// Takes in a reply without tool calls. One that says nothing leaves no trace: servers refuse
    /// empty messages.
    pub(super) fn reply(&mut self, reply: Reply) {
        if reply.text.as_ref().is_some_and(|text| !text.is_empty()) {
            let usage = reply.usage;
            self.push(Message::Assistant(Reply { calls: Vec::new(), ..reply }));
            self.count(usage);
        }
    }

    /// Takes in a reply with tool calls together with what became of each of them, in their order.
    pub(super) fn calls(&mut self, reply: Reply, results: Vec<String>) {
        let ids: Vec<_> = reply.calls.iter().map(|ToolCall { id, .. }| id.clone()).collect();
        let usage = reply.usage;
        self.push(Message::Assistant(reply));
        self.count(usage);
        let mut results = results.into_iter();
        for call_id in ids {
            let text = results.next().unwrap_or_else(|| "The call was not run.".to_owned());
            self.push(Message::Tool { call_id, text });
        }
    }

    fn push(&mut self, message: Message) {
        // The JSON form of a message cannot fail: it has no maps but those of JSON itself.
        let json = serde_json::to_vec(&message).unwrap_or_default();
        self.hash = self.hash.then(&json);
        self.bytes += json.len();
        self.lengths.push(json.len());
        self.messages.push(message);
    }

    /// Takes in what the newest reply has cost, where its server says so.
    fn count(&mut self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
            self.counted = Some(Counted { tokens, bytes: self.bytes });
        }
    }

    /// The place to cut at so that what follows, whole exchanges, has at most so many bytes. The last
    /// exchange is never cut off. `None` where there is nothing to leave out.
    pub(super) fn cut(&self, keep_bytes: usize) -> Option<Cut> {
        let mut cut = None;
        let mut bytes = 0_usize;
        for place in (2..self.messages.len()).rev() {
            bytes = bytes.saturating_add(self.lengths[place]);
            if matches!(self.messages[place], Message::Tool { .. }) {
                continue;
            }
            if cut.is_some() && bytes > keep_bytes {
                break;
            }
            cut = Some(place);
        }
        cut.map(Cut)
    }

    /// The first message, and those that a cut leaves out.
    pub(super) fn before(&self, cut: &Cut) -> (&Message, &[Message]) {
        (&self.messages[0], &self.messages[1..cut.0])
    }

    /// How many bytes a cut leaves out.
    pub(super) fn bytes_before(&self, cut: &Cut) -> usize {
        self.lengths[1..cut.0].iter().sum()
    }

    /// Puts a summary in the place of what a cut leaves out.
    pub(super) fn sum_up(&mut self, cut: Cut, text: String) {
        let replies = |message: &Message| match message {
            Message::Assistant(_) => 1,
            Message::Summary { replies, .. } => *replies,
            Message::User { .. } | Message::Tool { .. } => 0,
        };
        let replies = self.before(&cut).1.iter().map(replies).sum();
        self.bytes -= self.lengths.drain(..).sum::<usize>();
        self.hash = self.system;
        // A server's count is of the conversation as it was.
        self.counted = None;
        let mut messages = std::mem::take(&mut self.messages);
        let summary = Message::Summary { text, replies };
        messages.splice(1..cut.0, [summary]).for_each(drop);
        messages.into_iter().for_each(|message| self.push(message));
    }

    /// Whether the server has counted its tokens, and those of what else is in a request.
    pub(super) fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// All of it.
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The hash of all of it, the system prompt included.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// About how many tokens a model reads in it: what the server has counted up to its last reply,
    /// and an estimate of the rest.
    pub(super) fn estimated_tokens(&self) -> u64 {
        let Counted { tokens, bytes } = self.counted.unwrap_or(Counted { tokens: 0, bytes: 0 });
        tokens.saturating_add((self.bytes - bytes) as u64 / limits::TOKEN_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "t".to_owned(), arguments: "{}".to_owned() }
    }

    fn roles(talk: &Conversation) -> Vec<String> {
        let role = |message: &Message| match message {
            Message::User { text } | Message::Summary { text, .. } => format!("user {text}"),
            Message::Assistant(reply) => format!("assistant {}", reply.calls.len()),
            Message::Tool { call_id, text } => format!("tool {call_id} {text}"),
        };
        talk.messages().iter().map(role).collect()
    }

    #[test]
    fn every_call_has_a_result_even_where_one_is_missing() {
        let mut talk = Conversation::new("s", "hi".to_owned());
        let reply = Reply { calls: vec![call("a"), call("b")], ..Reply::default() };
        talk.calls(reply, vec!["1".to_owned()]);
        assert_eq!(
            roles(&talk),
            ["user hi", "assistant 2", "tool a 1", "tool b The call was not run."]
        );
    }

    #[test]
    fn an_empty_reply_leaves_no_trace() {
        let mut talk = Conversation::new("s", "hi".to_owned());
        talk.reply(Reply { text: Some(String::new()), ..Reply::default() });
        talk.reply(Reply::default());
        assert_eq!(roles(&talk), ["user hi"]);
    }

    #[test]
    fn a_summary_stands_for_replies_and_the_chain_begins_anew() {
        let mut talk = Conversation::new("s", "hi".to_owned());
        for n in 0..4 {
            let reply = Reply { calls: vec![call("a")], ..Reply::default() };
            talk.calls(reply, vec![n.to_string()]);
        }
        talk.sum_up(talk.cut(0).unwrap(), "sum".to_owned());
        assert_eq!(roles(&talk), ["user hi", "user sum", "assistant 1", "tool a 3"]);
        let other = talk.clone();
        talk.sum_up(talk.cut(0).unwrap(), "sum".to_owned());
        assert!(matches!(talk.messages()[1], Message::Summary { replies: 3, .. }));
        assert_eq!((talk.hash(), talk.bytes), (other.hash(), other.bytes));
    }

    #[test]
    fn a_server_s_own_count_is_better_than_an_estimate() {
        let mut talk = Conversation::new("s", "hi".to_owned());
        let usage = Usage { input_tokens: 1_000, output_tokens: 50, cached_tokens: 900 };
        let text = Some("hello".to_owned());
        talk.reply(Reply { text, usage: Some(usage), ..Reply::default() });
        assert_eq!(talk.estimated_tokens(), 1_050);
        talk.say("x".repeat(400));
        assert!((1_150..1_200).contains(&talk.estimated_tokens()));
    }

    #[test]
    fn the_hash_follows_from_all_that_was_said() {
        let talk = |system: &str, text: &str| Conversation::new(system, text.to_owned()).hash();
        assert_eq!(talk("s", "a"), talk("s", "a"));
        assert_ne!(talk("s", "a"), talk("s", "b"));
        assert_ne!(talk("s", "a"), talk("t", "a"));
    }
}
