//! A tool call that its server has made a task of: followed to its end across crashes, its questions put
//! to whoever follows ours, its cancel passed on.
//!
//! ```text
//! turn-1/tool-1            the call: completed once the task's handle is recorded
//! turn-1/tool-1/task       looked at until it ends or asks
//! turn-1/tool-1/question   what it asks, as a question of our task
//! turn-1/tool-1/answer     the answer, sent down
//! turn-1/tool-1/task#2     looked at again
//! ```
//!
//! The call is never made again for the sake of its task. All that is known of the task is in these
//! steps, so any process that runs ours can go on with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Bench, in_time};
use crate::agent::{
    Answers, Asked, Called, Pinned, RemoteTask, Round, TaskNews, Tool, ToolOutput, Toolbox,
};
use crate::durable::{Answer, Context, Left, Look, Past, Question};
use crate::journal::{Failure, FailureKind, History, Step, StepKind, StepState};
use crate::limits;

/// Why a call has no answer.
pub(super) enum Trouble {
    /// The call has failed, or nobody knows what came of it.
    Call(Failure),
    /// Our own task ends over it.
    Task(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            FailureKind::Mismatch => Self::Task(failure),
            _ => Self::Call(failure),
        }
    }
}

/// What a look at a task is recorded with.
#[derive(Serialize, Deserialize)]
struct Followed {
    task: RemoteTask,
}

/// Follows a task to its end. The steps are in `scope`.
///
/// # Errors
/// Final where the task failed; in doubt where it was lost, because it did run.
pub(super) async fn follow(
    bench: &Bench,
    scope: &Context,
    tool: &Tool,
    task: &RemoteTask,
) -> Result<ToolOutput, Trouble> {
    let name = format!("{}/{}", tool.server, tool.name);
    let lost = |why: &dyn std::fmt::Display| {
        Failure::in_doubt(format!(
            "server {:?} ran {name} as its task {}, and what came of that is unknown: {why}",
            task.server, task.id
        ))
    };
    let or_lost = |trouble| match trouble {
        Trouble::Call(failure) => Trouble::Call(lost(&failure)),
        ends @ Trouble::Task(_) => ends,
    };
    let mut answered = Vec::new();
    for _ in 0..limits::REMOTE_TASK_ROUNDS {
        let news = news(bench, scope, &name, task, &answered).await;
        let asked = match news.map_err(Trouble::from).map_err(or_lost)? {
            TaskNews::Asks(asked) => asked,
            TaskNews::Output(output) => return Ok(output),
            TaskNews::Failed(why) => {
                let why = format!("the task of {name} failed: {why}");
                return Err(Failure::is_final(why).into());
            }
            TaskNews::Lost(why) => return Err(lost(&why).into()),
        };
        let put =
            asked.iter().enumerate().map(|(n, asked)| put(bench, scope, &name, task, n, asked));
        let outcomes = join_all(put).await;
        for (asked, outcome) in asked.into_iter().zip(outcomes) {
            // One that was taken back may come again.
            if outcome.map_err(or_lost)? {
                answered.push(asked.key);
            }
        }
    }
    Err(lost(&"it asks and asks").into())
}

/// Waits until there is something to be done about the task.
async fn news(
    bench: &Bench,
    scope: &Context,
    name: &str,
    task: &RemoteTask,
    answered: &[String],
) -> Result<TaskNews, Failure> {
    let servers = bench.agent.servers();
    let input = Followed { task: task.clone() };
    scope
        .poll("task", StepKind::Tool, &input, || async {
            Ok(match bench.toolbox.look(servers, task, answered).await? {
                Look::Again { after_ms, message } => {
                    let message = message.map(|message| format!("{name}: {message}"));
                    Look::Again { after_ms, message }
                }
                done @ Look::Done(_) => done,
            })
        })
        .await
}

/// Puts one of the task's questions, and sends the answer down as soon as it is there. False where the
/// task did not wait for one any more.
async fn put(
    bench: &Bench,
    scope: &Context,
    name: &str,
    task: &RemoteTask,
    n: usize,
    asked: &Asked,
) -> Result<bool, Trouble> {
    let (servers, key) = (bench.agent.servers(), &asked.key);
    let question = question(bench, name, &asked.question);
    let every_ms = task.poll_interval_ms.unwrap_or(limits::POLL_MS);
    let still = || bench.toolbox.asks(servers, task, key);
    let answer = scope.ask_while(&numbered("question", n), &question, every_ms, still).await?;
    let Some(answer) = answer else { return Ok(false) };
    let answer = &given(bench, &question, answer)?;
    scope
        .idempotent(numbered("answer", n))
        .kind(StepKind::Tool)
        .input(&serde_json::json!({"task": task.id, "key": key, "answer": answer}))
        .retry(bench.agent.retry())
        .run(|_| bench.toolbox.answer(servers, task, key, answer))
        .await?;
    Ok(true)
}

