//! To where a rule lets requests go: schemes, hosts, methods and paths.

use super::{HTTP_PORT, HTTPS_PORT};
use crate::text::Invalid;

/// By which scheme a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP over TLS.
    #[default]
    Https,
    /// HTTP that anybody on the way can read.
    Http,
}

impl Scheme {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// From its name.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        match name {
            "https" => Ok(Self::Https),
            "http" => Ok(Self::Http),
            _ => Err(Invalid::new("must be https or http")),
        }
    }

    /// At which port a server of it usually is.
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::Https => HTTPS_PORT,
            Self::Http => HTTP_PORT,
        }
    }
}

/// A host's name, or with `*.` before it the names that have exactly one label more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// As it is written.
    text: String,
}

impl HostPattern {
    /// The longest name (RFC 1035, without the dots at its ends).
    pub const MAX: usize = 253;

    /// Takes a name of letters, digits and hyphens, in any case.
    ///
    /// # Errors
    /// When it is none, or an address; the message never quotes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix("*.").unwrap_or(&text);
        if !text.is_ascii() {
            return Err(Invalid::new(
                "must be in its ASCII form, where an international label begins with xn--",
            ));
        }
        if text.len() > Self::MAX || !name.split('.').all(is_label) {
            return Err(Invalid::new(
                "must be a name of letters, digits and hyphens such as api.example.com, with no dot at its end; `*.` \
                 before it stands for exactly one label",
            ));
        }
        if ends_in_a_number(name) {
            return Err(Invalid::new("must be a name, not an address"));
        }
        if name.len() < text.len() && !name.contains('.') {
            return Err(Invalid::new("must have at least two labels after `*.`"));
        }
        Ok(Self { text })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Behind `*`, if it is more than one name.
    fn suffix(&self) -> Option<&str> {
        self.text.strip_prefix('*')
    }

    /// Whether a name has only one label, as only those of a private network have.
    pub(super) fn is_single_label(&self) -> bool {
        !self.text.contains('.')
    }

    /// Whether a host, in lower case, is one of these.
    pub fn covers(&self, host: &str) -> bool {
        match self.suffix() {
            None => self.text == host,
            Some(suffix) => host.strip_suffix(suffix).is_some_and(is_label),
        }
    }

    /// Whether each of these hosts is one of those.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self == other || (self.suffix().is_none() && other.covers(&self.text))
    }
}

/// A label of letters, digits and hyphens, in lower case.
fn is_label(label: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether programs would take a name for an IPv4 address: by its last label, as browsers do.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let digits = last.bytes().all(|b| b.is_ascii_digit());
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    digits || hexadecimal
}

/// Methods of HTTP: some, or any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods(Vec<String>);

impl Methods {
    /// The longest name of one.
    pub const MAX: usize = 32;

    /// These methods, in upper case; none for any.
    ///
    /// # Errors
    /// When one isn't a method that a rule can allow, or stands twice.
    pub fn new(methods: Vec<String>) -> Result<Self, Invalid> {
        if !methods.iter().all(|method| is_method(method)) {
            return Err(Invalid::new(
                "must be methods in upper case such as GET, without TRACE and CONNECT; an empty list stands for any",
            ));
        }
        let repeated =
            methods.iter().enumerate().any(|(at, method)| methods.iter().take(at).any(|m| m == method));
        if repeated { Err(Invalid::new("must name each method once")) } else { Ok(Self(methods)) }
    }

    /// Their names; none for any.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether this method is one of them.
    pub fn covers(&self, method: &str) -> bool {
        is_method(method) && (self.0.is_empty() || self.0.iter().any(|one| one == method))
    }

    /// Whether each of these is one of those.
    pub(super) fn are_within(&self, others: &Self) -> bool {
        others.0.is_empty() || (!self.0.is_empty() && self.0.iter().all(|method| others.covers(method)))
    }
}

/// A method that can be allowed: TRACE shows what was sent, and CONNECT is for proxies.
fn is_method(method: &str) -> bool {
    let letters = method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    letters && (1..=Methods::MAX).contains(&method.len()) && !matches!(method, "TRACE" | "CONNECT")
}

/// How the path of a request begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(String);

impl Default for PathPrefix {
    /// Of any path.
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl PathPrefix {
    /// The longest one, in bytes.
    pub const MAX: usize = 1_024;

    /// Takes a path that can be read in one way only.
    ///
    /// # Errors
    /// When it is none; the message never quotes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() <= Self::MAX && is_plain(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            "must be a path such as /v1/ of at most 1,024 visible ASCII characters, without `?`, `#`, `\\`, `//`, \
             segments `.` or `..`, and percent-encoded dots, slashes and backslashes",
        ))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path begins so, by whole segments. What a server might read as another
    /// path is only under `/`.
    pub fn covers(&self, path: &str) -> bool {
        self.0 == "/" || (is_plain(path) && self.begins(path))
    }

    /// Whether a path begins so, by whole segments.
    fn begins(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.0.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.0.ends_with('/'))
    }

    /// Whether whatever begins so begins so there, too.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        other.covers(&self.0)
    }
}

/// Whether a path is read the same way by every server: no dot segments, empty segments,
/// backslashes or encodings of what parts a path, also behind a second or third encoding.
fn is_plain(path: &str) -> bool {
    let visible = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'));
    let mut escapes = path.split('%').skip(1);
    visible
        && path.starts_with('/')
        && !path.contains("//")
        && !path.split('/').any(is_dot_segment)
        && escapes.all(is_plain_escape)
}

