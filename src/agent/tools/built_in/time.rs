//! `sleep` and `wait_until`: durable timers for a model. While one runs the task is parked.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{BuiltIn, read};
use crate::agent::Tool;
use crate::agent::duration::duration_ms;
use crate::agent::tools::Call;
use crate::journal::Failure;
use crate::limits;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sleep {
    /// How long, such as 90s, 15m, 2h 30m or 7d.
    duration: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WaitUntil {
    /// When to go on, as an RFC 3339 time with its offset, such as 2030-01-31T09:00:00Z.
    time: String,
}

pub(super) fn sleep_tool() -> Tool {
    BuiltIn::Sleep.described::<Sleep>(
        "Waits for a while and then tells the time. It may be minutes or weeks: waiting costs nothing.",
    )
}

pub(super) fn wait_until_tool() -> Tool {
    BuiltIn::WaitUntil.described::<WaitUntil>(
        "Waits until a time and then tells the time. It may be weeks away: waiting costs nothing.",
    )
}

pub(super) async fn sleep(call: Call<'_>) -> Result<String, Failure> {
    let Sleep { duration } = read(call.arguments)?;
    let Some(wait_ms) = duration_ms(&duration) else {
        let what =
            format!("{duration:?} is no duration. Write one such as 90s, 15m, 2h 30m or 7d.");
        return call.refuse(what).await;
    };
    if wait_ms > limits::SLEEP_MAX_MS {
        return call.refuse(too_long()).await;
    }
    call.turn.sleep(&call.step, Duration::from_millis(wait_ms)).await?;
    woken(&call).await
}

pub(super) async fn wait_until(call: Call<'_>) -> Result<String, Failure> {
    let WaitUntil { time } = read(call.arguments)?;
    let Ok(until) = time.trim().parse::<Timestamp>() else {
        let what = format!(
            "{time:?} is no RFC 3339 time with an offset. Write one such as 2030-01-31T09:00:00Z."
        );
        return call.refuse(what).await;
    };
    let now_ms = call.scope().now_ms().await?;
    let wait_ms = until.as_millisecond().saturating_sub(now_ms);
    if u64::try_from(wait_ms).is_ok_and(|wait_ms| wait_ms > limits::SLEEP_MAX_MS) {
        return call.refuse(too_long()).await;
    }
    call.turn.sleep_until(&call.step, until.as_millisecond()).await?;
    woken(&call).await
}

async fn woken(call: &Call<'_>) -> Result<String, Failure> {
    let now_ms = call.scope().now_ms().await?;
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    Ok(format!("The wait is over. It is {now:.0} now."))
}

fn too_long() -> String {
    let days = limits::SLEEP_MAX_MS / (24 * 60 * 60 * 1_000);
    format!("Nobody waits longer than {days} days here. Wait for a shorter time, or give up.")
}
