//! Who a request is from when it came through reverse proxies: what a proxy
//! says of that counts only where somebody said that the proxy is theirs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::refuse::Refusal;

/// The older of the two headers; no standard, and what most proxies send.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks of the reverse proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Why a list of networks isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxiesError {
    /// One of them isn't a network, or could be read in two ways.
    #[error("must be networks such as 127.0.0.1 or 10.0.0.0/8,2001:db8::/32, with commas between them")]
    Malformed,
    /// One of them is the whole internet, which could then say that it is anybody.
    #[error("must not be a network of all addresses: everybody could then claim to be anybody")]
    Everybody,
}

impl TrustedProxies {
    /// Takes networks with commas between them; a plain address is a network of one.
    ///
    /// # Errors
    /// When one isn't a network, or is of everybody.
    pub fn parse(text: &str) -> Result<Self, ProxiesError> {
        let networks: Option<Vec<_>> = text.split(',').map(|text| network(text.trim())).collect();
        let networks = networks.ok_or(ProxiesError::Malformed)?;
        if networks.iter().any(|network| network.prefix_len() == 0) {
            return Err(ProxiesError::Everybody);
        }
        Ok(Self(networks))
    }

    /// Whether the proxy at an address is believed.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// Whose request it is that came from `peer` with these headers: the last
    /// address on its way that isn't a believed proxy's. `None` if a believed
    /// proxy doesn't say.
    ///
    /// # Errors
    /// When both headers are there and differ. A proxy that sets one of them
    /// passes the other on as the client sent it, and nobody knows which.
    pub(crate) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Option<IpAddr>, Refusal> {
        if !self.contain(peer) {
            return Ok(Some(peer.to_canonical()));
        }
        let older = headers.contains_key(X_FORWARDED_FOR).then(|| x_forwarded_for(headers));
        let newer = headers.contains_key(FORWARDED).then(|| forwarded(headers));
        let way = |hops: Option<Vec<Hop>>| hops.and_then(|hops| self.last_stranger(&hops));
        match (older, newer) {
            (None, None) => Ok(Some(peer.to_canonical())),
            (Some(hops), None) | (None, Some(hops)) => Ok(way(hops)),
            (Some(older), Some(newer)) => match (way(older), way(newer)) {
                (older, newer) if older == newer => Ok(older),
                _ => Err(Refusal::TwoOrigins),
            },
        }
    }

    /// From the end, the first hop that isn't a believed proxy; if all are, the
    /// one that is farthest away.
    fn last_stranger(&self, hops: &[Hop]) -> Option<IpAddr> {
        let stranger = hops.iter().rev().find(|hop| hop.is_none_or(|address| !self.contain(address)));
        *stranger.or(hops.first())?
    }
}

/// With a comma between them.
impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<_> = self.0.iter().map(IpNet::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

/// A network from its text. Leading zeros are octal to others, and a network
/// of IPv4 written as IPv6 would match nothing, because addresses are looked at
/// as what they are.
fn network(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    };
    let (address, length) = (address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?);
    let plain = address.to_canonical() == address && length.to_string() == prefix;
    plain.then(|| IpNet::new(address, length).ok()).flatten().map(|network| network.trunc())
}

/// One stop on a request's way; `None` if its address isn't said.
type Hop = Option<IpAddr>;

/// The hops of all lines, in their order. Nothing in them is quoted, so a comma
/// is a comma.
fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for line in headers.get_all(X_FORWARDED_FOR) {
        hops.extend(line.to_str().ok()?.split(',').map(|hop| node(hop.trim())));
    }
    Some(hops)
}

/// The hops of all lines, in their order (RFC 7239). One line that is malformed
/// makes all of it worthless: a quote that a client opened would else swallow
/// what a proxy wrote behind it.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    for line in headers.get_all(FORWARDED).iter().map(HeaderValue::to_str) {
        let mut rest = line.ok()?;
        loop {
            let (hop, after) = element(rest)?;
            hops.push(hop);
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
    }
    Some(hops)
}

/// One element, up to a comma or the end: whom it is `for`, and what is behind
/// the comma.
fn element(text: &str) -> Option<(Hop, Option<&str>)> {
    let (mut rest, mut hop, mut said) = (text, None, false);
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        if name.trim_start_matches([' ', '\t']).eq_ignore_ascii_case("for") {
            if said {
                return None;
            }
            (hop, said) = (node(value), true);
        }
        let after = after.trim_start_matches([' ', '\t']);
        match after.split_at_checked(1) {
            None => return Some((hop, None)),
            Some((",", after)) => return Some((hop, Some(after))),
            Some((";", after)) => rest = after,
            Some(_) => return None,
        }
    }
}

/// A token or a quoted string, and what is behind it. An address needs no
/// backslash, so one with it is refused.
fn value(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"').filter(|(value, _)| !value.contains('\\'));
    }
    let end = text.find([',', ';', ' ', '\t', '"']).unwrap_or(text.len());
    text.split_at_checked(end)
}

