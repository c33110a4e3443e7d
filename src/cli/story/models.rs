//! What models said: each reply begins a turn.

use anstyle::AnsiColor;
use relight::agent::{Finish, Outcome, Reply, dollars};
use relight::journal::{Failure, Payload};

use super::Teller;
use super::page::{Page, Told};
use super::shown::{Shown, part, turn};
use super::totals::tokens;
use super::words::value;
use crate::cli::screen::{bold, coloured, dim, one_line};

/// The step that sums a long conversation up, by the first model of the list or another.
const COMPACT: &str = "compact";

impl Teller {
    /// A model call has ended well.
    pub(super) fn replied(&mut self, key: &str, output: &Payload, took: String, page: &mut Page) {
        let shown = Shown::of(&self.history, key);
        let model = one_line(shown.model());
        let told = |what: String, colour: Option<AnsiColor>, page: &mut Page| {
            page.step(&Told { key, what: &what, colour, ..Told::default() });
        };
        match output.read() {
            Ok(Outcome::Reply(reply)) => self.reply(key, &reply, &model, took, page),
            Ok(Outcome::Pending { pending }) => {
                told(format!("{model} works on {pending} by itself"), None, page);
            }
            Ok(Outcome::TooLong { too_long }) => {
                let what = format!("{model} cannot read as much:");
                let colour = Some(AnsiColor::Yellow);
                page.step(&Told { key, what: &what, text: &too_long, colour, ..Told::default() });
            }
            Ok(Outcome::Lost { lost }) => self.lost(key, &model, &lost, page),
            // A step of a library's user, whose outcome is their own.
            Err(_) => {
                told(format!("{model} replied"), None, page);
                page.below("-> ", &value(output, page.whole()), None);
            }
        }
    }

    fn lost(&self, key: &str, model: &str, lost: &Failure, page: &mut Page) {
        let what = format!("what {model} was at is lost:");
        let colour = Some(AnsiColor::Yellow);
        page.step(&Told { key, what: &what, text: &lost.message, colour, ..Told::default() });
    }

    fn reply(&mut self, key: &str, reply: &Reply, model: &str, took: String, page: &mut Page) {
        let mut after: Vec<_> = Some(took).filter(|took| !took.is_empty()).into_iter().collect();
        match &reply.usage {
            Some(usage) => {
                after.push(tokens(usage));
                let cost = self.totals.cost(&Shown::of(&self.history, key).model, usage);
                after.extend(cost.filter(|cost| *cost > 0).map(dollars));
            }
            None => after.push("tokens unknown".to_owned()),
        }
        let after = after.join("  ");
        let step = part(key);
        let text = reply.text.as_deref().unwrap_or_default();
        if step == COMPACT || step.starts_with("compact-") {
            let what = format!("{model} summed the conversation up");
            page.step(&Told { key, what: &what, after: &after, ..Told::default() });
            return page.below("-> ", text, None);
        }
        match turn(key) {
            Some(turn) => {
                page.line(format!("{}  {model}  {}", bold(format!("turn {turn}")), dim(after)))
            }
            None => page.step(&Told { key, what: model, after: &after, ..Told::default() }),
        }
        page.at_length("", text, None);
        match reply.finish {
            Finish::Stop => {}
            Finish::Length => self.cut_short("it ran into the bound on its output", page),
            Finish::Filtered => self.cut_short("the provider withheld the reply", page),
        }
        let asked = Shown::of(&self.history, key).model;
        let served = reply.model.as_deref().filter(|served| !asked.ends_with(served));
        if let Some(served) = served.filter(|_| page.whole()) {
            page.below("", &format!("(served by {served})"), None);
        }
        for (n, call) in reply.calls.iter().enumerate() {
            if let Some((scope, _)) = key.split_once('/') {
                self.calls.insert(format!("{scope}/tool-{}", n + 1), call.clone());
            }
        }
        self.said = reply.text.clone();
    }

    fn cut_short(&self, why: &str, page: &mut Page) {
        page.line(format!("    {}", coloured(AnsiColor::Yellow, why)));
    }
}
