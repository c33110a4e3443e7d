//! Under which URL clients know the server, and where they find out how to get a token for it
//! (RFC 9728).

use std::fmt;
use std::str::FromStr;

use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Uri, header};

/// Where the document stands on the server; the path of the resource follows.
pub(in crate::mcp::server::http) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The URL of `/mcp` as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Such as `https://relight.example`.
    origin: String,
    /// Such as `/mcp`; empty for the root.
    path: String,
}

/// A text that is no such URL.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("expected a URL such as https://relight.example/mcp, without query and user")]
pub struct PublicUrlError;

impl PublicUrl {
    /// What the client of this request has used, as far as can be seen from here.
    pub(super) fn of_request(head: &Parts) -> Self {
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.filter(|host| host.parse().is_ok_and(|host| is_plain(&host)));
        let origin = format!("http://{}", host.unwrap_or("localhost"));
        Self { origin, path: "/mcp".to_owned() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where the document about it stands.
    pub(super) fn metadata(&self) -> String {
        format!("{}{WELL_KNOWN}{}", self.origin, self.path)
    }
}

/// Whether it is a host and perhaps a port.
fn is_plain(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<Self, PublicUrlError> {
        let uri: Uri = text.parse().map_err(|_| PublicUrlError)?;
        let (Some(scheme @ ("http" | "https")), Some(authority), None) =
            (uri.scheme_str(), uri.authority(), uri.query())
        else {
            return Err(PublicUrlError);
        };
        if !is_plain(authority) || text.contains(['#', '"', '\\']) {
            return Err(PublicUrlError);
        }
        let origin = format!("{scheme}://{authority}");
        Ok(Self { origin, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_stands_between_origin_and_path() {
        for (url, metadata) in [
            ("https://a.example/mcp", "https://a.example/.well-known/oauth-protected-resource/mcp"),
            ("https://a.example:8/", "https://a.example:8/.well-known/oauth-protected-resource"),
            ("http://[::1]/x/mcp/", "http://[::1]/.well-known/oauth-protected-resource/x/mcp"),
        ] {
            let found: PublicUrl = url.parse().unwrap();
            assert_eq!(found.metadata(), metadata);
            assert_eq!(found.to_string(), url.trim_end_matches('/'));
        }
        for url in ["", "/mcp", "a.example", "ftp://a/mcp", "https://u@a/mcp", "https://a/m?x"] {
            assert!(url.parse::<PublicUrl>().is_err(), "{url}");
        }
    }
}
