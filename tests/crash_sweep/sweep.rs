//! One program, crashed at each of its sites.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use relight::agent::OpenQuestions;
use relight::durable::{Builder, Clock, ManualClock, Runtime, StartTask};
use relight::journal::{End, Filter, Payload, Store, TaskId};

use serde_json::Value;

use crate::life::{Life, Threads};
use crate::power::{Power, Site};
use crate::scratch::{Scratch, within};
use crate::world::{Hand, World};

/// Trials that run side by side. They mostly wait for the moment at which a still task is parked.
const SIDE_BY_SIDE: usize = 12;

/// When a trial begins.
const BEGIN_MS: i64 = 1_700_000_000_000;

/// A program under test.
pub(crate) trait Program: Sync {
    /// Registers its functions. Files that they need go into the directory.
    fn register(&self, builder: Builder, hand: Hand, scratch: &Scratch) -> Builder;

    /// Its task, with an idempotency key: a client that got no handle asks again.
    fn start(&self) -> StartTask;

    /// How many tasks it starts.
    fn children(&self) -> usize {
        0
    }

    /// What a person answers to a question, as an `ElicitResult`: somebody who looks at the world.
    fn answer(&self, _: TaskId, key: &str, _: &World) -> Value {
        panic!("nobody should be asked {key:?}")
    }

    /// Checks the answer, given what the crash left in doubt and what took effect.
    fn judge(&self, answer: &Payload, task: TaskId, in_doubt: &HashSet<String>, world: &World);
}

/// Crashes the program at each of its sites. Returns the sites.
pub(crate) fn sweep(program: &impl Program) -> Vec<Site> {
    let sites = trial(program, None);
    let next = AtomicUsize::new(0);
    let wrongs = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(site) = sites.get(n) else { return };
                    let run = AssertUnwindSafe(|| trial(program, Some(n)));
                    if let Err(panic) = catch_unwind(run) {
                        wrongs.lock().unwrap().push(format!("{n} {site:?}: {}", words(&*panic)));
                    }
                }
            });
        }
    });
    let wrongs = wrongs.into_inner().unwrap();
    assert!(wrongs.is_empty(), "crashes at these sites went wrong:\n{}", wrongs.join("\n"));
    sites
}

/// How many of the sites are effects.
#[expect(clippy::print_stdout, reason = "the counts are for people to see")]
pub(crate) fn effects(sites: &[Site]) -> usize {
    let effects = sites.iter().filter(|site| matches!(site, Site::AfterEffect(_))).count();
    println!("{} sites, {effects} effects", sites.len());
    effects
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default()
}

/// Runs the program with a crash at this site, starts it again, and judges what came of it. Returns
/// the sites that the first life passed.
fn trial(program: &impl Program, cut_at: Option<usize>) -> Vec<Site> {
    let scratch = Scratch::new();
    let world = World::new(scratch.open());
    let clock = ManualClock::at_ms(BEGIN_MS);
    let handle = Mutex::new(None);
    let live = |cut_at, seed| {
        let power = Arc::new(Power::until(cut_at));
        let life = Life {
            scratch: &scratch,
            world: &world,
            clock: clock.clone(),
            power: Arc::clone(&power),
            seed,
            threads: Threads::One,
        };
        let end = life.run(
            |builder, hand| program.register(builder, hand, &scratch),
            |runtime, store| {
                within(
                    "the task's end",
                    to_the_end(program, runtime, store, &world, &handle, &clock),
                )
            },
        );
        (end, power.passed())
    };
    let (mut end, sites) = live(cut_at, 1);
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut in_doubt = HashSet::new();
    if end.is_none() {
        in_doubt = tokio.block_on(world.in_doubt());
        end = live(None, 2).0;
    }
    let (task, end) = end.unwrap();
    let End::Completed(answer) = end else { panic!("the task ended otherwise: {end:?}") };
    tokio.block_on(async {
        world.check(if cut_at.is_some() { 2 } else { 1 }).await;
        let tasks = world.tasks().await;
        assert_eq!(tasks.len(), 1 + program.children(), "{tasks:#?}");
        assert_eq!(tasks.last().map(|oldest| oldest.id), Some(task));
    });
    program.judge(&answer, task, &in_doubt, &world);
    sites
}

/// A client's part: asks for the task, keeps its handle, answers its questions, and waits for its end. Time passes when
/// nothing can happen before it does.
async fn to_the_end(
    program: &impl Program,
    runtime: Runtime,
    store: Arc<dyn Store>,
    world: &World,
    handle: &Mutex<Option<TaskId>>,
    clock: &ManualClock,
) -> (TaskId, End) {
    let mut changes = store.changes();
    let task = runtime.start(program.start()).await.unwrap();
    let kept = *handle.lock().unwrap().get_or_insert(task);
    assert_eq!(kept, task, "a handle that was returned is good for ever");
    loop {
        changes.mark_unchanged();
        if let Some(end) = store.end(task).await.unwrap() {
            return (task, end);
        }
        let all = Filter { limit: usize::MAX, ..Filter::default() };
        let asked = OpenQuestions::of(store.as_ref(), task).await.unwrap();
        let answers =
            asked.iter().map(|(key, _)| (key.to_owned(), program.answer(task, key, world)));
        asked.answer(store.as_ref(), clock.now_ms(), answers).await.unwrap();
        for parked in store.tasks(all).await.unwrap() {
            if let (Some(at_ms), None) = (parked.wake_at_ms, parked.runner) {
                clock.advance_ms((at_ms - clock.now_ms()).max(0));
            }
        }
        changes.changed().await.unwrap();
    }
}
