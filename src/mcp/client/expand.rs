//! The variables of a server's configuration.
//!
//! Expanded when a server is connected to and never before: what is journalled holds the name of a
//! secret, not the secret. No failure made here may show a value.

use std::collections::BTreeMap;

use crate::agent::ServerConfig;
use crate::agent::expand::{Env, expand_text};
use crate::journal::Failure;

/// The configuration with its variables put in.
///
/// # Errors
/// Final, naming the variable and the server, when a variable without a default is not set.
pub(super) fn expand(
    server: &str,
    config: &ServerConfig,
    env: &Env,
) -> Result<ServerConfig, Failure> {
    let who = format!("tool server {server:?}");
    let text = |text: &String| expand_text(&who, text, env);
    let map = |map: &BTreeMap<String, String>| -> Result<BTreeMap<_, _>, Failure> {
        map.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
    };
    Ok(match config {
        ServerConfig::Stdio { command, args, env, cwd } => ServerConfig::Stdio {
            command: text(command)?,
            args: args.iter().map(text).collect::<Result<_, _>>()?,
            env: map(env)?,
            cwd: cwd.as_ref().map(text).transpose()?,
        },
        ServerConfig::Http { url, headers } => {
            ServerConfig::Http { url: text(url)?, headers: map(headers)? }
        }
    })
}
