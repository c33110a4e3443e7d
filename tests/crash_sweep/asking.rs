//! A durable function whose steps ask: two that put their doubts to a person, and one that asks in the
//! middle of its work. Whatever dies where, each effect takes place once, and what was answered stands.

use std::collections::HashSet;
use std::future::pending;

use relight::durable::{Answer, Attempt, Builder, Context, Doubt, Question, StartTask};
use relight::journal::{Failure, Payload, TaskId};
use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::sweep::{Program, effects, sweep};
use crate::world::{Hand, World};

async fn pay(ctx: Context, hand: Hand) -> Result<String, Failure> {
    let (a, b) = (ctx.scope("a"), ctx.scope("b"));
    let (charge, seat) = tokio::join!(
        a.once("charge").in_doubt(Doubt::Ask).run(|attempt| take_effect(&hand, attempt)),
        b.idempotent("seat").run(|attempt| seat(&hand, attempt)),
    );
    let ship = ctx.once("ship").in_doubt(Doubt::Ask).run(|attempt| take_effect(&hand, attempt));
    Ok(format!("{}; {}; {}", charge?, seat?, ship.await?))
}

async fn take_effect(hand: &Hand, attempt: Attempt) -> Result<String, Failure> {
    hand.effect(&attempt.idempotency_key).await;
    Ok("done".to_owned())
}

async fn seat(hand: &Hand, attempt: Attempt) -> Result<String, Failure> {
    let question = Question::new("Window or aisle?", Payload::of(&json!({"type": "object"}))?);
    let answer = attempt.ask(&question, pending()).await?;
    hand.effect(&attempt.idempotency_key).await;
    match answer {
        Some(Answer::Accept { content }) => Ok(content["seat"].to_string()),
        other => Err(Failure::is_final(format!("{other:?}"))),
    }
}

struct Pay;

impl Program for Pay {
    fn register(&self, builder: Builder, hand: Hand, _: &Scratch) -> Builder {
        builder.function("pay", move |ctx, (): ()| pay(ctx, hand.clone()))
    }

    fn start(&self) -> StartTask {
        let mut start = StartTask::new("pay", "pay", Payload::null());
        start.idempotency_key = Some("pay-1".to_owned());
        start
    }

    fn answer(&self, task: TaskId, key: &str, world: &World) -> Value {
        let (step, what) = key.split_once('#').unwrap();
        let content = match what.starts_with("asks/") {
            true => json!({"seat": "aisle"}),
            false if world.effects().contains_key(&format!("{task}/{step}")) => {
                json!({"outcome": "happened", "result": "done"})
            }
            false => json!({"outcome": "run"}),
        };
        json!({"action": "accept", "content": content})
    }

    fn judge(&self, answer: &Payload, task: TaskId, _: &HashSet<String>, world: &World) {
        assert_eq!(answer.read::<String>().unwrap(), "done; \"aisle\"; done");
        let effects = world.effects();
        for key in ["a/charge", "ship"] {
            assert_eq!(effects.get(&format!("{task}/{key}")), Some(&1), "{key}");
        }
    }
}

#[test]
fn a_function_whose_steps_ask_survives_a_crash_at_every_site() {
    assert_eq!(effects(&sweep(&Pay)), 3);
}
