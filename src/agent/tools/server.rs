//! A call of a tool that a server offers: a step, and where its outcome is lost whatever it takes to
//! settle that.

use serde_json::json;

use super::doubt::{Lost, Settled, settle};
use super::{Bench, Call};
use crate::agent::{InDoubt, Invocation, Tool, ToolOutput};
use crate::durable::{Context, Doubt};
use crate::journal::{Failure, FailureKind, StepKind};

/// Makes the call, and again where it turns out not to have happened. The text is for the model.
///
/// # Errors
/// When the outcome is in doubt and a person, or the agent's policy, ends the task for it.
pub(super) async fn call(bench: &Bench, call: Call<'_>, tool: &Tool) -> Result<String, Failure> {
    let scope = call.scope();
    let mut outcome = attempt(bench, &call, tool, call.turn, &call.step).await;
    let mut started_at_ms = call.turn.started_at_ms(&call.step);
    let mut before = 0;
    loop {
        match outcome {
            Ok(output) if output.is_error => {
                return Ok(format!("The tool reports an error: {}", output.text));
            }
            Ok(output) => return Ok(output.text),
            Err(failure) if failure.kind == FailureKind::Mismatch => return Err(failure),
            Err(failure) if failure.kind == FailureKind::InDoubt => {
                let lost = Lost { failure, started_at_ms, before };
                match settle(bench, &call, tool, lost).await? {
                    Settled::Known(text) => return Ok(text),
                    Settled::Again => before += 1,
                }
            }
            Err(failure) => return Ok(format!("The call failed: {failure}")),
        }
        let step = format!("again-{before}");
        outcome = attempt(bench, &call, tool, &scope, &step).await;
        started_at_ms = scope.started_at_ms(&step);
    }
}

/// Makes the call as this step. All attempts at one call carry one idempotency key.
async fn attempt(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    ctx: &Context,
    step: &str,
) -> Result<ToolOutput, Failure> {
    let arguments = call.arguments;
    let doubt = bench.agent.in_doubt_of(&tool.server, &tool.name);
    let checked = bench.agent.check_of(&tool.server, &tool.name).is_some();
    let rerun = doubt == InDoubt::Retry && !checked;
    let servers = bench.agent.servers();
    ctx.step(step, bench.agent.effect_of(tool))
        .kind(StepKind::Tool)
        .input(&json!({"tool": format!("{}/{}", tool.server, tool.name), "arguments": arguments}))
        .retry(bench.agent.retry())
        .in_doubt(if rerun { Doubt::Rerun } else { Doubt::Fail })
        .idempotency_key(call.turn.idempotency_key(&call.step))
        .run(|attempt| async move {
            let (server, tool) = (tool.server.as_str(), tool.name.as_str());
            let idempotency_key = attempt.idempotency_key.as_str();
            bench
                .toolbox
                .call(Invocation { servers, server, tool, arguments, idempotency_key })
                .await
        })
        .await
}
