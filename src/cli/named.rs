//! Flags that remember whether anybody gave them: one with a default has a value in any case.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// Flags, and which of them stand on the command line.
#[derive(Debug)]
pub(super) struct Named<F> {
    pub(super) flags: F,
    /// Such as `listen`.
    pub(super) named: Vec<String>,
}

impl<F: Args> FromArgMatches for Named<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let known = F::augment_args(Command::default());
        let named = known.get_arguments().filter(|flag| {
            matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        });
        let named = named.filter_map(|flag| flag.get_long().map(str::to_owned)).collect();
        Ok(Self { flags: F::from_arg_matches(matches)?, named })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<F: Args> Args for Named<F> {
    fn augment_args(command: Command) -> Command {
        F::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        F::augment_args_for_update(command)
    }
}
