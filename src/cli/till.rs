//! `relight till`: the demo's tool server, hidden from the help.

use relight::durable::{Clock, SystemClock};
use relight::mcp::till::{self, Options};

use super::Error;

pub(super) async fn till(options: Options) -> Result<(), Error> {
    Ok(till::serve(options, || SystemClock.now_ms()).await?)
}
