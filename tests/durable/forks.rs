//! Tasks that begin with what others did, and stopped tasks that go on by hand.

use std::collections::BTreeMap;

use relight::durable::{Builder, Context, Fork, ForkError, ForkPlan};
use relight::journal::{Effect, Event, Failure, Hash, Payload, Record, StepKind, TaskId};

use crate::bench::{Log, Process, start};
use crate::scratch::Scratch;

/// Charges a card, asks for a name and greets; each step that really runs is noted.
fn shop(builder: Builder, log: Log, price: u32) -> Builder {
    builder.function("shop", move |ctx: Context, (): ()| {
        let log = log.clone();
        async move {
            let note = |what: &str| {
                log.note(what);
                std::future::ready(Ok::<_, Failure>(what.to_owned()))
            };
            let charge: String = ctx.once("charge").input(&price).run(|_| note("charge")).await?;
            let name: String = ctx.pure("name").run(|_| note("name")).await?;
            let greeting: String = ctx.once("greet").input(&name).run(|_| note("greet")).await?;
            Ok(format!("{charge} {name} {greeting}"))
        }
    })
}

/// A journal in which the shop was run once, and the task.
async fn run_once(scratch: &Scratch) -> (TaskId, Vec<Record>) {
    let process = Process::start(scratch.open(), |builder| shop(builder, Log::default(), 5)).await;
    let task = process.task("shop", &()).await;
    let _: String = process.answer(task).await;
    let records = process.runtime.store().history(task, 0).await.unwrap();
    process.kill().await;
    (task, records)
}

/// What a task of these events takes over up to this step.
fn fork(
    records: &[Record],
    at: &str,
    edits: BTreeMap<String, Payload>,
    drift: bool,
) -> Result<Fork, ForkError> {
    let plan = ForkPlan { at: at.to_owned(), edits, drift, ..ForkPlan::default() };
    relight::durable::fork(TaskId::from_bits(1), records, plan)
}

#[tokio::test]
async fn what_is_before_the_fork_never_runs_again() {
    let scratch = Scratch::new();
    let (_, records) = run_once(&scratch).await;
    let forked = fork(&records, "greet", BTreeMap::new(), false).unwrap();
    assert_eq!(forked.kept, ["charge", "name"]);
    assert_eq!(forked.not_undone, ["greet"]);

    let log = Log::default();
    let process = Process::start(scratch.open(), |builder| shop(builder, log.clone(), 5)).await;
    let mut new = start("shop", &());
    new.fork = Some(forked);
    let new = process.runtime.start(new).await.unwrap();
    assert_eq!(process.answer::<String>(new).await, "charge name greet");
    assert_eq!(log.all(), ["greet"]);
}

#[tokio::test]
async fn an_edited_outcome_is_what_the_rest_goes_on_with() {
    let scratch = Scratch::new();
    let (_, records) = run_once(&scratch).await;
    let edits = BTreeMap::from([("name".to_owned(), Payload::of("Ada").unwrap())]);
    let mut new = start("shop", &());
    new.fork = Some(fork(&records, "greet", edits, false).unwrap());

    // The price has changed too; what was charged stands.
    let log = Log::default();
    let process = Process::start(scratch.open(), |builder| shop(builder, log.clone(), 6)).await;
    let new = process.runtime.start(new).await.unwrap();
    assert_eq!(process.answer::<String>(new).await, "charge Ada greet");
    assert_eq!(log.all(), ["greet"]);
}

#[tokio::test]
async fn what_cannot_be_forked_is_named() {
    let scratch = Scratch::new();
    let (_, records) = run_once(&scratch).await;
    let error = fork(&records, "turn-9", BTreeMap::new(), false).unwrap_err().to_string();
    assert_eq!(error, "the task has no step \"turn-9\"; its steps are charge, name, greet");
    let edits = BTreeMap::from([("greet".to_owned(), Payload::null())]);
    let error = fork(&records, "greet", edits, false).unwrap_err().to_string();
    assert!(error.contains("\"greet\" is not among the finished steps before the fork"), "{error}");
}

#[test]
fn a_turn_is_forked_at_its_first_step() {
    let records = records(
        [
            ("turn-1/model", Effect::Idempotent),
            ("turn-1/tool-1", Effect::Once),
            ("turn-2/model", Effect::Idempotent),
            ("turn-2/tool-1", Effect::Once),
            ("turn-10/model", Effect::Idempotent),
        ]
        .into_iter()
        .flat_map(|(key, effect)| [started(key, effect), completed(key)]),
    );
    let forked = fork(&records, "turn-2", BTreeMap::new(), false).unwrap();
    assert_eq!((forked.seed, forked.kept.len(), forked.events.len()), (7, 2, 5));
    assert_eq!(forked.not_undone, ["turn-2/tool-1"]);
    let forked = fork(&records, "turn-1", BTreeMap::new(), true).unwrap();
    let (task, at) = (TaskId::from_bits(1), "turn-1".to_owned());
    assert_eq!(forked.events, [Event::TaskForked { task, at }, Event::DriftAccepted {}]);
}

