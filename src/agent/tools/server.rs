//! A call of a tool that a server offers: one step, further ones where the server makes a task of it,
//! and what the model is told where its outcome is unknown.

use serde_json::json;

use super::{Bench, Call, downstream};
use crate::agent::{Called, InDoubt, Invocation, Tool, ToolOutput};
use crate::durable::Doubt;
use crate::journal::{Failure, FailureKind, StepKind};
use crate::limits;

/// Makes the call. The text is for the model.
///
/// # Errors
/// When the outcome is in doubt and the agent's policy is to fail.
pub(super) async fn call(bench: &Bench, call: Call<'_>, tool: &Tool) -> Result<String, Failure> {
    let doubt = bench.agent.in_doubt_of(&tool.server, &tool.name);
    let outcome = answer(bench, &call, tool, doubt).await;
    match outcome {
        Ok(output) if output.is_error => Ok(format!("The tool reports an error: {}", output.text)),
        Ok(output) => Ok(output.text),
        Err(failure) if failure.kind == FailureKind::Mismatch => Err(failure),
        Err(failure) if failure.kind == FailureKind::InDoubt => match doubt {
            InDoubt::Fail => Err(Failure::in_doubt(format!(
                "the outcome of {}/{} is unknown and the agent's in_doubt policy is to fail: {failure}",
                tool.server, tool.name
            ))),
            InDoubt::Tell | InDoubt::Retry => Ok(format!(
                "The outcome of this call is unknown: it was sent and may have taken effect, and its \
                     answer was lost. Do not simply repeat it. Find out first whether it took effect. ({failure})"
            )),
        },
        Err(failure) => Ok(format!("The call failed: {failure}")),
    }
}

/// Makes the call and has its answer, however long the server makes a task of it.
///
/// # Errors
/// In doubt, where the call or its task was lost.
async fn answer(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    doubt: InDoubt,
) -> Result<ToolOutput, Failure> {
    let mut lost = 0;
    loop {
        let task = match make(bench, call, tool, doubt).await? {
            Called::Output(output) => return Ok(output),
            Called::Task { task } => task,
        };
        match downstream::follow(bench, &call.scope(), tool, &task).await {
            Err(failure)
                if failure.kind == FailureKind::InDoubt
                    && doubt == InDoubt::Retry
                    && lost < limits::LOST_TASK_CALLS =>
            {
                lost += 1;
            }
            outcome => return outcome,
        }
    }
}

/// The step that is the call itself. A task that it leads to is found again by its outcome, so the
/// call is never made for that a second time.
async fn make(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    doubt: InDoubt,
) -> Result<Called, Failure> {
    let Call { turn, step, arguments, .. } = call;
    let servers = bench.agent.servers();
    turn.step(step.as_str(), bench.agent.effect_of(tool))
        .kind(StepKind::Tool)
        .input(&json!({"tool": format!("{}/{}", tool.server, tool.name), "arguments": arguments}))
        .retry(bench.agent.retry())
        .in_doubt(if doubt == InDoubt::Retry { Doubt::Rerun } else { Doubt::Fail })
        .run(|attempt| async move {
            // A call that is made again because its task was lost goes by the first one's key.
            let key = attempt.idempotency_key.split('#').next().unwrap_or_default();
            let call = Invocation {
                servers,
                server: &tool.server,
                tool: &tool.name,
                arguments,
                idempotency_key: key,
                as_task: tool.as_task,
            };
            bench.toolbox.call(call).await
        })
        .await
}
