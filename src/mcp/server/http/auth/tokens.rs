//! Bearer tokens that the operator gives out. Only their hashes are kept, so that nobody who reads
//! the file can use them.
//!
//! A file of tokens has a line for each, `OWNER HASH`: who carries it, and the BLAKE3 hash of the
//! token in hex. Blank lines and lines that begin with `#` are skipped. An owner may have several
//! tokens, so that one can be replaced while it is in use.

use std::fmt;

use blake3::Hash;

use crate::durable::Entropy;
use crate::limits;

/// What every token begins with, so that scanners for leaked secrets can know it.
const PREFIX: &str = "relight_";

/// A new token.
pub struct Token {
    secret: String,
    owner: String,
}

/// Why a token cannot be made, or a file of tokens cannot be used. Says nothing of what stands in
/// the line: it may be a token that was put there by mistake.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// An owner's name that cannot stand in a file of tokens.
    #[error(
        "an owner is 1 to {} bytes without spaces, and does not begin with #",
        limits::OWNER_MAX_BYTES
    )]
    Owner,
    /// A line that is none.
    #[error(
        "line {line}: expected OWNER and the token's hash of 64 hex digits, as `relight token \
         OWNER` prints it"
    )]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// One token for two owners.
    #[error("line {line}: the token of line {first} again; give every line a token of its own")]
    Twice {
        /// Which, from 1.
        line: usize,
        /// Where it stood first.
        first: usize,
    },
    /// The operating system has no random bits.
    #[error("no random bits can be had: {0}")]
    Entropy(#[from] getrandom::Error),
}

impl Token {
    /// Draws one.
    ///
    /// # Errors
    /// [`TokenError::Owner`] and [`TokenError::Entropy`].
    pub fn draw(owner: &str, entropy: &Entropy) -> Result<Self, TokenError> {
        if !is_owner(owner) {
            return Err(TokenError::Owner);
        }
        let secret = format!("{PREFIX}{}", Hash::from_bytes(entropy.secret()?).to_hex());
        Ok(Self { secret, owner: owner.to_owned() })
    }

    /// What the client sends: the only time that it is shown.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    /// The line for the file.
    pub fn line(&self) -> String {
        format!("{} {}", self.owner, hash(&self.secret).to_hex())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// The tokens of a file.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<(Hash, String)>);

impl Tokens {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`TokenError`], for its first line that is wrong.
    pub fn read(text: &str) -> Result<Self, TokenError> {
        let mut tokens: Vec<(Hash, String)> = Vec::new();
        let mut lines = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (owner, hash) = entry(text).ok_or(TokenError::Line { line })?;
            if let Some(at) = tokens.iter().position(|(known, _)| *known == hash) {
                return Err(TokenError::Twice { line, first: lines[at] });
            }
            tokens.push((hash, owner));
            lines.push(line);
        }
        Ok(Self(tokens))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token it is. Takes the same time for every token of the same length: the hashes are
    /// compared in constant time, and all of them.
    pub(super) fn owner(&self, token: &str) -> Option<&str> {
        let hash = hash(token);
        self.0.iter().fold(
            None,
            |found, (known, owner)| {
                if *known == hash { Some(owner.as_str()) } else { found }
            },
        )
    }
}

fn entry(line: &str) -> Option<(String, Hash)> {
    let mut words = line.split_whitespace();
    let (owner, hash) = (words.next()?, words.next()?);
    let hash = Hash::from_hex(hash).ok()?;
    (words.next().is_none() && is_owner(owner)).then(|| (owner.to_owned(), hash))
}

fn is_owner(name: &str) -> bool {
    let spaced = name.contains(|c: char| c.is_whitespace() || c.is_control());
    !name.is_empty() && name.len() <= limits::OWNER_MAX_BYTES && !spaced && !name.starts_with('#')
}

/// A token has 256 random bits: no salt and no slow hash could make it harder to guess.
fn hash(token: &str) -> Hash {
    blake3::hash(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_lets_its_token_in_and_no_other() {
        let entropy = Entropy::seeded(7);
        let [ann, bob, new] = ["ann", "bob", "ann"].map(|o| Token::draw(o, &entropy).unwrap());
        let file = format!("# who\n\n{}\r\n  {}\n{}", ann.line(), bob.line(), new.line());
        let tokens = Tokens::read(&file).unwrap();
        assert_eq!(tokens.len(), 3);
        for (token, owner) in [(&ann, "ann"), (&bob, "bob"), (&new, "ann")] {
            assert_eq!(tokens.owner(token.expose()), Some(owner));
            assert_eq!(tokens.owner(&token.expose()[1..]), None);
            assert!(!file.contains(token.expose()));
            assert!(!format!("{token:?}").contains(token.expose()));
        }
        let hash = ann.line()["ann ".len()..].to_owned();
        assert_eq!(tokens.owner(&hash), None, "a hash is no token");
    }

    #[test]
    fn a_line_that_is_none_is_named_and_not_shown() {
        let hash = "0".repeat(64);
        for (file, line) in [
            ("ann relight_secret".to_owned(), 1),
            (format!("# x\n\n{hash}"), 3),
            (format!("ann {hash} more"), 1),
            (format!("{} {hash}", "x".repeat(limits::OWNER_MAX_BYTES + 1)), 1),
            (format!("ann {hash}\nbob {hash}"), 2),
        ] {
            let told = Tokens::read(&file).unwrap_err().to_string();
            assert!(told.starts_with(&format!("line {line}:")), "{told}");
            assert!(!told.contains("secret") && !told.contains(&hash), "{told}");
        }
        for owner in ["", "a b", "#a", "a\n"] {
            assert!(Token::draw(owner, &Entropy::seeded(1)).is_err(), "{owner:?}");
        }
    }
}
