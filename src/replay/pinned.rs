//! What a recorded agent is pinned to.

use super::Error;
use crate::agent::{AGENT_FUNCTION, Pinned};
use crate::journal::{Event, Recording};

/// What the recorded task is pinned to.
///
/// # Errors
/// [`Error::NotAnAgent`].
pub(super) fn of(recording: &Recording) -> Result<Pinned, Error> {
    let first = recording.root().records.first();
    match first.map(|record| &record.event) {
        Some(Event::TaskCreated { definition: Some(pinned), function, .. })
            if function == AGENT_FUNCTION =>
        {
            pinned.read().map_err(|error| Error::not_an_agent(&error))
        }
        Some(Event::TaskCreated { function, .. }) => {
            Err(Error::not_an_agent(&format!("it is of the function {function:?}")))
        }
        _ => Err(Error::not_an_agent(&"it has no first event")),
    }
}
