//! `relight validate`: checks what is written before anything runs.

use relight::config::{self, Settings};
use relight::mcp::server::check;

use super::Error;
use super::host::{pin, unusable};
use super::screen::{Screen, dim};
use super::serve::served;

pub(super) fn validate(settings: &Settings, screen: &Screen) -> Result<(), Error> {
    let agents = config::load_agents(settings)?;
    let tools = agents
        .iter()
        .map(|agent| Ok(served(pin(agent.clone(), settings)?, settings.ttl_ms)))
        .collect::<Result<_, Error>>()?;
    check(tools)?;
    for agent in &agents {
        let model = match agent.models() {
            [] => "no model".to_owned(),
            models => models.join(", "),
        };
        let servers: Vec<_> = agent.servers().keys().map(String::as_str).collect();
        let tools = if servers.is_empty() {
            String::new()
        } else {
            format!("; tools of {}", servers.join(", "))
        };
        screen.line(format!("{}  {}", agent.name(), dim(format!("{model}{tools}"))));
    }
    let wrong = unusable(&agents, settings);
    if wrong.is_empty() {
        screen.note("All is well.");
    }
    for why in wrong {
        screen.note(format!("warning: {why}"));
    }
    Ok(())
}
