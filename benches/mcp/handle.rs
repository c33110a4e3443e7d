//! A call until its handle, beside one that makes one bare commit, and one that makes none.

use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Request};
use crate::report::Row;
use crate::server::{Kind, Server, Transport};
use crate::stats::{Ratio, median, micros_each};
use crate::support::{Error, directory};

/// Rounds of one set of servers, and how many sets there are. `TaskManager` goes through all its tasks at
/// every request, so each is given few.
const ROUNDS: usize = 40;
const SETS: usize = 4;
/// Calls of one round.
const CALLS: u32 = 20;

/// How much longer than rmcp's a call takes until its handle, in commits.
///
/// A commit is what one bare row costs a server that commits it while a client waits: as much as a
/// `TaskManager` whose calls do that is slower than one whose calls do not. (In a loop that does nothing
/// else, or between two pauses, it is less or more.) The next call is made when the task has ended, so
/// that what is measured is the call and not the tasks before it; the peers are called and looked at at
/// the same pace.
pub(crate) fn handle(transport: Transport) -> Result<Row, Error> {
    const BAR: f64 = 1.0;
    let mut micros = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..SETS {
        rounds(transport, &mut micros)?;
    }
    let [ours, without, with] = &micros;
    let less = |more: &[f64]| -> Vec<f64> {
        more.iter().zip(without).map(|(more, without)| more - without).collect()
    };
    let ratio = Ratio::of(&less(ours), &less(with));
    let [ours, without, with] = [ours, without, with].map(|micros| median(micros));
    Ok(Row {
        measure: format!("{}: tools/call to the handle", transport.name()),
        result: format!("{ours:.0} µs"),
        floor: format!("{without:.0} µs, TaskManager; {with:.0} µs with one bare commit a call"),
        ratio: format!("{} commits slower", ratio.shown(2)),
        bar: format!("at most {BAR}"),
        met: Some(ratio.median <= BAR),
    })
}

/// Adds what a call takes in each round of one set of servers: relight, the peer, and the peer that commits.
fn rounds(transport: Transport, micros: &mut [Vec<f64>; 3]) -> Result<(), Error> {
    let dir = directory("mcp-")?;
    let journal = dir.path().join("journal.db");
    let mut servers = Vec::new();
    let mut ends = Vec::new();
    for kind in [Kind::Relight, Kind::TaskManager, Kind::TaskManagerAndCommit] {
        let mut server = Server::start(kind, transport, &journal)?;
        let mut end = server.connect()?;
        calls(end.as_mut(), Duration::ZERO)?;
        servers.push(server);
        ends.push(end);
    }
    for _ in 0..ROUNDS {
        let mut pause = Duration::ZERO;
        for (end, micros) in ends.iter_mut().zip(&mut *micros) {
            let begun = Instant::now();
            let called = calls(end.as_mut(), pause)?;
            // The first one's sets the pace.
            if pause.is_zero() {
                pause = begun.elapsed().saturating_sub(called) / CALLS;
            }
            micros.push(micros_each(called, CALLS));
        }
    }
    Ok(())
}

/// The time that so many calls take until their handles, one after another. Each task is looked at until
/// it has ended and so much time has passed: a server that is left alone meanwhile is slower to answer.
fn calls(connection: &mut dyn Connection, pause: Duration) -> Result<Duration, Error> {
    let call = Request::call("greet");
    let mut time = Duration::ZERO;
    for _ in 0..CALLS {
        let begun = Instant::now();
        connection.send(&call)?;
        let answer = connection.receive()?;
        let called = begun.elapsed();
        time += called;
        let created: serde_json::Value = serde_json::from_str(answer)?;
        let task = created["result"]["taskId"].as_str();
        let look = Request::get(task.ok_or_else(|| format!("no task: {created}"))?);
        while connection.ask(&look)?["status"] != "completed" || begun.elapsed() < called + pause {
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(time)
}
