//! What the front knows of a request besides its bytes: an id of our own
//! making, and who sent it. An id that a client sends is never looked at.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::header::{HeaderName, HeaderValue};
use uuid::Uuid;

/// The header of every answer that names its request.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names one request, in the answer and in logs. In a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// From a fresh UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The value of [`X_REQUEST_ID`].
    pub(crate) fn header(self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        // Hexadecimal digits and hyphens are always a header value.
        HeaderValue::from_str(self.0.hyphenated().encode_lower(&mut buffer))
            .unwrap_or(HeaderValue::from_static("-"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The other end of the connection that a request came on; in its extensions.
/// Behind a reverse proxy that is the proxy: see [`CallerAddr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// Who sent a request; in its extensions. The other end of the connection, or
/// whom a trusted proxy there names. `None` where it doesn't say: then from
/// nowhere, rather than from the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallerAddr(pub Option<IpAddr>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_a_uuid() {
        let id = RequestId::new(Uuid::from_u128(0x0123_4567_89ab_cdef_0011_2233_4455_6677));
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0011-223344556677");
        assert_eq!(id.header(), "01234567-89ab-cdef-0011-223344556677");
    }
}
