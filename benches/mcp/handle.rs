//! A call until its handle, against a bare commit.

use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Request};
use crate::floor::Floor;
use crate::report::Row;
use crate::server::{Kind, Server, Transport};
use crate::stats::{Ratio, median, micros_each};
use crate::support::{Error, directory};

const ROUNDS: usize = 40;
/// Calls of one round. `TaskManager` goes through all its tasks at every request, so there are few.
const CALLS: u32 = 20;

/// How much longer than rmcp's a call takes until its handle, in commits. The next call is made when
/// the task has ended, so that what is measured is the call and not the tasks before it. The bare
/// commits have the same pauses between them.
pub(crate) fn handle(transport: Transport) -> Result<Row, Error> {
    const BAR: f64 = 1.0;
    let dir = directory("mcp-")?;
    let journal = dir.path().join("journal.db");
    let mut ours = Server::start(Kind::Relight, transport, &journal)?;
    let mut theirs = Server::start(Kind::TaskManager, transport, &journal)?;
    let (mut our_end, mut their_end) = (ours.connect()?, theirs.connect()?);
    calls(our_end.as_mut())?;
    calls(their_end.as_mut())?;
    let floor = Floor::beside(&journal)?;
    let (mut ours_us, mut theirs_us, mut commits_us) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let called = calls(our_end.as_mut())?;
        let pause = begun.elapsed().saturating_sub(called) / CALLS;
        ours_us.push(micros_each(called, CALLS));
        commits_us.push(micros_each(floor.paced_commits(CALLS, pause)?, CALLS));
        theirs_us.push(micros_each(calls(their_end.as_mut())?, CALLS));
    }
    let over: Vec<f64> =
        ours_us.iter().zip(&theirs_us).map(|(ours, theirs)| ours - theirs).collect();
    let ratio = Ratio::of(&over, &commits_us);
    let (ours, theirs, commit) = (median(&ours_us), median(&theirs_us), median(&commits_us));
    Ok(Row {
        measure: format!("{}: tools/call to the handle", transport.name()),
        result: format!("{ours:.0} µs"),
        floor: format!("{theirs:.0} µs, TaskManager; {commit:.0} µs a bare commit at that pace"),
        ratio: format!("{} commits slower", ratio.shown(2)),
        bar: format!("at most {BAR}"),
        met: Some(ratio.median <= BAR),
    })
}

/// The time that so many calls take until their handles, one after another.
fn calls(connection: &mut dyn Connection) -> Result<Duration, Error> {
    let call = Request::call("greet");
    let mut time = Duration::ZERO;
    for _ in 0..CALLS {
        let begun = Instant::now();
        connection.send(&call)?;
        let answer = connection.receive()?;
        time += begun.elapsed();
        let created: serde_json::Value = serde_json::from_str(answer)?;
        let task = created["result"]["taskId"].as_str();
        let look = Request::get(task.ok_or_else(|| format!("no task: {created}"))?);
        while connection.ask(&look)?["status"] != "completed" {
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(time)
}
