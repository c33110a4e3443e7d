//! A call of a tool that a server offers: a step, further ones where the server makes a task of it,
//! and where its outcome is lost whatever it takes to settle that.

use serde_json::json;

use super::doubt::{Lost, Settled, settle};
use super::{Bench, Call, downstream};
use crate::agent::{Called, InDoubt, Invocation, Tool};
use crate::durable::{Context, Doubt};
use crate::journal::{Failure, FailureKind, StepKind};

/// Makes the call, and again where it turns out not to have happened. The text is for the model.
///
/// # Errors
/// When the outcome is in doubt and a person, or the agent's policy, ends the task for it.
pub(super) async fn call(bench: &Bench, call: Call<'_>, tool: &Tool) -> Result<String, Failure> {
    let scope = call.scope();
    let (mut ctx, mut step) = (call.turn, call.step.clone());
    let mut before = 0;
    loop {
        let made = make(bench, &call, tool, ctx, &step).await;
        let of_task = matches!(made, Ok(Called::Task { .. }));
        let outcome = match made {
            Ok(Called::Output(output)) => Ok(output),
            Ok(Called::Task { task }) => downstream::follow(bench, &scope, tool, &task).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(output) if output.is_error => {
                return Ok(format!("The tool reports an error: {}", output.text));
            }
            Ok(output) => return Ok(output.text),
            Err(failure) if failure.kind == FailureKind::Mismatch => return Err(failure),
            Err(failure) if failure.kind == FailureKind::InDoubt => {
                let started_at_ms = ctx.started_at_ms(&step);
                let lost = Lost { failure, started_at_ms, before, of_task };
                match settle(bench, &call, tool, lost).await? {
                    Settled::Known(text) => return Ok(text),
                    Settled::Again => before += 1,
                }
            }
            Err(failure) => return Ok(format!("The call failed: {failure}")),
        }
        (ctx, step) = (&scope, format!("again-{before}"));
    }
}

/// The step that is the call itself, by this name. A task that it leads to is found again by its
/// outcome, so the call is never made for that a second time. All attempts at one call carry one
/// idempotency key.
async fn make(
    bench: &Bench,
    call: &Call<'_>,
    tool: &Tool,
    ctx: &Context,
    step: &str,
) -> Result<Called, Failure> {
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
            let call = Invocation {
                servers,
                server: &tool.server,
                tool: &tool.name,
                arguments,
                idempotency_key: &attempt.idempotency_key,
                as_task: tool.as_task,
            };
            bench.toolbox.call(call).await
        })
        .await
}
