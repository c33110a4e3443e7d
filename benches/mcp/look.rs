//! `tasks/get` a second: of a task at work and of one that has ended, by turns.

use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Request};
use crate::report::Row;
use crate::server::{Kind, Server, Transport};
use crate::stats::{Ratio, median};
use crate::support::{Error, directory};

const ROUNDS: usize = 60;
/// Looks of one round. Even, so that both tasks have their share.
const LOOKS: u32 = 400;
/// Requests that are under way together, where several are.
const AT_ONCE: u32 = 8;
const BAR: f64 = 0.8;

/// One look after another, and several together.
pub(crate) fn looks(transport: Transport) -> Result<Vec<Row>, Error> {
    let dir = directory("mcp-")?;
    let journal = dir.path().join("journal.db");
    let mut subjects = Vec::new();
    for kind in [Kind::Relight, Kind::TaskManager] {
        subjects.push(Subject::start(kind, transport, &journal)?);
    }
    // The first round of each warms it up.
    for subject in &mut subjects {
        subject.one_by_one()?;
        subject.together()?;
    }
    // A second's worth of each, for relight and its peer.
    let (mut alone, mut together) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (at, subject) in subjects.iter_mut().enumerate() {
            alone[at].push(a_second(subject.one_by_one()?));
        }
        for (at, subject) in subjects.iter_mut().enumerate() {
            together[at].push(a_second(subject.together()?));
        }
    }
    let name = transport.name();
    Ok(vec![
        row(format!("{name}: tasks/get, one after another"), &alone),
        row(format!("{name}: tasks/get, {AT_ONCE} at once"), &together),
    ])
}

fn a_second(time: Duration) -> f64 {
    f64::from(LOOKS) / time.as_secs_f64()
}

fn row(measure: String, [ours, theirs]: &[Vec<f64>; 2]) -> Row {
    let ratio = Ratio::of(ours, theirs);
    Row {
        measure,
        result: format!("{:.0} a second", median(ours)),
        floor: format!("{:.0} a second, TaskManager", median(theirs)),
        ratio: ratio.shown(2),
        bar: format!("at least {BAR}"),
        met: Some(ratio.median >= BAR),
    }
}

/// A server with a task at work and one that has ended.
struct Subject {
    /// Over stdio the only one; over HTTP as many as are asked at once.
    connections: Vec<Box<dyn Connection>>,
    looks: [Request; 2],
    _server: Server,
}

impl Subject {
    fn start(kind: Kind, transport: Transport, journal: &std::path::Path) -> Result<Self, Error> {
        let mut server = Server::start(kind, transport, journal)?;
        let mut first = server.connect()?;
        let mut begin = |tool: &str| {
            let created = first.ask(&Request::call(tool))?;
            let task = created["taskId"].as_str().ok_or_else(|| format!("no task: {created}"))?;
            Ok::<_, Error>(Request::get(task))
        };
        let (ended, works) = (begin("greet")?, begin("nap")?);
        while first.ask(&ended)?["status"] != "completed" {
            thread::sleep(Duration::from_millis(1));
        }
        // relight parks it after a second; from then on it is at rest with either.
        thread::sleep(Duration::from_millis(2 * relight::limits::PARK_AFTER_MS));
        let mut connections = vec![first];
        if !connections[0].is_pipelined() {
            for _ in 1..AT_ONCE {
                connections.push(server.connect()?);
            }
        }
        Ok(Self { connections, looks: [ended, works], _server: server })
    }

    fn one_by_one(&mut self) -> Result<Duration, Error> {
        let begun = Instant::now();
        look(self.connections[0].as_mut(), &self.looks, LOOKS, 1)?;
        Ok(begun.elapsed())
    }

    /// Over stdio, by sending several before their answers; over HTTP, on as many connections.
    fn together(&mut self) -> Result<Duration, Error> {
        let (looks, begun) = (&self.looks, Instant::now());
        if let [pipelined] = self.connections.as_mut_slice() {
            look(pipelined.as_mut(), looks, LOOKS, AT_ONCE)?;
            return Ok(begun.elapsed());
        }
        thread::scope(|scope| {
            let sides = self.connections.iter_mut().map(|connection| {
                scope.spawn(move || look(connection.as_mut(), looks, LOOKS / AT_ONCE, 1))
            });
            let sides: Vec<_> = sides.collect();
            sides.into_iter().try_for_each(|side| side.join().map_err(|_| "a client panicked")?)
        })?;
        Ok(begun.elapsed())
    }
}

/// Looks at the tasks by turns, with so many requests under way at a time.
fn look(
    connection: &mut dyn Connection,
    looks: &[Request; 2],
    count: u32,
    at_once: u32,
) -> Result<(), Error> {
    let mut turns = looks.iter().cycle();
    for _ in 0..count / at_once {
        for _ in 0..at_once {
            connection.send(turns.next().ok_or("nothing to look at")?)?;
        }
        for _ in 0..at_once {
            let answer = connection.receive()?;
            if !answer.contains(r#""status":""#) {
                return Err(format!("tasks/get was answered with {answer}").into());
            }
        }
    }
    Ok(())
}
