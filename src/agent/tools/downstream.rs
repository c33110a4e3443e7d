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

use futures_util::future::{FutureExt, join_all};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Bench;
use crate::agent::{Asked, Called, Pinned, RemoteTask, TaskNews, Tool, ToolOutput, Toolbox};
use crate::durable::{Answer, Context, Left, Look, Past, Question};
use crate::journal::{Failure, FailureKind, History, Step, StepKind, StepState};
use crate::limits;

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
) -> Result<ToolOutput, Failure> {
    let name = format!("{}/{}", tool.server, tool.name);
    let lost = |why: &dyn std::fmt::Display| {
        Failure::in_doubt(format!(
            "server {:?} ran {name} as its task {}, and what came of that is unknown: {why}",
            task.server, task.id
        ))
    };
    let mut answered = Vec::new();
    for _ in 0..limits::REMOTE_TASK_ROUNDS {
        let asked = match news(bench, scope, &name, task, &answered).await {
            Ok(TaskNews::Asks(asked)) => asked,
            Ok(TaskNews::Output(output)) => return Ok(output),
            Ok(TaskNews::Failed(why)) => {
                return Err(Failure::is_final(format!("the task of {name} failed: {why}")));
            }
            Ok(TaskNews::Lost(why)) => return Err(lost(&why)),
            Err(failure) if failure.kind == FailureKind::Mismatch => return Err(failure),
            Err(failure) => return Err(lost(&failure)),
        };
        let put =
            asked.iter().enumerate().map(|(n, asked)| put(bench, scope, &name, task, n, asked));
        for outcome in join_all(put).await {
            match outcome {
                Ok(()) => {}
                Err(failure) if failure.kind == FailureKind::Mismatch => return Err(failure),
                Err(failure) => return Err(lost(&failure)),
            }
        }
        answered.extend(asked.into_iter().map(|asked| asked.key));
    }
    Err(lost(&"it asks and asks"))
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

/// Puts one of the task's questions, and sends the answer down as soon as it is there.
async fn put(
    bench: &Bench,
    scope: &Context,
    name: &str,
    task: &RemoteTask,
    n: usize,
    asked: &Asked,
) -> Result<(), Failure> {
    let step = |what: &str| if n == 0 { what.to_owned() } else { format!("{what}-{}", n + 1) };
    let Asked { key, question: Question { message, schema, .. } } = asked;
    let message = format!("{name} asks: {message}");
    let expire_ms = bench.agent.questions().expire_ms;
    let question = Question { message, schema: schema.clone(), expire_ms };
    let answer = match scope.ask(&step("question"), &question).await? {
        // The server's own words have none for it.
        Answer::Expired => Answer::Cancel,
        answer => answer,
    };
    let answer = &answer;
    let servers = bench.agent.servers();
    scope
        .idempotent(step("answer"))
        .kind(StepKind::Tool)
        .input(&serde_json::json!({"task": task.id, "key": key, "answer": answer}))
        .retry(bench.agent.retry())
        .run(|_| bench.toolbox.answer(servers, task, key, answer))
        .await
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