/// Puts the questions that a tool has before it begins, side by side.
///
/// # Errors
/// When a recorded answer cannot be read.
pub(super) async fn answers(
    bench: &Bench,
    scope: &Context,
    tool: &Tool,
    round: Round,
) -> Result<Answers, Trouble> {
    let name = format!("{}/{}", tool.server, tool.name);
    let Round { questions, state } = round;
    if questions.is_empty() {
        scope.sleep("pause", Duration::from_millis(limits::POLL_MS)).await?;
    }
    let asks = questions.iter().enumerate().map(async |(n, asked)| {
        let question = question(bench, &name, &asked.question);
        let answer = scope.ask(&numbered("question", n), &question).await?;
        given(bench, &question, answer)
    });
    let answers: Vec<_> = join_all(asks).await.into_iter().collect::<Result<_, Trouble>>()?;
    let by_key = questions.into_iter().map(|asked| asked.key).zip(answers).collect();
    Ok(Answers { by_key, state })
}

/// A server's question as ours, which says whose it is.
pub(super) fn question(bench: &Bench, name: &str, asked: &Question) -> Question {
    let Question { message, schema, .. } = asked;
    Question {
        message: format!("{name} asks: {message}"),
        schema: schema.clone(),
        expire_ms: bench.agent.questions().expire_ms,
    }
}

/// What a server is told. Its own words have none for a question that nobody answered in time: it
/// was put away.
fn given(bench: &Bench, question: &Question, answer: Answer) -> Result<Answer, Trouble> {
    match in_time(&bench.agent, question, answer).map_err(Trouble::Task)? {
        Answer::Expired => Ok(Answer::Cancel),
        answer => Ok(answer),
    }
}

/// The names of steps side by side.
fn numbered(step: &str, n: usize) -> String {
    if n == 0 { step.to_owned() } else { format!("{step}-{}", n + 1) }
}

/// The calls of a cancelled task that go on as tasks at their servers, and how those are told.
pub(in crate::agent) fn left(toolbox: &Arc<dyn Toolbox>, past: &Past) -> Option<Left> {
    let unfinished = past.history(unfinished);
    if unfinished.is_empty() {
        return None;
    }
    let pinned: Pinned = past.definition()?.read().ok()?;
    let (steps, tasks): (Vec<_>, Vec<_>) = unfinished.into_iter().unzip();
    let toolbox = Arc::clone(toolbox);
    let stop = async move {
        let servers = pinned.agent.servers();
        let cancels = tasks.iter().map(async |task| {
            if let Err(failure) = toolbox.cancel(servers, task).await {
                warn!(server = task.server, task = task.id, %failure, "a task was not cancelled");
            }
        });
        join_all(cancels).await;
    };
    Some(Left { steps, stop: stop.boxed() })
}

/// The tasks whose end is not recorded, with the steps whose calls led to them.
fn unfinished(history: &History) -> Vec<(String, RemoteTask)> {
    let tools = || history.steps().filter(|(_, step)| step.kind == StepKind::Tool);
    let led_to = |step: &Step| match &step.state {
        // Most calls lead to an answer, which may be long.
        StepState::Completed(output) if output.json().starts_with("{\"task\":") => {
            match output.read() {
                Ok(Called::Task { task }) => Some(task),
                _ => None,
            }
        }
        _ => None,
    };
    let mut unfinished: HashMap<String, (String, RemoteTask)> = tools()
        .filter_map(|(key, step)| led_to(step).map(|task| (key.to_owned(), task)))
        .map(|(key, task)| (task.id.clone(), (key, task)))
        .collect();
    if unfinished.is_empty() {
        return Vec::new();
    }
    for (_, step) in tools() {
        let StepState::Completed(output) = &step.state else { continue };
        let followed = step.shown.as_ref().and_then(|shown| shown.read::<Followed>().ok());
        let Some(Followed { task }) = followed else { continue };
        if let Ok(TaskNews::Output(_) | TaskNews::Failed(_)) = output.read() {
            unfinished.remove(&task.id);
        }
    }
    let mut unfinished: Vec<_> = unfinished.into_values().collect();
    unfinished.sort_by(|(a, _), (b, _)| a.cmp(b));
    unfinished
}
