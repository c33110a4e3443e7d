//! `relight validate`: checks what is written before anything runs.

use relight::config::{self, Settings};

use super::Error;
use super::screen::{Screen, dim};

pub(super) fn validate(settings: &Settings, screen: &Screen) -> Result<(), Error> {
    let agents = config::load_agents(settings)?;
    for agent in &agents {
        let model = if agent.models().is_empty() {
            "no model is configured".to_owned()
        } else {
            agent.models().join(", ")
        };
        let servers: Vec<_> = agent.servers().keys().map(String::as_str).collect();
        let tools = if servers.is_empty() {
            String::new()
        } else {
            format!("; tools of {}", servers.join(", "))
        };
        screen.line(format!("{}  {}", agent.name(), dim(format!("{model}{tools}"))));
    }
    screen.note("All is well.");
    Ok(())
}
