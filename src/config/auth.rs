//! Who is let in over HTTP: flags, and the files that they name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::auth_files::{AuthFiles, WatchedFile};
use super::{Environment, Error, Source, file};
use crate::durable::Clock;
use crate::mcp::server::{Auth, Jwt, JwtOptions, Keys, PublicUrl, Tokens};

/// Which tokens let somebody in. Take it into a command line with `#[command(flatten)]`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Who may use it over HTTP")]
pub struct AuthFlags {
    /// File of bearer tokens, a line each: OWNER HASH, as `relight token OWNER` prints it [env:
    /// RELIGHT_AUTH_TOKENS]
    #[arg(long, value_name = "FILE")]
    pub auth_tokens: Option<PathBuf>,

    /// Keys of an authorization server whose JWTs let somebody in: a JSON Web Key Set
    #[arg(long, value_name = "FILE|URL", requires_all = ["auth_issuer", "auth_audience"])]
    pub auth_jwks: Option<String>,

    /// The authorization server: what `iss` must be in a JWT
    #[arg(long, value_name = "URL", requires = "auth_jwks")]
    pub auth_issuer: Option<String>,

    /// What must be in `aud` of a JWT, mostly the public URL; may be repeated, and one is enough
    #[arg(long, value_name = "AUDIENCE", requires = "auth_jwks")]
    pub auth_audience: Vec<String>,

    /// A scope that a JWT must have; may be repeated, and all are needed
    #[arg(long, value_name = "SCOPE", requires = "auth_jwks", value_parser = scope)]
    pub auth_scope: Vec<String>,

    /// The URL under which clients reach /mcp, where a proxy stands between
    #[arg(long, value_name = "URL")]
    pub public_url: Option<PublicUrl>,
}

/// A scope as RFC 6749 has it: it stands in a header between quotes.
fn scope(text: &str) -> Result<String, &'static str> {
    let legal = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if !text.is_empty() && text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        Err("a scope is printable ASCII without spaces, quotes and backslashes")
    }
}

/// Reads what lets somebody in, and which files are to be looked at again; `None` where nothing is
/// said about it.
///
/// # Errors
/// When a file cannot be read, or does not hold what it should.
pub fn load_auth(
    flags: &AuthFlags,
    environment: &Environment,
    clock: Arc<dyn Clock>,
) -> Result<Option<(Arc<Auth>, AuthFiles)>, Error> {
    const VARIABLE: &str = "RELIGHT_AUTH_TOKENS";
    let flag = flags.auth_tokens.clone().map(|path| (path, Source::Flag("--auth-tokens")));
    let set = || environment.get(VARIABLE).map(|path| (path.into(), Source::Variable(VARIABLE)));
    let mut files = Vec::new();
    let tokens = match flag.or_else(set) {
        Some((path, from)) => {
            let text = read(&path, &from)?;
            let tokens = tokens(&path, &text)?;
            files.push(WatchedFile::new(path, text, |auth, file, text| {
                auth.replace_tokens(self::tokens(&file.path, text)?);
                Ok(())
            }));
            Some(tokens)
        }
        None => None,
    };
    let jwt = match (&flags.auth_jwks, &flags.auth_issuer) {
        (Some(jwks), Some(issuer)) => Some(Jwt::new(JwtOptions {
            keys: keys(jwks, &mut files)?,
            issuer: issuer.clone(),
            audience: flags.auth_audience.clone(),
            scopes: flags.auth_scope.clone(),
            clock,
        })),
        _ => None,
    };
    if tokens.is_none() && jwt.is_none() {
        return Ok(None);
    }
    let auth = Auth::new(tokens.unwrap_or_default(), jwt, flags.public_url.clone());
    let auth = Arc::new(auth);
    Ok(Some((Arc::clone(&auth), AuthFiles::new(auth, files))))
}

fn read(path: &Path, from: &Source) -> Result<String, Error> {
    let unreadable = |why| Error::Unreadable { path: path.to_owned(), why, from: from.clone() };
    file::read(path).map_err(unreadable)
}

fn tokens(path: &Path, text: &str) -> Result<Tokens, Error> {
    let tokens = Tokens::read(text).map_err(|error| unusable(path.display(), &error))?;
    if tokens.is_empty() {
        let why = "it has no token, so nobody could be let in; add a line of `relight token OWNER`";
        return Err(Error::Unusable { what: path.display().to_string(), why: why.to_owned() });
    }
    Ok(tokens)
}

fn keys(jwks: &str, files: &mut Vec<WatchedFile>) -> Result<Keys, Error> {
    if jwks.starts_with("http://") || jwks.starts_with("https://") {
        return Keys::published(jwks).map_err(|error| unusable(jwks, &error));
    }
    let text = read(Path::new(jwks), &Source::Flag("--auth-jwks"))?;
    let keys = Keys::fixed(&text).map_err(|error| unusable(jwks, &error))?;
    files.push(WatchedFile::new(jwks.into(), text, |auth, file, text| {
        auth.replace_keys(text).map_err(|error| unusable(file.path.display(), &error))
    }));
    Ok(keys)
}

fn unusable(what: impl ToString, error: &impl ToString) -> Error {
    Error::Unusable { what: what.to_string(), why: error.to_string() }
}
