//! Whatever a client sends, over stdio or HTTP: no panic, no task lost, and to each request that
//! can be answered one answer, unless the connection is closed.
//!
//! A case is a stream of messages: methods of all protocols, known and private, with params, ids and
//! `_meta` bent out of shape, in any order, with bytes between them that are no message at all.
//! What is owed for it is worked out from the bytes that were sent. `RELIGHT_SEED=7 cargo test
//! --test fuzz_jsonrpc` draws other cases; the seed of a failure is printed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod http;
mod message;
mod oracle;
mod stdio;

#[path = "../support/client.rs"]
mod client;
#[path = "../support/web.rs"]
mod web;
#[path = "../support/wire.rs"]
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client::Host;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use relight::durable::{Builder, Context, StartTask};
use relight::journal::{End, Filter, Payload, TaskId};
use relight::mcp::server::Options;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long the server may owe an answer before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a case that failed is tried smaller. A lost answer costs [`PATIENCE`] each time.
const SHRINKS: u32 = 12;

/// Panics anywhere in this process. Some would only be seen as an answer that never comes.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A server to be fuzzed, and a task in it from before.
struct Target {
    host: Host,
    /// A task that has ended, for messages to name.
    ended: TaskId,
    /// A task that no message names, at work until it is let go.
    standing: TaskId,
    let_go: Arc<Semaphore>,
}

impl Target {
    async fn open(directory: &Path) -> Self {
        let let_go = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&let_go);
        let stand = move |ctx: Context, _: Value| {
            let gate = Arc::clone(&gate);
            async move {
                let stood = |_| {
                    let gate = Arc::clone(&gate);
                    async move {
                        let _place = gate.acquire().await.unwrap();
                        Ok("stood".to_owned())
                    }
                };
                ctx.pure("stand").run(stood).await
            }
        };
        let options = Options { plain_wait_ms: 1_000, ..Options::default() };
        let functions = |builder: Builder| builder.function("stand", stand);
        let host = Host::with(directory, functions, Vec::new(), options).await;
        let runtime = &host.runtime;
        let standing =
            runtime.start(StartTask::new("stand", "stand", Payload::null())).await.unwrap();
        let greet = Payload::of(&json!({"name": "Ann"})).unwrap();
        let ended = runtime.start(StartTask::new("greet", "greet", greet)).await.unwrap();
        runtime.wait(ended).await.unwrap();
        Self { host, ended, standing, let_go }
    }

    /// Lets the standing task go, and waits for it and for every task that a message has started.
    async fn all_tasks_end(&self) {
        self.let_go.add_permits(1);
        let end = timeout(PATIENCE, self.host.runtime.wait(self.standing)).await;
        let End::Completed(output) = end.expect("the standing task does not end").unwrap() else {
            panic!("the standing task did not complete");
        };
        assert_eq!(output.json(), "\"stood\"");
        let filter = Filter { limit: 100_000, ..Filter::default() };
        for task in self.host.store.tasks(filter).await.unwrap() {
            let end = timeout(PATIENCE, self.host.runtime.wait(task.id)).await;
            end.unwrap_or_else(|_| panic!("it does not end: {task:?}")).unwrap();
        }
    }
}

/// Runs so many cases; the first that fails is made smaller and shown.
fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), String>) {
    let seed = chosen_seed();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: SHRINKS, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let ran = runner.run(strategy, |case| {
        let panics = PANICS.load(Ordering::SeqCst);
        test(case).map_err(TestCaseError::fail)?;
        match PANICS.load(Ordering::SeqCst) - panics {
            0 => Ok(()),
            count => Err(TestCaseError::fail(format!("{count} panics, shown above"))),
        }
    });
    if let Err(failure) = ran {
        panic!("RELIGHT_SEED={seed}: {failure}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed that failed is replayed by hand")]
fn chosen_seed() -> u64 {
    std::env::var("RELIGHT_SEED").ok().map_or(1, |seed| seed.parse().unwrap())
}

/// Counts panics from here on.
fn count_panics() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        show(panic);
    }));
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// In one test, because a panic in one transport's server must not count for the other's.
#[test]
fn whatever_a_client_sends_it_gets_its_answers_and_no_task_is_lost() {
    count_panics();
    stdio::fuzz();
    http::fuzz();
}
