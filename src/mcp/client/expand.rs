//! `${VAR}` and `${VAR:-default}` in a server's configuration.
//!
//! Expanded when a server is connected to and never before: what is journalled holds the name of a
//! secret, not the secret. No failure made here may show a value.

use std::collections::BTreeMap;

use crate::agent::ServerConfig;
use crate::journal::Failure;

/// Looks an environment variable up.
pub(super) type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The configuration with its variables put in.
///
/// # Errors
/// Final, naming the variable and the server, when a variable without a default is not set.
pub(super) fn expand(
    server: &str,
    config: &ServerConfig,
    env: &Env,
) -> Result<ServerConfig, Failure> {
    let text = |text: &String| expand_text(server, text, env);
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

/// As in a shell, the default also stands in for a variable that is set to nothing; and what is
/// no such reference (`${x%.*}` in the argument of an `sh -c`) is left as it is.
fn expand_text(server: &str, text: &str, env: &Env) -> Result<String, Failure> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        expanded.push_str(before);
        let inner = &reference[2..];
        let Some((name, default, after)) = parse(inner) else {
            expanded.push_str("${");
            rest = inner;
            continue;
        };
        match (env(name), default) {
            (Some(value), Some(default)) if value.is_empty() => expanded.push_str(default),
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => {
                return Err(Failure::is_final(format!(
                    "tool server {server:?} needs the environment variable {name}, which is not \
                     set: set it, or write ${{{name}:-default}} in the server's configuration"
                )));
            }
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Splits `NAME}…` or `NAME:-default}…` into name, default and what follows.
fn parse(inner: &str) -> Option<(&str, Option<&str>, &str)> {
    let (reference, after) = inner.split_once('}')?;
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let mut letters = name.bytes();
    let valid = letters.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && letters.all(|b| b == b'_' || b.is_ascii_alphanumeric());
    valid.then_some((name, default, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let env = |name: &str| match name {
            "HOME" => Some("/home/ann".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        match (expand_text("files", text, &env), expected) {
            (Ok(expanded), Ok(expected)) => assert_eq!(expanded, expected),
            (Err(failure), Err(part)) => {
                assert!(failure.message.contains(part), "{}", failure.message);
            }
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn variables_are_put_in_and_defaults_stand_in() {
        check("plain", Ok("plain"));
        check("${HOME}/x:${HOME}", Ok("/home/ann/x:/home/ann"));
        check("${NONE:-/tmp}/x", Ok("/tmp/x"));
        check("${EMPTY:-dflt}", Ok("dflt"));
        check("${NONE:-}", Ok(""));
        check("[${EMPTY}]", Ok("[]"));
    }

    #[test]
    fn what_is_no_reference_is_left_alone() {
        check("${x%.*} $HOME ${} ${1} ${HOME", Ok("${x%.*} $HOME ${} ${1} ${HOME"));
    }

    #[test]
    fn an_unset_variable_is_named_with_its_server() {
        check("Bearer ${TOKEN}", Err("\"files\" needs the environment variable TOKEN"));
    }
}
