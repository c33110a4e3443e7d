//! A durable function with everything in it: model calls, the three effects side by side, a retry, a
//! sleep of a week, a child, and steps that must not run twice one after another.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use relight::durable::{Attempt, Builder, Context, RetryPolicy, StartTask};
use relight::journal::{Failure, FailureKind, Payload, StepKind, TaskId};

use crate::power::Site;
use crate::scratch::Scratch;
use crate::sweep::{Program, effects, sweep};
use crate::world::{Hand, World};

/// What the function answers: for each part of it, what came of it.
pub(crate) type Answer = BTreeMap<String, String>;

const IN_DOUBT: &str = "in doubt";

/// Registers the function and its child.
pub(crate) fn register(builder: Builder, hand: Hand) -> Builder {
    let child = hand.clone();
    builder
        .function("order", move |ctx, pause_ms| order(ctx, hand.clone(), pause_ms))
        .function("receipt", move |ctx, plan| receipt(ctx, child.clone(), plan))
}

async fn order(ctx: Context, hand: Hand, pause_ms: u64) -> Result<Answer, Failure> {
    let began_ms = ctx.now_ms().await?;
    let plan = model(&ctx, &hand, "plan").await?;
    let (a, b, c, d) = (ctx.scope("a"), ctx.scope("b"), ctx.scope("c"), ctx.scope("d"));
    let (weather, seat, charge, badge) = tokio::join!(
        a.pure("weather").run(|attempt| done(&hand, attempt, "weather")),
        b.idempotent("seat").retry(at_once()).run(|attempt| busy_at_first(&hand, attempt)),
        once(&c, &hand, "charge"),
        once(&d, &hand, "badge"),
    );
    let slept = ctx.sleep("cooling-off", Duration::from_millis(pause_ms)).await;
    slept?;
    let receipt: String = ctx.child("receipt", "receipt", &plan).await?;
    let ship = once(&ctx, &hand, "ship").await?;
    let notify = once(&ctx, &hand, "notify").await?;
    let summary = model(&ctx, &hand, "summary").await?;
    let took_ms = ctx.now_ms().await? - began_ms;
    let on_time = if took_ms >= i64::try_from(pause_ms).unwrap() { "on time" } else { "too early" };
    let parts = [
        ("plan", plan),
        ("weather", weather?),
        ("seat", seat?),
        ("charge", charge?),
        ("badge", badge?),
        ("receipt", receipt),
        ("ship", ship),
        ("notify", notify),
        ("summary", summary),
        ("sleep", on_time.to_owned()),
    ];
    Ok(parts.map(|(name, value)| (name.to_owned(), value)).into())
}

async fn receipt(ctx: Context, hand: Hand, plan: String) -> Result<String, Failure> {
    let text: String = ctx.pure("text").run(|attempt| done(&hand, attempt, "text")).await?;
    let mail = once(&ctx, &hand, "mail").await?;
    Ok(format!("{plan}, {text}, {mail}"))
}

async fn model(ctx: &Context, hand: &Hand, name: &'static str) -> Result<String, Failure> {
    let step = ctx.idempotent(name).kind(StepKind::Model).input(name);
    step.run(|attempt| done(hand, attempt, name)).await
}

/// A step whose doubt the function can live with, and says so.
async fn once(ctx: &Context, hand: &Hand, name: &'static str) -> Result<String, Failure> {
    match ctx.once(name).run(|attempt| done(hand, attempt, name)).await {
        Err(failure) if failure.kind == FailureKind::InDoubt => Ok(IN_DOUBT.to_owned()),
        outcome => outcome,
    }
}

async fn done(hand: &Hand, attempt: Attempt, name: &str) -> Result<String, Failure> {
    hand.effect(&attempt.idempotency_key).await;
    Ok(format!("{name} done"))
}

/// Takes no effect on the first two attempts.
async fn busy_at_first(hand: &Hand, attempt: Attempt) -> Result<String, Failure> {
    if attempt.number < 3 {
        hand.look("seat is busy").await;
        return Err(Failure::transient("busy"));
    }
    done(hand, attempt, "seat").await
}

fn at_once() -> RetryPolicy {
    RetryPolicy { attempts: 5, first_ms: 0, max_ms: 0 }
}

/// Checks an answer; `may_doubt` says where a doubt is fair.
pub(crate) fn judge(answer: &Answer, mut may_doubt: impl FnMut(&str) -> bool) {
    let mut check = |key: &str, value: &str, right: &str| {
        assert!(value == right || (value == IN_DOUBT && may_doubt(key)), "{key}: {value}");
    };
    for (name, key) in [
        ("plan", ""),
        ("weather", ""),
        ("seat", ""),
        ("charge", "c/charge"),
        ("badge", "d/badge"),
        ("ship", "ship"),
        ("notify", "notify"),
        ("summary", ""),
    ] {
        check(key, &answer[name], &format!("{name} done"));
    }
    assert_eq!(answer["sleep"], "on time");
    let mail = answer["receipt"].strip_prefix("plan done, text done, ").unwrap();
    check("mail", mail, "mail done");
}

struct Order;

impl Program for Order {
    fn register(&self, builder: Builder, hand: Hand, _: &Scratch) -> Builder {
        register(builder, hand)
    }

    fn start(&self) -> StartTask {
        const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;
        let mut start = StartTask::new("order", "order", Payload::of(&WEEK_MS).unwrap());
        start.idempotency_key = Some("order".to_owned());
        start
    }

    fn children(&self) -> usize {
        1
    }

    fn judge(&self, answer: &Payload, _: TaskId, in_doubt: &HashSet<String>, world: &World) {
        let answer: Answer = answer.read().unwrap();
        let ends_with = |key: &str, path: &String| path.split_once('/').unwrap().1 == key;
        judge(&answer, |key| in_doubt.iter().any(|path| ends_with(key, path)));
        // What is said to be done was done. A child's steps are found by their names.
        let effects = world.effects();
        for (name, key) in [("charge", "c/charge"), ("badge", "d/badge"), ("ship", "ship")] {
            let runs: u32 = effects.iter().filter(|(p, _)| ends_with(key, p)).map(|(_, n)| n).sum();
            assert!(answer[name] == IN_DOUBT || runs == 1, "{name} took effect {runs} times");
        }
    }
}

#[test]
fn a_function_survives_a_crash_at_every_site() {
    let sites = sweep(&Order);
    let commits = sites.iter().filter(|site| matches!(site, Site::BeforeCommit(_))).count();
    // plan, weather, seat, charge, badge, text, mail, ship, notify, summary
    assert_eq!(effects(&sites), 10);
    assert!(commits >= 20, "{sites:#?}");
}
