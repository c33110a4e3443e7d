//! What people write down for relight: agent files and settings, and what is said of every mistake.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod agent_file;
mod agents;
mod asking;
mod mistakes;
mod place;
mod settings;

use relight::agent::{Definition, ServerConfig, Servers, Tool};
use relight::journal::{Effect, Payload};

/// An agent file of this name, with these lines in its front matter, from line 4.
fn agent(name: &str, lines: &str) -> String {
    format!("---\nname: {name}\ndescription: Does things.\n{lines}\n---\nYou do things.\n")
}

/// An agent file with these lines in its front matter, from line 4.
fn file(lines: &str) -> String {
    agent("a", lines)
}

/// The servers of a project: `till`, `mail`, and relight itself.
fn project() -> Servers {
    let program = |command: &str, args: &[&str]| ServerConfig::Stdio {
        command: command.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: Default::default(),
        cwd: None,
    };
    Servers::from([
        ("till".to_owned(), program("till", &[])),
        ("mail".to_owned(), program("mail", &[])),
        ("agents".to_owned(), program("/usr/bin/relight", &["serve"])),
    ])
}

fn parse(lines: &str) -> Definition {
    Definition::parse_in_project("a.md", &file(lines), &project()).unwrap()
}

/// The lines make no agent, and exactly this is said of them.
#[track_caller]
fn check(lines: &str, expected: &str) {
    check_text(&file(lines), expected);
}

#[track_caller]
fn check_text(text: &str, expected: &str) {
    match Definition::parse_in_project("a.md", text, &project()) {
        Ok(agent) => panic!("taken: {agent:?}"),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

fn tool(server: &str, name: &str, effect: Effect) -> Tool {
    Tool {
        server: server.to_owned(),
        name: name.to_owned(),
        description: None,
        input_schema: Payload::null(),
        effect,
        destructive_hint: None,
        as_task: false,
    }
}
