//! `relight export`: a task as a file.

use std::path::PathBuf;

use relight::config::Settings;
use relight::journal::Recording;
use relight::replay::redacted;

use super::screen::Screen;
use super::{Error, find_task, host};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The task's id, or as much of it as is needed
    task: String,
    /// Write to this file instead of stdout
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Secrets are taken out; see `redact` in relight.yaml.
pub(super) async fn export(args: &Args, settings: &Settings, screen: &Screen) -> Result<(), Error> {
    let store = host::open(settings)?;
    let recording = async {
        let task = find_task(store.as_ref(), &args.task).await?;
        Ok::<_, Error>(Recording::of(store.as_ref(), task).await?)
    };
    let recording = recording.await;
    store.close().await;
    let text = redacted(recording?, &settings.redaction).await?.write();
    match &args.output {
        Some(path) => std::fs::write(path, text).map_err(|error| {
            Error::Io(std::io::Error::new(
                error.kind(),
                format!("cannot write {}: {error}", path.display()),
            ))
        }),
        None => {
            screen.text(&text);
            Ok(())
        }
    }
}