/// `.` or `..`, also with parameters behind it, which some servers take away first.
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}

/// What follows a `%`: two digits that stand for nothing that parts a path.
fn is_plain_escape(rest: &str) -> bool {
    let Some(code) = rest.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit())) else {
        return false;
    };
    let Ok(byte) = u8::from_str_radix(code, 16) else { return false };
    // An encoded `%` may hide any of them from whoever decodes once; C0 and C1 begin the
    // overlong forms that decoders of old took for ASCII.
    !matches!(byte, 0..=0x1f | b'%' | b'.' | b'/' | b';' | b'\\' | 0x7f | 0xc0 | 0xc1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_in_lower_case() {
        for (text, written) in [
            ("API.Example.com", "api.example.com"),
            ("*.Example.com", "*.example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("1.2.3.4a", "1.2.3.4a"),
            ("0x1.example", "0x1.example"),
        ] {
            assert_eq!(HostPattern::parse(text).map(|host| host.text), Ok(written.to_owned()));
        }
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example.com", "a.".repeat(122));
        for bad in [
            "",
            ".",
            "*",
            "*.",
            "*.com",
            "*.localhost",
            "a.*.com",
            "*a.example.com",
            "*.*.example.com",
            "a..b",
            ".a.b",
            "a.b.",
            "a_b.example",
            "-a.example",
            "a-.example",
            "bücher.example",
            "a b.example",
            "a.example:443",
            "https://a.example",
            "a.example/",
            "user@a.example",
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "1.2.3.0x",
            "a.example.017",
            "::1",
            "[::1]",
            "a.example\0",
            "a%2e.b",
            &long,
            &longer,
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_star_is_exactly_one_label() {
        let pattern = HostPattern::parse("*.example.com").unwrap();
        assert!(pattern.covers("api.example.com") && pattern.covers("a-1.example.com"));
        for other in [
            "example.com",
            ".example.com",
            "a.b.example.com",
            "apiexample.com",
            "api.example.com.",
            "*.example.com",
            "api.example.com.evil.test",
            "-.example.com",
            "a:b.example.com",
            "a@b.example.com",
            "",
        ] {
            assert!(!pattern.covers(other), "{other}");
        }
        let exact = HostPattern::parse("api.example.com").unwrap();
        assert!(
            exact.covers("api.example.com")
                && !exact.covers("x.api.example.com")
                && !exact.covers("example.com")
        );
        assert!(exact.is_within(&pattern) && !pattern.is_within(&exact) && pattern.is_within(&pattern));
    }

    #[test]
    fn methods_are_upper_case_and_never_trace_or_connect() {
        let methods = |names: &[&str]| Methods::new(names.iter().map(|name| (*name).to_owned()).collect());
        let (any, some) = (methods(&[]).unwrap(), methods(&["GET", "POST"]).unwrap());
        assert!(any.covers("PURGE") && some.covers("GET") && !some.covers("HEAD") && !some.covers("get"));
        for never in ["TRACE", "CONNECT", "", "get", "GET ", "G\0T"] {
            assert!(!any.covers(never) && methods(&[never]).is_err(), "{never:?}");
        }
        assert!(methods(&["GET", "GET"]).is_err());
        let fewer = methods(&["POST"]).unwrap();
        assert!(fewer.are_within(&some) && some.are_within(&any) && any.are_within(&any));
        assert!(!some.are_within(&fewer) && !any.are_within(&some));
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        let prefix = |text| PathPrefix::parse(text).unwrap();
        for (text, covered, other) in [
            (
                "/v1",
                &["/v1", "/v1/", "/v1/x", "/v1/a%20b/~c;d=1"][..],
                &["/v10", "/v1.0", "/", "/V1", "v1", ""][..],
            ),
            ("/v1/", &["/v1/", "/v1/x"], &["/v1", "/v10/"]),
            ("/", &["/", "/v1", "/a/../b", "//", "/%2e%2e", "*", ""], &[]),
        ] {
            for path in covered {
                assert!(prefix(text).covers(path), "{text} {path}");
            }
            for path in other {
                assert!(!prefix(text).covers(path), "{text} {path}");
            }
        }
    }

    #[test]
    fn what_a_server_may_read_as_another_path_is_no_prefix_and_under_none() {
        for odd in [
            "/v1/../admin",
            "/v1/./x",
            "/v1/..",
            "/v1/%2e%2e/x",
            "/v1/.%2E/x",
            "/v1//x",
            "/v1/%2fx",
            "/v1/%2F..",
            "/v1/..;/admin",
            "/v1/..%3b/x",
            "/v1/\\..\\x",
            "/v1/%5cx",
            "/v1/%5C",
            "/v1/%252e%252e/x",
            "/v1/%25252e",
            "/v1/x?y",
            "/v1/x#y",
            "/v1/%",
            "/v1/%2",
            "/v1/%zz",
            "/v1/%00",
            "/v1/a b",
            "/v1/é",
            "/v1/\n",
            "/v1/%c0%ae",
            "/v1/%+2e",
        ] {
            assert!(PathPrefix::parse(odd).is_err(), "{odd}");
            assert!(!PathPrefix::parse("/v1").unwrap().covers(odd), "{odd}");
            assert!(PathPrefix::default().covers(odd), "{odd}");
        }
        assert!(PathPrefix::parse(&format!("/{}", "a".repeat(PathPrefix::MAX))).is_err());
    }
}