/// An address, perhaps with a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:80`.
fn node(text: &str) -> Hop {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = bracketed.unwrap_or(text).parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn caller(peer: &str, lines: &[(&str, &str)]) -> Result<String, Refusal> {
        let proxies = TrustedProxies::parse("10.0.0.0/8, 2001:db8::/32,192.0.2.1").unwrap();
        let caller = proxies.caller(peer.parse().unwrap(), &headers(lines))?;
        Ok(caller.map_or("?".to_owned(), |address| address.to_string()))
    }

    #[test]
    fn strangers_are_who_they_are_whatever_they_say() {
        for line in
            [("x-forwarded-for", "10.1.1.1"), ("forwarded", "for=10.1.1.1"), ("x-real-ip", "10.1.1.1")]
        {
            assert_eq!(caller("198.51.100.7", &[line]).unwrap(), "198.51.100.7");
            assert_eq!(caller("::ffff:198.51.100.7", &[line]).unwrap(), "198.51.100.7");
        }
        let none = TrustedProxies::default();
        let spoofed = headers(&[("x-forwarded-for", "1.1.1.1")]);
        assert_eq!(none.caller([10, 0, 0, 1].into(), &spoofed), Ok(Some([10, 0, 0, 1].into())));
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        for (line, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
            ("1.1.1.1,203.0.113.9 , 10.9.9.9,192.0.2.1", "203.0.113.9"),
            ("10.9.9.9, 10.8.8.8", "10.9.9.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db9::1]:4711", "2001:db9::1"),
            ("2001:db9::1", "2001:db9::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9, ::ffff:10.1.1.1", "203.0.113.9"),
            ("203.0.113.9, unknown", "?"),
            ("unknown, 203.0.113.9", "203.0.113.9"),
            ("203.0.113.9,", "?"),
            ("", "?"),
            ("203.0.113.09", "?"),
            ("203.0.113.9, \"10.1.1.1", "?"),
        ] {
            assert_eq!(caller("10.0.0.1", &[("x-forwarded-for", line)]).unwrap(), expected, "{line}");
        }
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(caller("10.0.0.1", &lines).unwrap(), "203.0.113.9");
        assert_eq!(caller("10.0.0.1", &[]).unwrap(), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_as_the_standard_has_it() {
        for (line, expected) in [
            ("for=203.0.113.9", "203.0.113.9"),
            ("For=\"[2001:db9::1]:4711\";proto=https;by=10.0.0.1", "2001:db9::1"),
            ("proto=http; for=\"203.0.113.9:80\" , for=10.1.1.1", "203.0.113.9"),
            ("for=1.1.1.1, for=203.0.113.9", "203.0.113.9"),
            ("for=203.0.113.9, for=_hidden", "?"),
            ("for=203.0.113.9, proto=https", "?"),
            ("for=203.0.113.9;for=1.1.1.1", "?"),
            ("for=\"203.0.113.9", "?"),
            ("for=203.0.113.9,", "?"),
            ("", "?"),
            ("for=\"1.1.1.1, for=203.0.113.9", "?"),
            ("for=\"1.1.1.1, for=\"[2001:db9::1]\"", "?"),
            ("for=1.1.1.1\\\", for=203.0.113.9", "?"),
            ("for=\"1.1.1.1\\\", for=203.0.113.9", "?"),
        ] {
            assert_eq!(caller("10.0.0.1", &[("forwarded", line)]).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn headers_that_differ_are_refused_and_those_that_agree_are_not() {
        let older = ("x-forwarded-for", "203.0.113.9");
        assert_eq!(caller("10.0.0.1", &[older, ("forwarded", "for=203.0.113.9")]).unwrap(), "203.0.113.9");
        for newer in ["for=1.1.1.1", "for=\"", "for=10.1.1.1"] {
            assert_eq!(
                caller("10.0.0.1", &[older, ("forwarded", newer)]),
                Err(Refusal::TwoOrigins),
                "{newer}"
            );
            assert_eq!(caller("198.51.100.7", &[older, ("forwarded", newer)]).unwrap(), "198.51.100.7");
        }
    }

    #[test]
    fn lists_are_networks_and_nothing_else() {
        for good in ["127.0.0.1", "10.1.2.3/8", "::1, fd00::/8 ,192.0.2.0/24"] {
            assert!(TrustedProxies::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ",",
            "localhost",
            "10.0.0.0/08",
            "010.0.0.1",
            "10.0.0.0/33",
            "::ffff:10.0.0.0/104",
            "10.0.0.1 10.0.0.2",
        ] {
            assert_eq!(TrustedProxies::parse(bad), Err(ProxiesError::Malformed), "{bad}");
        }
        for bad in ["0.0.0.0/0", "127.0.0.1,::/0"] {
            assert_eq!(TrustedProxies::parse(bad), Err(ProxiesError::Everybody), "{bad}");
        }
        assert_eq!(TrustedProxies::parse("10.1.2.3/8, ::1").unwrap().to_string(), "10.0.0.0/8,::1/128");
    }
}
