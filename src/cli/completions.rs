//! `relight completions`: tab completion for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::screen::Screen;
use super::{Cli, Error};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell to write for
    shell: Shell,
}

pub(super) fn completions(args: &Args, screen: &Screen) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "relight", &mut script);
    screen.line(String::from_utf8_lossy(&script));
    Ok(())
}
