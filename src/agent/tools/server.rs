//! A call of a tool that a server offers: a step, further ones where the server makes a task of it,
//! and where its outcome is lost whatever it takes to settle that.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::json;
use tracing::warn;

use super::doubt::{Lost, Settled, settle};
use super::downstream::Trouble;
use super::{Bench, Call, downstream, in_time};
use crate::agent::{Answers, Called, InDoubt, Invocation, People, Tool, ToolOutput};
use crate::durable::{Answer, Attempt, Context, Doubt, Question};
use crate::journal::{Failure, FailureKind, StepKind, TaskId};
use crate::limits;

/// Makes the call, and again where it turns out not to have happened. The text is for the model.
///
/// # Errors
/// When the outcome is in doubt and a person, or the agent's policy, ends the task for it.
pub(super) async fn call(bench: &Bench, call: Call<'_>, tool: &Tool) -> Result<String, Failure> {
    let scope = call.scope();
    let (mut ctx, mut step) = (call.turn, call.step.clone());
    let mut before = 0;
    loop {
        let Answered { outcome, of_task } = answer(bench, &call, tool, ctx, &step).await;
        match outcome {
            Ok(output) if output.is_error => {
                return Ok(format!("The tool reports an error: {}", output.text));
            }
            Ok(output) => return Ok(output.text),
            Err(Trouble::Task(failure)) => return Err(failure),
            Err(Trouble::Call(failure)) if failure.kind == FailureKind::InDoubt => {
                let started_at_ms = ctx.started_at_ms(&step);
                let lost = Lost { failure, started_at_ms, before, of_task };
                match settle(bench, &call, tool, lost).await? {
                    Settled::Known(text) => return Ok(text),
                    Settled::Again => before += 1,
                }
            }
            Err(Trouble::Call(failure)) => return Ok(format!("The call failed: {failure}")),
        }
        (ctx, step) = (&scope, format!("again-{before}"));
    }
}

/// How a call ended.
struct Answered {
    outcome: Result<ToolOutput, Trouble>,
    /// Whether the server had made a task of it.
    of_task: bool,
}

/// Makes the call and has its answer, however long the server asks first or makes a task of it.
async fn answer(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    ctx: &Context,
    step: &str,
) -> Answered {
    let scope = call.scope();
    let mut answers = None;
    for _ in 0..limits::REMOTE_TASK_ROUNDS {
        let asks = match make(bench, call, tool, ctx, step, answers.as_ref()).await {
            Ok(Called::Asks { asks }) => asks,
            Ok(Called::Output(output)) => return Answered { outcome: Ok(output), of_task: false },
            Ok(Called::Task { task }) => {
                let outcome = downstream::follow(bench, &scope, tool, &task).await;
                return Answered { outcome, of_task: true };
            }
            Err(trouble) => return Answered { outcome: Err(trouble), of_task: false },
        };
        match downstream::answers(bench, &scope, tool, asks).await {
            Ok(given) => answers = Some(given),
            Err(trouble) => return Answered { outcome: Err(trouble), of_task: false },
        }
    }
    let failure = Failure::is_final("the tool asks and asks, and does not begin");
    Answered { outcome: Err(failure.into()), of_task: false }
}

/// The step that is the call itself, by this name. A task that it leads to is found again by its
/// outcome, so the call is never made for that a second time. All attempts at one call carry one
/// idempotency key.
///
/// # Errors
/// As [`Toolbox::call`](crate::agent::Toolbox::call). Our own task ends where nobody has answered in
/// time what the server asked in the middle of the call, and the agent's file says so.
async fn make(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    ctx: &Context,
    step: &str,
    answers: Option<&Answers>,
) -> Result<Called, Trouble> {
    let arguments = call.arguments;
    let doubt = bench.agent.in_doubt_of(&tool.server, &tool.name);
    let checked = bench.agent.check_of(&tool.server, &tool.name).is_some();
    let rerun = doubt == InDoubt::Retry && !checked;
    let servers = bench.agent.servers();
    let mut input =
        json!({"tool": format!("{}/{}", tool.server, tool.name), "arguments": arguments});
    if let Some(answers) = answers {
        input["answers"] = json!(answers);
    }
    let called = ctx
        .step(step, bench.agent.effect_of(tool))
        .kind(StepKind::Tool)
        .input(&input)
        .retry(bench.agent.retry())
        .timeout(bench.agent.timeout_of(tool))
        .in_doubt(if rerun { Doubt::Rerun } else { Doubt::Fail })
        .idempotency_key(call.turn.idempotency_key(&call.step))
        .run(|attempt| async move {
            let call = Invocation {
                servers,
                server: &tool.server,
                tool: &tool.name,
                arguments,
                idempotency_key: &attempt.idempotency_key,
                as_task: tool.as_task,
                answers,
            };
            bench
                .reach(call, &InTheMiddle { bench, tool, task: ctx.task_id(), attempt: &attempt })
                .await
        })
        .await;
    if let Some(question) = ctx.unanswered_within(step) {
        in_time(&bench.agent, &question, Answer::Expired).map_err(Trouble::Task)?;
    }
    Ok(called?)
}

/// Who answers what a server asks while a call is under way: whoever follows our task.
struct InTheMiddle<'a> {
    bench: &'a Bench,
    tool: &'a Tool,
    task: TaskId,
    attempt: &'a Attempt,
}

#[async_trait]
impl People for InTheMiddle<'_> {
    fn task(&self) -> TaskId {
        self.task
    }

    async fn ask(&self, question: Question, gone: BoxFuture<'_, ()>) -> Option<Answer> {
        let name = self.tool.pattern().to_string();
        let question = downstream::question(self.bench, &name, &question);
        match self.attempt.ask(&question, gone).await {
            Ok(answer) => answer,
            Err(failure) => {
                warn!(tool = name, %failure, "a question of a tool cannot be put");
                None
            }
        }
    }
}
