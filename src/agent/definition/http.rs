//! The key `http`: where the built-in tool `http_request` may go, and how.

use std::collections::BTreeMap;
use std::fmt;

use http::HeaderName;
use http::uri::Authority;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolPattern;
use super::document::{Fields, Node, Problems, Value};
use super::rules::{Mention, choice};
use crate::agent::BuiltIn;
use crate::agent::tools::BUILT_IN;
use crate::journal::Effect;
use crate::limits;

/// What an agent may do over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRules {
    pub(in crate::agent) hosts: Vec<HostPattern>,
    pub(in crate::agent) methods: Vec<HttpMethod>,
    /// Further headers by the host that they are for, with `${VAR}` not yet expanded: they hold
    /// secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::agent) headers: BTreeMap<HostPattern, BTreeMap<String, String>>,
    /// Whether addresses may be reached that are not of the public internet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::agent) private: bool,
    pub(in crate::agent) max_bytes: u64,
    pub(in crate::agent) timeout_ms: u64,
}

impl HttpRules {
    /// Whether a request may go there, as far as its name says.
    pub(in crate::agent) fn allow(&self, url: &Url) -> bool {
        self.hosts.iter().any(|host| host.matches(url))
    }
}

/// A method of HTTP.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum HttpMethod {
    /// Reads.
    Get,
    /// Reads the headers only.
    Head,
    /// Asks what is possible.
    Options,
    /// Puts something in its place.
    Put,
    /// Takes something away.
    Delete,
    /// Does what the server likes.
    Post,
    /// Changes a part.
    Patch,
}

impl HttpMethod {
    const ALL: [(&str, Self); 7] = [
        ("GET", Self::Get),
        ("HEAD", Self::Head),
        ("OPTIONS", Self::Options),
        ("PUT", Self::Put),
        ("DELETE", Self::Delete),
        ("POST", Self::Post),
        ("PATCH", Self::Patch),
    ];

    /// What sending it twice would do (RFC 9110, section 9.2).
    pub fn effect(self) -> Effect {
        match self {
            Self::Get | Self::Head | Self::Options => Effect::Pure,
            Self::Put | Self::Delete => Effect::Idempotent,
            Self::Post | Self::Patch => Effect::Once,
        }
    }

    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

/// `api.example.com`, `*.example.org` for all names below it, either with a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(in crate::agent) struct HostPattern {
    /// As URLs have it: lower case, punycode, addresses in their one form.
    name: String,
    /// Whether names below this one are meant.
    below: bool,
    /// Without one, the usual port of the scheme.
    port: Option<u16>,
}

impl HostPattern {
    fn parse(text: &str) -> Option<Self> {
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let authority: Authority = rest.parse().ok().filter(|_| !rest.contains('@'))?;
        // A URL knows the one form of a host, but not a port that is the usual one.
        let url = Url::parse(&format!("http://{rest}/")).ok()?;
        let name = name(&url).filter(|name| !name.contains('*'))?;
        Some(Self { name, below, port: authority.port_u16() })
    }

    pub(in crate::agent) fn matches(&self, url: &Url) -> bool {
        let of_name = name(url).is_some_and(|name| match self.below {
            false => name == self.name,
            true => name.strip_suffix(&self.name).is_some_and(|above| above.ends_with('.')),
        });
        of_name
            && match self.port {
                None => url.port().is_none(),
                Some(port) => url.port_or_known_default() == Some(port),
            }
    }
}

/// A URL's host without the dot that may end it.
fn name(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let name = host.strip_suffix('.').unwrap_or(host);
    (!name.is_empty()).then(|| name.to_owned())
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(f, "{below}{}", self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no host"))
    }
}

/// Reads `http`. `None` where it is absent: the agent has no such tool then.
pub(super) fn http(fields: &Fields<'_>, problems: &mut Problems) -> Option<HttpRules> {
    const KEYS: [&str; 6] = ["hosts", "methods", "headers", "private", "maxBytes", "timeout"];
    let node = fields.get("http")?;
    let fields = Fields::open(node, "http", &KEYS, problems)?;
    let hosts = hosts(&fields, node, problems);
    let headers = headers(&fields, &hosts, problems);
    let timeout_ms = fields.duration_ms("timeout", problems).unwrap_or(limits::HTTP_TOOL_MS);
    let most_ms = limits::TOOL_CALL_MS;
    if timeout_ms > most_ms {
        let seconds = most_ms / 1_000;
        problems.at(node.line, format!("\"http.timeout\" may be {seconds}s at most"));
    }
    let max_bytes = fields.whole("maxBytes", 1..=limits::HTTP_TOOL_MAX_BYTES, problems);
    Some(HttpRules {
        methods: methods(&fields, problems),
        private: private(&fields, problems),
        max_bytes: max_bytes.unwrap_or(limits::HTTP_TOOL_BYTES),
        hosts,
        headers,
        timeout_ms,
    })
}

