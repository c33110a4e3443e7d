//! Packages of npm, installed once below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Two installations of the same packages would disturb each other.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs what `tests/interop/NAME` pins, unless it is there. Returns the directory that it is in,
/// with copies of all other files of `tests/interop/NAME`.
pub(crate) fn install(name: &str) -> PathBuf {
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop").join(name);
    fs::create_dir_all(&directory).unwrap();
    for file in fs::read_dir(pinned).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), directory.join(file.file_name())).unwrap();
    }
    let lock = directory.join("package-lock.json");
    let installed = directory.join("installed-lock.json");
    if fs::read(&installed).ok() != fs::read(&lock).ok() {
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--loglevel=error"])
            .current_dir(&directory)
            .status()
            .expect("these tests need Node with npm");
        assert!(npm.success(), "npm ci failed in {}", directory.display());
        fs::copy(lock, installed).unwrap();
    }
    directory
}
