//! Clients from npm, written by the protocol's own people, against `examples/conformance.rs` over both
//! transports: in both dialects of Tasks and without any, and across a `kill -9` of the server.
//!
//! What each does is in `clients/*.mjs`.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::examples::example;
use crate::npm;

/// Far longer than any script takes; one that hangs is killed.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs a program to its end; panics with what it has said where it fails.
async fn run(command: &mut Command) {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; is Node installed?"));
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{command:?} hangs")).unwrap();
    let (said, cried) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{cried}", output.status);
}

/// Runs a script of `node:test` tests.
async fn script(name: &str, era: &str, transport: &str) {
    let mut node = Command::new("node");
    // A failed test leaves its client open, which would keep the process.
    node.arg("--test-force-exit").arg(name).current_dir(npm::install("clients"));
    node.env("RELIGHT_SERVER", example("conformance")).env("RELIGHT_ERA", era);
    run(node.env("RELIGHT_TRANSPORT", transport)).await;
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn sdk_1_speaks_the_experimental_dialect_over_stdio() {
    script("sdk-v1.mjs", "legacy", "stdio").await;
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn sdk_1_speaks_the_experimental_dialect_over_http() {
    script("sdk-v1.mjs", "legacy", "http").await;
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn ext_tasks_speaks_the_experimental_dialect_over_stdio() {
    script("ext-tasks.mjs", "legacy", "stdio").await;
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn ext_tasks_speaks_the_experimental_dialect_over_http() {
    script("ext-tasks.mjs", "legacy", "http").await;
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn ext_tasks_speaks_the_extension_over_stdio() {
    script("ext-tasks.mjs", "modern", "stdio").await;
}

#[tokio::test]
#[ignore = "needs npm: make interop"]
async fn ext_tasks_speaks_the_extension_over_http() {
    script("ext-tasks.mjs", "modern", "http").await;
}
