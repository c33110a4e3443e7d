//! Clients from npm, written by the protocol's own people, against `examples/conformance.rs` over both
//! transports: in both dialects of Tasks and without any, and across a `kill -9` of the server.
//!
//! What each does is in `tests/interop/clients/*.mjs`. The packages are pinned there, and installed below
//! `target` by the first test that needs them. They need
//! Node 20 or later with npm, so `make interop` runs them, and a plain `cargo test` does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

/// Far longer than any script takes; one that hangs is killed.
const PATIENCE: Duration = Duration::from_secs(180);

const FILES: [&str; 6] =
    [".npmrc", "package.json", "package-lock.json", "server.mjs", "sdk-v1.mjs", "ext-tasks.mjs"];

/// The directory with the scripts and what they import.
async fn installed() -> &'static Path {
    static INSTALLED: OnceCell<PathBuf> = OnceCell::const_new();
    INSTALLED.get_or_init(install).await
}

async fn install() -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/clients");
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    fs::create_dir_all(&to).unwrap();
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let (lock, installed) = (to.join("package-lock.json"), to.join("installed-lock.json"));
    if fs::read(&installed).ok() != fs::read(&lock).ok() {
        run(Command::new("npm").arg("ci").current_dir(&to)).await;
        fs::copy(lock, installed).unwrap();
    }
    to
}

/// Runs a program to its end; panics with what it has said where it fails.
async fn run(command: &mut Command) {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; is Node with npm installed?"));
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{command:?} hangs")).unwrap();
    let (said, cried) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{cried}", output.status);
}

/// Runs a script of `node:test` tests.
async fn script(name: &str, era: &str, transport: &str) {
    let test = std::env::current_exe().unwrap();
    let server = test.parent().unwrap().parent().unwrap().join("examples/conformance");
    assert!(server.exists(), "{} is missing: cargo build --examples", server.display());
    let mut node = Command::new("node");
    // A failed test leaves its client open, which would keep the process.
    node.arg("--test-force-exit").arg(name).current_dir(installed().await);
    node.env("RELIGHT_SERVER", server).env("RELIGHT_ERA", era);
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
