//! `kill -9` at many points of a running `relight serve`, with several tasks at once.
//!
//! The points are conditions on the journal and on the till's ledger, both read from outside while
//! the server runs, and they sweep over the whole run. What must hold is in `promises`.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use relight::journal::sqlite::Sqlite;
use relight::journal::{Effect, Event, Record, Store, TaskId};
use relight::mcp::IDEMPOTENCY_KEY;
use serde_json::{Value, json};

use crate::home::{Home, order, task_id, tasks, until};
use crate::promises;
use crate::wire::{tasks_declared, with_meta};

/// When the server is killed, counted from its start.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So many steps have ended.
    Ended(usize),
    /// The ledger has one more charge, whose outcome is most likely not recorded yet.
    Charged,
    /// One more charge is recorded as begun.
    ChargeBegun,
}

const MOMENTS: [Moment; 5] =
    [Moment::Ended(3), Moment::Charged, Moment::Ended(1), Moment::ChargeBegun, Moment::Ended(5)];

/// What is seen from outside of how far the tasks are.
struct Watch<'a> {
    home: &'a Home,
    journal: &'a Sqlite,
    known: BTreeMap<TaskId, Vec<Record>>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    ended: usize,
    charges_begun: usize,
    charged: usize,
    under_way: usize,
}

impl Watch<'_> {
    async fn look(&mut self) -> Progress {
        for (task, records) in &mut self.known {
            let new = self.journal.history(*task, records.len() as u64).await.unwrap();
            records.extend(new);
        }
        let events = || self.known.values().flatten().map(|record| &record.event);
        let is_end = |event: &&Event| {
            matches!(event, Event::StepCompleted { .. } | Event::StepFailed { .. })
        };
        let is_charge =
            |event: &&Event| matches!(event, Event::StepStarted { effect: Effect::Once, .. });
        Progress {
            ended: events().filter(is_end).count(),
            charges_begun: events().filter(is_charge).count(),
            charged: self.home.charges(),
            under_way: self
                .known
                .values()
                .filter(|records| records.last().is_none_or(|last| last.event.end().is_none()))
                .count(),
        }
    }

    /// Waits for a moment, or for the end of all tasks.
    async fn until(&mut self, moment: Moment) {
        let from = self.look().await;
        loop {
            let now = self.look().await;
            let reached = match moment {
                Moment::Ended(steps) => now.ended >= from.ended + steps,
                Moment::Charged => now.charged > from.charged,
                Moment::ChargeBegun => now.charges_begun > from.charges_begun,
            };
            if reached || now.under_way == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn tasks_survive_kills_at_any_moment() {
    // Each sweep begins with another moment, so that it meets the tasks at other points.
    join_all((0..MOMENTS.len()).map(sweep)).await;
}

/// Kills the server again and again, with three tasks under way or more.
async fn sweep(first: usize) {
    const KILLS: usize = 16;
    const AT_ONCE: usize = 3;
    let home = Home::new();
    let mut handles = Vec::new();
    let journal = home.journal();
    let mut watch = Watch { home: &home, journal: &journal, known: BTreeMap::new() };
    for moment in MOMENTS.iter().cycle().skip(first).take(KILLS) {
        let server = home.serve().await;
        while watch.look().await.under_way < AT_ONCE {
            let name = format!("A{}", handles.len());
            let handle = server.call("order", order(&name)).await.unwrap();
            watch.known.insert(task_id(&handle), Vec::new());
            handles.push(handle);
        }
        watch.until(*moment).await;
        server.kill().await.unwrap();
    }

    let server = home.serve().await;
    for handle in &handles {
        until("the end of a task", async || {
            let view = server.get(handle).await.expect("a handle that was returned is known");
            assert!(["working", "completed"].contains(&view.status), "{view:?}");
            view.ended
        })
        .await;
    }
    server.close().await.unwrap();
    assert_eq!(tasks(&journal).await.len(), handles.len());
    promises::check(&home, &journal).await;
}

#[tokio::test]
async fn a_call_that_dies_before_its_handle_came_leaves_a_whole_task_or_none() {
    let home = Home::new();
    let journal = home.journal();
    for round in 0..6 {
        let name = format!("B{round}");
        let mut call =
            with_meta(json!({"name": "order", "arguments": {"order": name}}), tasks_declared());
        call["_meta"][IDEMPOTENCY_KEY] = json!(name);

        let before = tasks(&journal).await.len();
        let mut server = home.serve_raw();
        // Up and listening; what follows is about the call alone.
        server.wire.modern("tools/list", json!({})).await;
        server.wire.ask("tools/call", call.clone()).await;
        if round % 2 == 1 {
            until("the task's commit", async || tasks(&journal).await.len() > before).await;
        }
        server.kill().await;
        let after = tasks(&journal).await;
        assert!((before..=before + 1).contains(&after.len()), "{after:?}");

        // A client that never saw a handle calls again with the same key.
        let mut server = home.serve_raw();
        let answer = server.wire.modern("tools/call", call).await;
        let handle = answer["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{answer}"));
        if after.len() > before {
            assert_eq!(handle, after[0].id.to_string());
        }
        assert_eq!(tasks(&journal).await.len(), before + 1);
        let end = server.wire.settle(handle).await;
        assert_eq!(end["status"], "completed", "{end}");
        let text: &Value = &end["result"]["content"][0]["text"];
        assert!(text.as_str().unwrap().starts_with(&name), "{end}");
        assert_eq!(server.leave().await, Some(0));
    }
    promises::check(&home, &journal).await;
}
