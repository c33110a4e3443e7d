//! The `relight` binary: flags in, an exit code out. What it does is in `cli`, one file a command.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