/// Complains where the tool is wanted and nothing says what it may do, and the other way round.
pub(super) fn check(fields: &Fields<'_>, tools: Option<&[Mention]>, problems: &mut Problems) {
    let tool = ToolPattern::one(BUILT_IN, BuiltIn::HttpRequest.name());
    let all = ToolPattern::all_of(BUILT_IN);
    let mentions = |pattern| tools.into_iter().flatten().find(|mention| mention.pattern == pattern);
    match (fields.get("http"), mentions(tool)) {
        (None, Some(Mention { line, .. })) => problems.at(
            *line,
            "http_request needs to know where it may go; add it to the front matter, such as: \
             http: {hosts: [api.example.com]}",
        ),
        (Some(http), None) if tools.is_some() && mentions(all).is_none() => problems.at(
            http.line,
            "\"http\" says where http_request may go, and \"tools\" leaves that out; add it there",
        ),
        _ => {}
    }
}

const HOST: &str = "a host such as api.example.com, *.example.org or localhost:8080";

fn hosts(fields: &Fields<'_>, http: &Node, problems: &mut Problems) -> Vec<HostPattern> {
    let Some(node) = fields.get("hosts") else {
        problems.at(http.line, "\"http\" has no \"hosts\"; name those that the agent may reach");
        return Vec::new();
    };
    let items = items(node);
    if items.is_empty() {
        problems.wrong("http.hosts", HOST, node);
    }
    let mut hosts = Vec::new();
    for item in items {
        match &item.value {
            Value::Text(text) => match HostPattern::parse(text.trim()) {
                Some(host) => hosts.push(host),
                None => problems.wrong("http.hosts", HOST, item),
            },
            _ => problems.wrong("http.hosts", HOST, item),
        }
    }
    hosts
}

fn methods(fields: &Fields<'_>, problems: &mut Problems) -> Vec<HttpMethod> {
    // What changes nothing; more is for the file to say.
    let Some(node) = fields.get("methods") else { return vec![HttpMethod::Get, HttpMethod::Head] };
    let items = items(node).iter();
    items.filter_map(|item| choice("http.methods", &HttpMethod::ALL, item, problems)).collect()
}

fn private(fields: &Fields<'_>, problems: &mut Problems) -> bool {
    match fields.get("private") {
        None => false,
        Some(Node { value: Value::Bool(private), .. }) => *private,
        Some(node) => {
            problems.wrong("http.private", "true or false", node);
            false
        }
    }
}

fn headers(
    fields: &Fields<'_>,
    hosts: &[HostPattern],
    problems: &mut Problems,
) -> BTreeMap<HostPattern, BTreeMap<String, String>> {
    const KEY: &str = "http.headers";
    let mut headers = BTreeMap::new();
    let Some(node) = fields.get("headers") else { return headers };
    let Value::Map(entries) = &node.value else {
        problems.wrong(KEY, "a map of hosts to headers", node);
        return headers;
    };
    for entry in entries {
        let path = format!("{KEY}.{}", entry.key);
        let host = HostPattern::parse(&entry.key).filter(|host| !host.below);
        let (Some(host), Value::Map(fields)) = (host, &entry.value.value) else {
            problems.wrong(&path, "one host's headers: they are sent to no other", &entry.value);
            continue;
        };
        if !hosts.iter().any(|allowed| allowed.covers(&host)) {
            problems.at(entry.line, format!("\"{path}\": the host is not among \"http.hosts\""));
        }
        let mut of_host = BTreeMap::new();
        for field in fields {
            match &field.value.value {
                Value::Text(text) if field.key.parse::<HeaderName>().is_ok() => {
                    of_host.insert(field.key.clone(), text.clone());
                }
                _ => problems.wrong(&path, "a map of header names to text", &field.value),
            }
        }
        headers.insert(host, of_host);
    }
    headers
}

impl HostPattern {
    /// Whether this one allows that one, which is a single host.
    fn covers(&self, host: &Self) -> bool {
        let below = |name: &str| name.strip_suffix(&self.name).is_some_and(|a| a.ends_with('.'));
        self.port == host.port
            && if self.below { below(&host.name) } else { self.name == host.name }
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let pattern = HostPattern::parse(pattern).unwrap();
        for (urls, expected) in [(yes, true), (no, false)] {
            for url in urls {
                let parsed = Url::parse(url).unwrap();
                assert_eq!(pattern.matches(&parsed), expected, "{pattern} and {url}");
            }
        }
    }

    #[test]
    fn a_host_is_itself_on_the_usual_port() {
        check(
            "Api.example.com",
            &[
                "https://api.example.com/x",
                "http://API.example.com:80/",
                "https://api.example.com./",
            ],
            &[
                "https://example.com/",
                "https://x.api.example.com/",
                "https://api.example.com.evil.org/",
                "https://api.example.com:8443/",
                "https://user@evil.org/api.example.com",
            ],
        );
    }

    #[test]
    fn a_star_stands_for_names_below() {
        check(
            "*.example.org",
            &["https://a.example.org/", "https://a.b.example.org/"],
            &["https://example.org/", "https://anexample.org/", "https://a.example.org:81/"],
        );
    }

    #[test]
    fn a_port_is_meant_where_it_stands() {
        check("localhost:8080", &["http://localhost:8080/"], &["http://localhost/"]);
        check("example.com:443", &["https://example.com/"], &["http://example.com/"]);
    }

    #[test]
    fn an_address_has_one_form() {
        check("127.0.0.1", &["http://2130706433/", "http://0x7f.1/"], &["http://127.0.0.2/"]);
        check("[::1]:80", &["http://[0:0::1]/"], &["http://[::2]/"]);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "*", "*.", "https://example.com", "a@b", "a/b", "*.*.org", "a:99999"] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }
}
