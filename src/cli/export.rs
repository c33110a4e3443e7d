//! `relight export`: a task as a file.

use std::path::PathBuf;

use relight::config::Settings;
use relight::journal::Recording;
use relight::replay::{own_hashes, redacted};

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
    let recording = recording?;
    let redacted = redacted(recording.clone(), &settings.redaction).await?;
    if redacted != recording {
        tell_own_hashes(&redacted, screen);
    }
    let text = redacted.write();
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

/// Says where a replay may see a difference because of what was taken out. Only the function's own code
/// can make such a hash again, and it is not known here.
fn tell_own_hashes(redacted: &Recording, screen: &Screen) {
    for (task, key) in own_hashes(redacted) {
        screen.note(format!(
            "Secrets were taken out. Step {key:?} of task {task} has a hash that its function sets: \
             if it is of something secret a replay differs there. `Replay::redacted`, given the \
             function, makes it fit again."
        ));
    }
}
