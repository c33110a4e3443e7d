//! The variables of a server's configuration, and the environment of one that is a program.
//!
//! Expanded when a server is connected to and never before: what is journalled holds the name of a
//! secret, not the secret. No failure made here may show a value.

use std::collections::BTreeMap;

use crate::agent::ServerConfig;
use crate::agent::expand::{Env, expand_text};
use crate::journal::Failure;

/// What a program is given of our environment, as the MCP SDKs for TypeScript and Python have it, and
/// what says how to write text and time. None of these names a secret; ours has many.
#[cfg(not(windows))]
const INHERITED: &[&str] = &[
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ",
    "USER",
];
#[cfg(windows)]
const INHERITED: &[&str] = &[
    "APPDATA",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATH",
    "PATHEXT",
    "PROCESSOR_ARCHITECTURE",
    "PROGRAMFILES",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERNAME",
    "USERPROFILE",
];

/// The configuration with its variables put in. `env` of a program is then all of its environment.
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
        ServerConfig::Stdio { command, args, env: own, cwd } => {
            let inherited =
                INHERITED.iter().filter_map(|name| Some((name.to_string(), env(name)?)));
            ServerConfig::Stdio {
                command: text(command)?,
                args: args.iter().map(text).collect::<Result<_, _>>()?,
                env: inherited.chain(map(own)?).collect(),
                cwd: cwd.as_ref().map(text).transpose()?,
            }
        }
        ServerConfig::Http { url, headers } => {
            ServerConfig::Http { url: text(url)?, headers: map(headers)? }
        }
    })
}
