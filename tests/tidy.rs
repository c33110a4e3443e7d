//! The house rules that a compiler does not check, as a test of the tree itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file longer than this cannot be read in one sitting.
const LINES_MAX: usize = 600;

struct Source {
    /// From the root of the tree, with `/`.
    path: String,
    /// Without comments, so that prose may name what code must not use.
    code: String,
    lines: usize,
}

fn sources(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut left = vec![root.join(directory)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(read(root, &path));
        }
    }
    assert!(!found.is_empty(), "{directory} has no sources");
    found
}

fn read(root: &Path, path: &PathBuf) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    Source {
        path: path.strip_prefix(root).unwrap().display().to_string(),
        code: code.collect::<Vec<_>>().join("\n"),
        lines: text.lines().count(),
    }
}

/// No source below `directory` may hold any of these words.
#[track_caller]
fn absent(directory: &str, words: &[&str], why: &str) {
    for source in sources(directory) {
        for word in words {
            let line = source.code.lines().find(|line| line.contains(word));
            assert!(line.is_none(), "{}: {word:?} has no place here: {why}\n{line:?}", source.path);
        }
    }
}

#[test]
fn the_rooms_depend_in_one_direction() {
    let rooms = [
        ("src/journal", vec!["durable", "agent", "mcp", "config"]),
        ("src/durable", vec!["agent", "mcp", "config"]),
        ("src/agent", vec!["mcp", "config"]),
        ("src/mcp", vec!["config"]),
    ];
    for (room, above) in rooms {
        let words: Vec<_> = above.iter().map(|above| format!("crate::{above}")).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        absent(room, &words, "the rooms go mcp -> agent -> durable -> journal");
    }
}

#[test]
fn sql_is_in_the_journal_only() {
    let words = ["rusqlite", "SELECT ", "INSERT INTO", "DELETE FROM", "PRAGMA "];
    for directory in ["src/durable", "src/agent", "src/mcp", "src/cli", "src/config"] {
        absent(directory, &words, "SQL is in src/journal and nowhere else");
    }
}

#[test]
fn mcp_is_spoken_in_its_room_only() {
    for directory in ["src/journal", "src/durable", "src/agent", "src/cli", "src/config"] {
        absent(directory, &["rmcp::"], "rmcp is imported in src/mcp and nowhere else");
    }
}

#[test]
fn durable_code_does_no_http() {
    for directory in ["src/journal", "src/durable"] {
        absent(directory, &["reqwest", "async_openai"], "HTTP is for models and MCP");
    }
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    for source in ["src", "tests", "examples", "benches"].into_iter().flat_map(sources) {
        let Source { path, lines, .. } = source;
        assert!(lines <= LINES_MAX, "{path} has {lines} lines: look for the seam");
    }
}

#[test]
fn every_module_says_why_it_exists() {
    for path in sources("src").into_iter().map(|source| source.path) {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path)).unwrap();
        assert!(text.starts_with("//!"), "{path} does not begin with a module comment");
    }
}

#[test]
fn nothing_is_left_open() {
    for directory in ["src", "examples", "benches"] {
        absent(directory, &["todo!(", "unimplemented!(", "dbg!("], "finish it or leave it out");
    }
}
