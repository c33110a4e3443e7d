//! A call of a tool that a server offers: one step, and what the model is told where its outcome is
//! unknown.

use serde_json::json;

use super::{Bench, Call};
use crate::agent::{InDoubt, Invocation, Tool, ToolOutput};
use crate::durable::Doubt;
use crate::journal::{Failure, FailureKind, StepKind};

/// Makes the call. The text is for the model.
///
/// # Errors
/// When the outcome is in doubt and the agent's policy is to fail.
pub(super) async fn call(bench: &Bench, call: Call<'_>, tool: &Tool) -> Result<String, Failure> {
    let Call { turn, step, arguments, .. } = call;
    let doubt = bench.agent.in_doubt_of(&tool.server, &tool.name);
    let servers = bench.agent.servers();
    let outcome: Result<ToolOutput, Failure> = turn
        .step(step, bench.agent.effect_of(tool))
        .kind(StepKind::Tool)
        .input(&json!({"tool": format!("{}/{}", tool.server, tool.name), "arguments": arguments}))
        .retry(bench.agent.retry())
        .timeout(bench.agent.timeout_of(tool))
        .in_doubt(if doubt == InDoubt::Retry { Doubt::Rerun } else { Doubt::Fail })
        .run(|attempt| async move {
            let (server, tool) = (tool.server.as_str(), tool.name.as_str());
            let idempotency_key = attempt.idempotency_key.as_str();
            bench.reach(Invocation { servers, server, tool, arguments, idempotency_key }).await
        })
        .await;
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
