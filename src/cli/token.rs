//! `relight token`: a new bearer token for HTTP.

use relight::durable::Entropy;
use relight::mcp::server::Token;

use super::Error;
use super::screen::Screen;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose tasks its carrier sees: any name without spaces
    owner: String,
}

/// Prints the token and the line for the file, and keeps neither.
pub(super) fn token(args: &Args, screen: &Screen) -> Result<(), Error> {
    let token = Token::draw(&args.owner, &Entropy::system())
        .map_err(|error| Error::Usage(error.to_string()))?;
    screen.note("The token, which is not shown again (Authorization: Bearer ...):");
    screen.line(token.expose());
    screen.note("The line for the file of --auth-tokens:");
    screen.line(token.line());
    Ok(())
}
