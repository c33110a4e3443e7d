//! `${VAR}` and `${VAR:-default}` in what people configure.
//!
//! Expanded when it is used and never before: what is journalled holds the name of a secret, not the
//! secret. No failure made here may show a value.

use crate::journal::Failure;

/// Looks an environment variable up.
pub(crate) type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The text with its variables put in, for `who` needs them. As in a shell, the default also stands
/// in for a variable that is set to nothing; and what is no such reference (`${x%.*}` in the argument
/// of an `sh -c`) is left as it is.
///
/// # Errors
/// Final, naming the variable and who needs it, when one without a default is not set.
pub(crate) fn expand_text(who: &str, text: &str, env: &Env) -> Result<String, Failure> {
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
                    "{who} needs the environment variable {name}, which is not set: set it, or \
                     write ${{{name}:-default}} in the configuration"
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
        match (expand_text("server \"files\"", text, &env), expected) {
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
    fn an_unset_variable_is_named_with_who_needs_it() {
        check("Bearer ${TOKEN}", Err("\"files\" needs the environment variable TOKEN"));
    }
}
