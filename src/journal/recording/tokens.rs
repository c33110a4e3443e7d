//! The tokens of a JSON text, so that single values can be replaced and all the rest stays to the
//! letter: the order of keys and the form of numbers are part of what a step's hash is made of.

/// A piece of JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// The name of a member, quotes included.
    Key(&'t str),
    /// A string, quotes included.
    String(&'t str),
    /// A number, `true`, `false` or `null`.
    Scalar(&'t str),
    /// `{` or `[`.
    Open(&'t str),
    /// `}` or `]`.
    Close(&'t str),
    /// `:`, `,` and white space.
    Rest(&'t str),
}

/// The tokens of a text that is known to be JSON.
pub(super) fn tokens(mut text: &str) -> impl Iterator<Item = Token<'_>> {
    std::iter::from_fn(move || {
        let first = *text.as_bytes().first()?;
        let len = match first {
            b'"' => string_len(text),
            b'{' | b'[' | b'}' | b']' => 1,
            _ if is_rest(first) => text.bytes().take_while(|byte| is_rest(*byte)).count(),
            _ => {
                text.bytes().take_while(|byte| !is_rest(*byte) && !b"{}[]\"".contains(byte)).count()
            }
        };
        let (token, rest) = text.split_at(len);
        text = rest;
        Some(match first {
            b'"' if rest.trim_start().starts_with(':') => Token::Key(token),
            b'"' => Token::String(token),
            b'{' | b'[' => Token::Open(token),
            b'}' | b']' => Token::Close(token),
            _ if is_rest(first) => Token::Rest(token),
            _ => Token::Scalar(token),
        })
    })
}

fn is_rest(byte: u8) -> bool {
    matches!(byte, b':' | b',' | b' ' | b'\t' | b'\n' | b'\r')
}

/// The length of the string that the text begins with.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_all_of_the_text() {
        let text = r#"{ "a\"b" : [1.50, "x:y", true,{"k":null}] , "z":"" }"#;
        let all: String = tokens(text)
            .map(|token| match token {
                Token::Key(text)
                | Token::String(text)
                | Token::Scalar(text)
                | Token::Open(text)
                | Token::Close(text)
                | Token::Rest(text) => text,
            })
            .collect();
        assert_eq!(all, text);
        let keys: Vec<_> = tokens(text).filter(|token| matches!(token, Token::Key(_))).collect();
        assert_eq!(keys, [Token::Key(r#""a\"b""#), Token::Key(r#""k""#), Token::Key(r#""z""#)]);
    }
}
