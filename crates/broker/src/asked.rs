//! The head of a request, looked at once: what it asks for, whether it names the host that its
//! tunnel was opened for, and what of it is for this hop alone.

use http::header::{
    ACCEPT_ENCODING, ALT_SVC, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Version};
use strongroom_core::policies::Destination;

use crate::refuse::Refusal;
use crate::target::Target;

/// What a request asks for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) target: &'a Target,
    pub(crate) method: &'a str,
    /// Without the query.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    /// Looks at a head.
    ///
    /// # Errors
    /// When it is of a kind that doesn't go through here, or names another host.
    pub(crate) fn of(target: &'a Target, head: &'a Parts) -> Result<Self, Refusal> {
        refuse_kinds(head)?;
        if !names(target, head) {
            return Err(Refusal::Mismatch);
        }
        let path = head.uri.path();
        let path = if path.is_empty() { "/" } else { path };
        let query = head.uri.query();
        Ok(Self { target, method: head.method.as_str(), path, query, headers: &head.headers })
    }

    /// As rules look at it.
    pub(crate) fn destination(&self) -> Destination<'a> {
        let Target { scheme, host, port } = self.target;
        Destination { scheme: *scheme, host, port: *port, method: self.method, path: self.path }
    }
}

fn refuse_kinds(head: &Parts) -> Result<(), Refusal> {
    match head.method {
        Method::CONNECT => return Err(Refusal::Unsupported("CONNECT within a tunnel")),
        Method::TRACE => return Err(Refusal::Unsupported("TRACE")),
        _ => {}
    }
    if head.version < Version::HTTP_11 {
        return Err(Refusal::Malformed("HTTP before 1.1"));
    }
    if describes(&head.headers) || head.headers.get_all(CONTENT_TYPE).iter().count() > 1 {
        return Err(Refusal::Malformed("what describes the body"));
    }
    let mut upgrades = head.headers.get_all(UPGRADE).iter();
    if upgrades.any(|to| !to.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err(Refusal::Unsupported("an upgrade to anything but a WebSocket"));
    }
    Ok(())
}

/// Whether all that names the host names this one, and something does.
fn names(target: &Target, head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let authority = head.uri.authority();
    let named = authority.is_some() || host.is_some();
    // A request within a tunnel may say the scheme again, as one over HTTP/2 does.
    let scheme = head.uri.scheme_str().is_none_or(|scheme| scheme.eq_ignore_ascii_case(target.scheme.name()));
    let of_header = host.is_none_or(|host| host.to_str().is_ok_and(|host| target.is(host)));
    let of_uri = authority.is_none_or(|authority| target.is(authority.as_str()));
    named && scheme && of_uri && of_header && another.is_none()
}

/// Headers of one hop, which the next one makes for itself.
static OF_A_HOP: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-authenticate"),
];

/// How messages of gRPC may be compressed.
const CODINGS_OF_CALLS: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Whether a request would become a WebSocket.
pub(crate) fn is_websocket(head: &Parts) -> bool {
    head.version == Version::HTTP_11 && head.headers.contains_key(UPGRADE)
}

/// Takes out of a request what was for this hop alone; what asks for trailers or a WebSocket stays.
pub(crate) fn strip_request(headers: &mut HeaderMap, is_websocket: bool) {
    let takes_trailers = headers.get_all(TE).iter().any(has_trailers);
    strip(headers);
    // The library answers it when the body is asked for.
    headers.remove(EXPECT);
    // What is compressed message by message can't be looked into.
    headers.remove(&CODINGS_OF_CALLS);
    keep_codings(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if is_websocket {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        // What a compressed frame holds couldn't be seen.
        headers.remove("sec-websocket-extensions");
    }
}

/// Content codings that can be looked into.
const CODINGS: [&str; 6] = ["br", "deflate", "gzip", "identity", "x-gzip", "zstd"];

/// Asks for an answer in no other coding than those that can be looked into.
fn keep_codings(headers: &mut HeaderMap) {
    let asked = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<&str> = asked.flat_map(|value| value.split(',').map(str::trim)).collect();
    let is_known = |coding: &&&str| {
        let name = coding.split(';').next().unwrap_or_default().trim();
        CODINGS.iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let known: Vec<&str> = codings.iter().filter(is_known).copied().collect();
    if known.len() == codings.len() {
        return;
    }
    let known = if known.is_empty() { "identity".to_owned() } else { known.join(", ") };
    if let Ok(known) = HeaderValue::try_from(known) {
        headers.insert(ACCEPT_ENCODING, known);
    }
}

/// Whether an answer says of what describes it that it is for this hop alone, or is coded on its
/// way: then it can't be looked into.
pub(crate) fn is_disguised(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut coded = codings.filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    coded.next().is_some() || describes(headers)
}

/// Whether headers that describe the body are named as ones of this hop.
fn describes(headers: &HeaderMap) -> bool {
    let describes = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("content-") || name.starts_with("grpc-")
    };
    named(headers).iter().any(describes)
}

/// Takes out of an answer what was for this hop alone, and what leads around the broker.
pub(crate) fn strip_answer(headers: &mut HeaderMap, is_websocket: bool) {
    strip(headers);
    headers.remove(ALT_SVC);
    if is_websocket {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

fn strip(headers: &mut HeaderMap) {
    // Each name that is taken out is looked for, and most heads have none of them. Without `connection` no
    // other is named.
    if !headers.keys().any(|name| OF_A_HOP.contains(name) || *name == UPGRADE) {
        return;
    }
    // How long it is, says the coding, and not what stands beside that (RFC 9112, section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in named(headers).iter().chain(&OF_A_HOP).chain([&UPGRADE]) {
        headers.remove(name);
    }
}

/// The headers that are named as ones of this hop.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|names| names.split(',').filter_map(|name| name.trim().parse().ok())).collect()
}

fn has_trailers(te: &HeaderValue) -> bool {
    te.to_str().is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(headers: &[(&str, &str)], is_websocket: bool) -> Vec<(String, String)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        strip_request(&mut map, is_websocket);
        map.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn what_was_for_this_hop_stays_here() {
        let sent = [
            ("connection", "keep-alive, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "5"),
            ("proxy-authorization", "Basic cnVuOng="),
            ("te", "deflate, trailers"),
            ("expect", "100-continue"),
            ("grpc-accept-encoding", "gzip"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("x-other", "2"),
        ];
        assert_eq!(stripped(&[("content-length", "3"), ("te", "x")], false).len(), 1);
        let left = stripped(&sent, false);
        assert_eq!(left, [("x-other".to_owned(), "2".to_owned()), ("te".to_owned(), "trailers".to_owned())]);
        let upgrade = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ];
        let names: Vec<_> = stripped(&upgrade, true).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["connection", "upgrade"]);
        assert_eq!(stripped(&upgrade, false).len(), 1, "what no WebSocket is asked for means nothing");
    }

    #[test]
    fn only_codings_that_can_be_looked_into_are_asked_for() {
        for (asked, sent) in [
            ("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"),
            ("gzip;q=0.5, dcb, *;q=0", "gzip;q=0.5"),
            ("dcz", "identity"),
        ] {
            assert_eq!(
                stripped(&[("accept-encoding", asked)], false),
                [("accept-encoding".to_owned(), sent.to_owned())]
            );
        }
        assert!(stripped(&[], false).is_empty());
    }
}
