//! Where in a request a value may stand.

use crate::text::Invalid;

/// Where in a request a value may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It is a header, or with a scheme what stands behind that and a space.
    Header(HeaderName, Option<AuthScheme>),
    /// It is a parameter of the query.
    Query(FieldName),
    /// It is a field of a form in the body.
    Form(FieldName),
    /// It is a text in a JSON body.
    Json(JsonPointer),
    /// It is a part of the header `authorization` with the scheme `Basic`.
    Basic(BasicPart),
}

/// Which part of what `Basic` encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasicPart {
    /// Before the first colon.
    Username,
    /// Behind it.
    Password,
}

impl BasicPart {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Password => "password",
        }
    }

    /// From its name.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        match name {
            "username" => Ok(Self::Username),
            "password" => Ok(Self::Password),
            _ => Err(Invalid::new("must be username or password")),
        }
    }
}

/// A header's name in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(String);

/// Headers that say how a message is framed, or are for the next hop alone.
const NOT_OF_A_REQUEST: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HeaderName {
    /// The longest one.
    pub const MAX: usize = 64;

    /// Takes a header's name, in any case.
    ///
    /// # Errors
    /// When it is none in which a value can stand; the message never quotes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = text.to_ascii_lowercase();
        if !is_token(&name, Self::MAX) {
            return Err(Invalid::new("must be a header's name of 1 to 64 characters such as authorization"));
        }
        if NOT_OF_A_REQUEST.contains(&name.as_str()) || name.starts_with("proxy-") {
            return Err(Invalid::new(
                "must not be a header that frames a message or is for a proxy, such as host",
            ));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands before a value in a header: `Bearer`, say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthScheme(String);

impl AuthScheme {
    /// The longest one.
    pub const MAX: usize = 32;

    /// Takes a scheme of authentication.
    ///
    /// # Errors
    /// When it is none; the message never quotes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.eq_ignore_ascii_case("basic") {
            return Err(Invalid::new(
                "must not be Basic, which encodes what follows; use `basic` in its place",
            ));
        }
        if is_token(text, Self::MAX) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("must be a scheme of 1 to 32 characters such as Bearer"))
        }
    }

    /// As it is written; it is the same in any case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token (RFC 9110).
fn is_token(text: &str, most: usize) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=most).contains(&text.len()) && text.bytes().all(inside)
}

/// The name of a query's parameter or a form's field, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName(String);

impl FieldName {
    /// The longest one, in Unicode scalar values.
    pub const MAX: usize = 128;

    /// Takes a name without control characters.
    ///
    /// # Errors
    /// When it is none; the message never quotes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if is_short(text, Self::MAX) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("must be a name of 1 to 128 characters, none of them a control character"))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A place in a JSON document (RFC 6901), never the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPointer(String);

impl JsonPointer {
    /// The longest one, in Unicode scalar values.
    pub const MAX: usize = 256;

    /// Takes a pointer.
    ///
    /// # Errors
    /// When it is none; the message never quotes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if is_short(text, Self::MAX) && text.starts_with('/') && escapes {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(
                "must be a JSON pointer (RFC 6901) of at most 256 characters such as /auth/token",
            ))
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_short(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().take(most + 1).count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_tokens_in_lower_case_that_frame_nothing() {
        assert_eq!(HeaderName::parse("X-Api-Key").unwrap().as_str(), "x-api-key");
        assert!(HeaderName::parse("cookie").is_ok());
        for bad in [
            "",
            "a b",
            "a:",
            "é",
            "Host",
            "TE",
            "proxy-authorization",
            "Proxy-X",
            "content-length",
            "a\r\nb",
            "Upgrade",
        ] {
            assert!(HeaderName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(HeaderName::parse(&"a".repeat(65)).is_err());
    }

    #[test]
    fn schemes_fields_and_pointers() {
        assert_eq!(AuthScheme::parse("Bearer").unwrap().as_str(), "Bearer");
        for bad in ["", "Bearer ", "a b", "BASIC", "é"] {
            assert!(AuthScheme::parse(bad).is_err(), "{bad:?}");
        }
        assert!(FieldName::parse("clé").is_ok());
        for bad in ["", "a\nb", &"a".repeat(129)] {
            assert!(FieldName::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["/", "/a", "/a/0", "/a~0b~1c", "/é"] {
            assert!(JsonPointer::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "a/b", "/~", "/~2", "/a~", "/\0"] {
            assert!(JsonPointer::parse(bad).is_err(), "{bad:?}");
        }
    }
}
