//! Room for the next call: what the budget has left, and a place at the provider.

use super::{Prompt, Run};
use crate::agent::budget::Unaffordable;
use crate::agent::conversation::Conversation;
use crate::agent::limit::{Limit, Over};
use crate::agent::model::{Message, last_words};
use crate::agent::{AtLimit, Settings};
use crate::durable::{Answer, Context};
use crate::journal::Failure;

impl Run {
    /// What is used up so far, in a few words.
    pub(super) fn spent(&self) -> String {
        self.purse.spent().words()
    }

    /// Returns when turn `n` may begin; it is counted then.
    pub(super) async fn within_limits(
        &self,
        turn: &Context,
        n: u32,
        talk: &Conversation,
    ) -> Result<(), Failure> {
        loop {
            let over = match self.purse.check_turn(n) {
                Ok(()) if self.purse.is_timed() => {
                    self.purse.check_time(self.ctx.now_ms().await?).err()
                }
                checked => checked.err(),
            };
            let Some(over) = over else {
                self.purse.begin_turn();
                return Ok(());
            };
            self.at_limit(turn, &over, talk.messages()).await?;
        }
    }

    /// The settings of the next call: it may write no more than the budget has left.
    pub(super) async fn reserve(
        &self,
        turn: &Context,
        name: &str,
        prompt: &Prompt<'_>,
    ) -> Result<Settings, Failure> {
        let mut settings = self.agent.settings().clone();
        let (reads, wanted) = (prompt.tokens, prompt.max_output_tokens);
        loop {
            match self.purse.reserve(name, reads, wanted) {
                Ok(most) => {
                    settings.max_output_tokens = most;
                    return Ok(settings);
                }
                Err(Unaffordable::Over(over)) => {
                    self.at_limit(turn, &over, prompt.messages).await?;
                }
                Err(Unaffordable::Unpriced(failure)) => return Err(failure),
            }
        }
    }

    /// Has the limit raised by a person, or ends the run, as the agent's file says.
    async fn at_limit(
        &self,
        turn: &Context,
        over: &Over,
        messages: &[Message],
    ) -> Result<(), Failure> {
        let end = || over.failure(last_words(messages));
        if self.agent.budget().at_limit == AtLimit::End {
            return Err(end());
        }
        self.ctx.report(format!("{}; asking for more", over.words()));
        let answer = turn.ask(over.step(), &over.question(self.agent.name())?).await?;
        let Answer::Accept { content } = answer else { return Err(end()) };
        let by = over.amount(&content).ok_or_else(end)?;
        // Time that the question took is no time of the agent's.
        let now_ms = if over.limit == Limit::Time { self.ctx.now_ms().await? } else { 0 };
        self.purse.raise(over.limit, by, now_ms);
        Ok(())
    }

    /// Waits until a call of this model may begin.
    pub(super) async fn place(&self, name: &str) -> Box<dyn Send> {
        let Some(pace) = self.models.pace(name) else { return Box::new(()) };
        if let Some(place) = pace.try_enter() {
            return Box::new(place);
        }
        let waiting = format!("waiting for a place at {name}; {}", self.spent());
        self.ctx.report_now(waiting).await;
        let place = pace.enter(self.root).await;
        self.ctx.report(format!("asking {name}; {}", self.spent()));
        Box::new(place)
    }
}
