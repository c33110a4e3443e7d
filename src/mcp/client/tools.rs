//! A tool as its server describes it, in the words of the agent's room.

use rmcp::model::ToolAnnotations;

use super::seam;
use crate::agent::Tool;
use crate::journal::{Effect, Failure, Payload};

/// # Errors
/// When the schema has no JSON form, which no server's can lack.
pub(super) fn translate(server: &str, tool: rmcp::model::Tool) -> Result<Tool, Failure> {
    let input_schema = Payload::of(tool.input_schema.as_ref()).map_err(|error| {
        Failure::is_final(format!("tool {:?} of server {server:?}: its schema: {error}", tool.name))
    })?;
    Ok(Tool {
        server: server.to_owned(),
        effect: effect(tool.annotations.as_ref()),
        destructive_hint: tool.annotations.as_ref().and_then(|hints| hints.destructive_hint),
        as_task: seam::supports_tasks(&tool),
        name: tool.name.into_owned(),
        description: tool.description.map(Into::into),
        input_schema,
    })
}

/// The hints' defaults are the protocol's: without a word, a tool changes things, and changes them
/// again when it is called again. `destructiveHint` says how bad a change is, not whether it may
/// be repeated, and has no part in this.
fn effect(annotations: Option<&ToolAnnotations>) -> Effect {
    match annotations {
        Some(hints) if hints.read_only_hint == Some(true) => Effect::Pure,
        Some(hints) if hints.is_idempotent() => Effect::Idempotent,
        _ => Effect::Once,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_follow_the_hints() {
        let hints = ToolAnnotations::default;
        assert_eq!(effect(None), Effect::Once);
        assert_eq!(effect(Some(&hints())), Effect::Once);
        assert_eq!(effect(Some(&hints().destructive(false))), Effect::Once);
        assert_eq!(effect(Some(&hints().idempotent(true))), Effect::Idempotent);
        assert_eq!(effect(Some(&hints().read_only(true))), Effect::Pure);
        assert_eq!(effect(Some(&hints().read_only(true).idempotent(true))), Effect::Pure);
        assert_eq!(effect(Some(&hints().read_only(false).idempotent(true))), Effect::Idempotent);
    }
}
