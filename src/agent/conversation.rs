//! The conversation with a model, valid in every state.
//!
//! Every tool call in it has exactly one result before anything else follows: model servers refuse a
//! conversation with an orphaned call for ever after. The types keep it so: replies and results come
//! in through the two methods below and nowhere else.

use super::model::{Message, Reply, ToolCall};
use crate::journal::Hash;

/// What a model and the runtime have said so far.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    messages: Vec<Message>,
    /// Grows by the newest message only: a replayed turn costs its own messages, not all of them.
    hash: Hash,
    bytes: usize,
}

impl Conversation {
    /// A conversation that begins with what the caller wants.
    pub(super) fn new(system: &str, first_message: String) -> Self {
        let mut talk =
            Self { messages: Vec::new(), hash: Hash::of(system.as_bytes()), bytes: system.len() };
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
            self.push(Message::Assistant(Reply { calls: Vec::new(), ..reply }));
        }
    }

    /// Takes in a reply with tool calls together with what became of each of them, in their order.
    pub(super) fn calls(&mut self, reply: Reply, results: Vec<String>) {
        let ids: Vec<_> = reply.calls.iter().map(|ToolCall { id, .. }| id.clone()).collect();
        self.push(Message::Assistant(reply));
        let mut results = results.into_iter();
        for call_id in ids {
            let text = results.next().unwrap_or_else(|| "The call was not run.".to_owned());
            self.push(Message::Tool { call_id, text });
        }
    }

    fn push(&mut self, message: Message) {
        let before = self.bytes;
        // The JSON form of a message cannot fail: it has no maps but those of JSON itself.
        let json = serde_json::to_vec(&message).unwrap_or_default();
        self.hash = self.hash.then(&json);
        self.bytes = before + json.len();
        self.messages.push(message);
    }

    /// The last that the model said in words.
    pub(super) fn last_words(&self) -> Option<&str> {
        self.messages.iter().rev().find_map(|message| match message {
            Message::Assistant(reply) => reply.text.as_deref().filter(|text| !text.is_empty()),
            _ => None,
        })
    }

    /// All of it.
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The hash of all of it, the system prompt included.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// About how many tokens a model reads in it: four bytes a token is what English text and JSON
    /// come to.
    pub(super) fn estimated_tokens(&self) -> u64 {
        (self.bytes / 4) as u64
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
            Message::User { text } => format!("user {text}"),
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
    fn the_hash_follows_from_all_that_was_said() {
        let talk = |system: &str, text: &str| Conversation::new(system, text.to_owned()).hash();
        assert_eq!(talk("s", "a"), talk("s", "a"));
        assert_ne!(talk("s", "a"), talk("s", "b"));
        assert_ne!(talk("s", "a"), talk("t", "a"));
    }
}
