//! Where clients find the server: as its operator named it, or as they did.

use http::header::HOST;
use http::request::Parts;

/// Where clients find the server.
#[derive(Clone, Debug, Default)]
pub struct Address {
    /// What stands before each path; empty, or begins with a slash.
    base: String,
    /// `https://host`, where that is known.
    origin: Option<String>,
    is_secure: bool,
}

impl Address {
    /// At the URL that its operator named, if they did; `has_tls` tells whether it
    /// serves TLS itself.
    pub fn new(public_url: Option<&str>, has_tls: bool) -> Self {
        let url = public_url.unwrap_or_default().trim_end_matches('/');
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let base = path.unwrap_or_default();
        let origin = url.strip_suffix(base).filter(|origin| !origin.is_empty());
        Self {
            base: base.to_owned(),
            origin: origin.map(ToOwned::to_owned),
            is_secure: has_tls || url.starts_with("https://"),
        }
    }

    /// Whether clients reach it by TLS, and no other way.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// What stands before each path; empty, or begins with a slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its URL, if its operator named one.
    pub fn named(&self) -> Option<String> {
        self.origin.as_ref().map(|origin| format!("{origin}{}", self.base))
    }

    /// Its scheme and host, as the operator named them, or as this client did.
    pub fn origin(&self, host: Option<&str>) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        self.origin.clone().unwrap_or_else(|| format!("{scheme}://{}", host.unwrap_or("localhost")))
    }

    /// The whole URL of a path.
    pub fn url(&self, path: &str, host: Option<&str>) -> String {
        format!("{}{}{path}", self.origin(host), self.base)
    }
}

/// What the client calls the server: with HTTP/2 it stands in the target, with
/// HTTP/1.1 in a header.
pub fn host(parts: &Parts) -> Option<&str> {
    let header = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(http::uri::Authority::as_str).or_else(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn it_is_where_the_operator_says_or_where_the_client_found_it() {
        let named = Address::new(Some("https://example.com:8443/sub/"), false);
        assert_eq!(named.url("/a", Some("elsewhere")), "https://example.com:8443/sub/a");
        assert_eq!((named.base(), named.is_secure()), ("/sub", true));
        let plain = Address::new(None, false);
        assert_eq!(plain.url("/a", Some("127.0.0.1:1")), "http://127.0.0.1:1/a");
        assert_eq!((plain.base(), plain.is_secure()), ("", false));
        assert_eq!(Address::new(None, true).origin(Some("localhost")), "https://localhost");
    }

    #[test]
    fn a_host_stands_in_the_target_or_in_a_header() {
        let host_of = |request: Request<()>| host(&request.into_parts().0).map(ToOwned::to_owned);
        let in_header = Request::get("/").header("host", "a:1").body(()).unwrap();
        let in_target = Request::get("https://b:2/").body(()).unwrap();
        assert_eq!(host_of(in_header).as_deref(), Some("a:1"));
        assert_eq!(host_of(in_target).as_deref(), Some("b:2"));
        assert_eq!(host_of(Request::get("/").body(()).unwrap()), None);
    }
}
