//! Where a request goes: scheme, host and port, each in the one form in which rules name it.

use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme as UriScheme};
use strongroom_core::policies::{HostPattern, Scheme};

use crate::refuse::Refusal;

/// An origin that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    /// In lower case, a name.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    /// What a CONNECT asks for: the port is always said.
    ///
    /// # Errors
    /// When it isn't a name and a port, or is an address.
    pub(crate) fn of_connect(uri: &Uri) -> Result<Self, Refusal> {
        let authority = uri.authority().ok_or(Refusal::MALFORMED_TARGET)?;
        let port = port_of(authority)?.ok_or(Refusal::MALFORMED_TARGET)?;
        Ok(Self { scheme: Scheme::Https, host: host_of(authority)?, port })
    }

    /// What a request to a proxy asks for without a tunnel.
    ///
    /// # Errors
    /// When it isn't a URL of plain HTTP, or names an address.
    pub(crate) fn of_absolute(uri: &Uri) -> Result<Self, Refusal> {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(Refusal::NotForAProxy);
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(Refusal::NotForAProxy);
        }
        let port = port_of(authority)?.unwrap_or_else(|| Scheme::Http.usual_port());
        Ok(Self { scheme: Scheme::Http, host: host_of(authority)?, port })
    }

    /// The URL of what is asked for there.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn url(&self, asked: &Uri) -> Result<Uri, Refusal> {
        let mut parts = Parts::default();
        parts.scheme = Some(if self.scheme == Scheme::Https { UriScheme::HTTPS } else { UriScheme::HTTP });
        parts.authority = Some(self.authority().parse().map_err(|_| Refusal::MALFORMED_TARGET)?);
        parts.path_and_query = asked.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
        Uri::from_parts(parts).map_err(|_| Refusal::MALFORMED_TARGET)
    }

    /// Whether a `Host` header, or an `:authority`, says the same.
    pub(crate) fn is(&self, authority: &str) -> bool {
        if self.is_written(authority) {
            return true;
        }
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let port = port_of(&authority).map(|port| port.unwrap_or_else(|| self.scheme.usual_port()));
        host_of(&authority).is_ok_and(|host| host == self.host) && port.is_ok_and(|port| port == self.port)
    }

    /// Whether it is the same as most clients write it: to take it apart costs more than all other looks
    /// at a request.
    fn is_written(&self, authority: &str) -> bool {
        let port = match authority.strip_prefix(&*self.host) {
            Some("") => return self.port == self.scheme.usual_port(),
            Some(rest) => rest.strip_prefix(':').filter(|port| !port.starts_with(['0', '+'])),
            None => None,
        };
        port.and_then(|port| port.parse().ok()) == Some(self.port)
    }

    /// As it stands in a URL, and in `Host`: the port only where it isn't the usual one.
    pub(crate) fn authority(&self) -> String {
        if self.port == self.scheme.usual_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A name, by the rule by which policies take names: what is an address in any spelling that some
/// resolver takes for one, isn't one.
fn host_of(authority: &Authority) -> Result<String, Refusal> {
    if authority.as_str().contains('@') {
        return Err(Refusal::MALFORMED_TARGET);
    }
    let host = authority.host();
    if host.contains('*') {
        return Err(Refusal::MALFORMED_TARGET);
    }
    let pattern = HostPattern::parse(host).map_err(|_| Refusal::NotAName)?;
    Ok(pattern.as_str().to_owned())
}

/// `None`: none is said.
fn port_of(authority: &Authority) -> Result<Option<u16>, Refusal> {
    let port = authority.as_str().get(authority.host().len()..).unwrap_or_default();
    if port.is_empty() {
        return Ok(None);
    }
    // As everybody writes one: another reader could take a sign or a zero before it for something else.
    let written = |number: &u16| *number > 0 && port.strip_prefix(':') == Some(&*number.to_string());
    authority.port_u16().filter(written).map(Some).ok_or(Refusal::MALFORMED_TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(authority: &str) -> Result<Target, Refusal> {
        Target::of_connect(
            &Uri::builder().authority(authority).build().map_err(|_| Refusal::MALFORMED_TARGET)?,
        )
    }

    #[test]
    fn a_name_and_a_port_are_a_target() {
        let target = connect("API.Example.com:443").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("api.example.com", 443));
        assert!(target.is("api.example.com") && target.is("API.example.com:443"));
        for other in [
            "",
            "api.example.com:444",
            "api.example.com.",
            "x.api.example.com",
            "api.example.com:0443x",
            "api.example.com:+443",
            "api.example.com:65979",
        ] {
            assert!(!target.is(other) && !target.is_written(other), "{other}");
        }
        assert!(!target.is_written("api.example.com:0443"), "as nobody writes it");
        assert_eq!(target.authority(), "api.example.com");
        assert_eq!(connect("api.example.com:8443").unwrap().authority(), "api.example.com:8443");
    }

    #[test]
    fn no_spelling_of_an_address_is() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "1.2.3",
            "10.0.0.0x1",
            "127.0.0.1.",
            "999.1.1.1",
            "0",
            "0x0",
        ] {
            assert!(connect(&format!("{host}:443")).is_err(), "{host}");
        }
        for broken in [
            "api.example.com",
            "api.example.com:0",
            "api.example.com:65536",
            "api.example.com:0443",
            "api.example.com:+443",
            "a@api.example.com:443",
            "*.example.com:443",
        ] {
            assert!(connect(broken).is_err(), "{broken}");
        }
    }
}