fn started(key: &str, effect: Effect) -> Event {
    Event::StepStarted {
        key: key.to_owned(),
        kind: if key.ends_with("model") { StepKind::Model } else { StepKind::Run },
        effect,
        input: Hash::default(),
        shown: None,
        attempt: 1,
        until_ms: None,
    }
}

fn completed(key: &str) -> Event {
    Event::StepCompleted { key: key.to_owned(), output: Payload::null() }
}

/// The records of a task in which this happened.
fn records(happened: impl IntoIterator<Item = Event>) -> Vec<Record> {
    let created = Event::TaskCreated {
        function: "shop".to_owned(),
        name: "shop".to_owned(),
        input: Payload::null(),
        definition: None,
        seed: 7,
        parent: None,
        deadline: None,
    };
    let events = std::iter::once(created).chain(happened);
    (0..).zip(events).map(|(seq, event)| Record { seq, at_ms: 0, event }).collect()
}

#[test]
fn what_was_begun_before_the_fork_and_has_no_outcome_may_have_happened() {
    let records = records([
        started("charge", Effect::Once),
        started("look", Effect::Pure),
        started("note", Effect::Idempotent),
        completed("note"),
        started("mail", Effect::Once),
        completed("mail"),
    ]);
    let forked = fork(&records, "mail", BTreeMap::new(), false).unwrap();
    assert_eq!(
        (forked.kept, forked.not_undone),
        (vec!["note".into()], vec!["charge".into(), "mail".into()])
    );
}

#[test]
fn a_drift_that_was_accepted_stays_so() {
    let of = |drift| {
        let records = records([
            started("charge", Effect::Once),
            completed("charge"),
            Event::DriftAccepted {},
            started("mail", Effect::Once),
        ]);
        fork(&records, "mail", BTreeMap::new(), drift).unwrap().events
    };
    let expected = [started("charge", Effect::Once), completed("charge"), Event::DriftAccepted {}];
    assert_eq!(of(false)[1..], expected);
    assert_eq!(of(true)[1..], expected);
}

#[test]
fn a_step_that_is_to_run_anew_is_left_out() {
    let records = records([
        started("tools", Effect::Pure),
        completed("tools"),
        started("charge", Effect::Once),
        completed("charge"),
        started("mail", Effect::Once),
    ]);
    let plan = ForkPlan { at: "mail".into(), anew: vec!["tools".into()], ..ForkPlan::default() };
    let forked = relight::durable::fork(TaskId::from_bits(1), &records, plan).unwrap();
    assert_eq!(forked.kept, ["charge"]);
}

#[tokio::test]
async fn a_stopped_task_goes_on_once_its_drift_is_accepted() {
    let scratch = Scratch::new();
    let log = Log::default();
    let noted = log.clone();
    let first = Process::start(scratch.open(), |builder| {
        builder.function("shop", move |ctx: Context, (): ()| {
            let log = noted.clone();
            async move {
                let _: String = ctx
                    .once("charge")
                    .input(&5)
                    .run(|_| async { Ok(String::from("charge")) })
                    .await?;
                log.note("charged");
                ctx.pure("name").run::<String, _, _>(|_| std::future::pending()).await
            }
        })
    })
    .await;
    let task = first.task("shop", &()).await;
    log.saw("charged").await;
    first.kill().await;

    let log = Log::default();
    let process = Process::start(scratch.open(), |builder| shop(builder, log.clone(), 6)).await;
    process.stopped(task).await;
    let store = process.runtime.store();
    let seq = store.task(task).await.unwrap().unwrap().events;
    let record = |seq, event| Record { seq, at_ms: 0, event };
    // The code has not changed back: it stops again.
    assert!(store.resume(task, vec![record(seq, Event::TaskResumed {})]).await.unwrap());
    process.stopped(task).await;
    let seq = store.task(task).await.unwrap().unwrap().events;
    let accepted =
        vec![record(seq, Event::TaskResumed {}), record(seq + 1, Event::DriftAccepted {})];
    assert!(store.resume(task, accepted).await.unwrap());
    assert_eq!(process.answer::<String>(task).await, "charge name greet");
    assert_eq!(log.all(), ["name", "greet"]);
}
