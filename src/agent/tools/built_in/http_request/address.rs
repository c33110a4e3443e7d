//! Which addresses may be connected to.
//!
//! The check is of the address that is really connected to: names are resolved here, and the client
//! connects to what passed. A name that resolves to something else the next time (DNS rebinding)
//! gains nothing by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A host has no address that may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {address}, which is {what}; `http.private` in the agent's file allows it")]
pub(super) struct Forbidden {
    host: String,
    address: IpAddr,
    what: &'static str,
}

/// Resolves names, and answers with the addresses that are allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Whether addresses that are not of the public internet are allowed.
    pub(super) private: bool,
}

impl Guard {
    /// Checks a URL whose host is an address: it is resolved by nobody. That it stands in the agent's
    /// file, letter by letter, allows more than a name does.
    pub(super) fn check_literal(self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) if !self.private => self.check(host, address),
            _ => Ok(()),
        }
    }

    fn check(self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        let forbidden = if self.private { metadata(address) } else { not_public(address) };
        match forbidden {
            Some(what) => Err(Forbidden { host: host.to_owned(), address, what }),
            None => Ok(()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (mut allowed, mut forbidden): (Vec<SocketAddr>, _) = (Vec::new(), None);
            for address in found {
                match guard.check(name.as_str(), address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(error) => forbidden = Some(error),
                }
            }
            match forbidden {
                Some(error) if allowed.is_empty() => Err(error.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// Why an address is not of the public internet, by IANA's registries of special addresses; `None`
/// where it is.
fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => not_public_v4(inner),
            None => not_public_v6(address),
        },
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some("this machine"),
        (127, ..) => Some("this machine (loopback)"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (169, 254, _) => Some("a link-local address, where clouds keep their metadata"),
        (100, 64..=127, _) => Some("a shared address of a provider's network"),
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => {
            Some("an address for special use")
        }
        (224.., ..) => Some("no address of one machine"),
        _ => None,
    }
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine (loopback)"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        // Teredo and documentation lie within the global range.
        [0x2001, 0 | 0xdb8, ..] => Some("an address for special use"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("no public address"),
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, NAT64 and 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            inner(high, low)
        }
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        _ => None,
    }
}

/// Where clouds answer whoever asks with the machine's credentials. No name of a private network
/// leads there for a good reason.
fn metadata(address: IpAddr) -> Option<&'static str> {
    let v4 = match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => embedded(address),
    };
    let of_v4 = v4.is_some_and(|address| {
        address.is_link_local() || address == Ipv4Addr::new(100, 100, 100, 200)
    });
    let of_v6 = matches!(address, IpAddr::V6(address)
        if address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]);
    (of_v4 || of_v6).then_some("where clouds keep their metadata")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for address in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::1.1.1.1"] {
            assert_eq!(not_public(address.parse().unwrap()), None, "{address}");
        }
        for address in [
            "0.0.0.0",
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(not_public(address.parse().unwrap()).is_some(), "{address}");
        }
    }

    #[test]
    fn private_networks_have_no_metadata() {
        let guard = Guard { private: true };
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1"] {
            assert!(guard.check("intra", address.parse().unwrap()).is_ok(), "{address}");
        }
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"] {
            assert!(guard.check("intra", address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_checked_by_what_it_resolves_to() {
        let resolve = |private| Guard { private }.resolve("localhost".parse().unwrap());
        let Err(error) = resolve(false).await else { panic!("localhost is allowed") };
        assert!(error.to_string().contains("this machine"), "{error}");
        assert!(resolve(true).await.is_ok());
    }
}
