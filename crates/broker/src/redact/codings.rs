//! The content codings that can be looked into, and what headers say of them.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderName};

use super::Unreadable;

/// More codings around one another are nobody's in earnest.
const MOST: usize = 2;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// In the zlib format, as it should be, or raw, as some have it.
    Deflate,
    Brotli,
    Zstd,
}

/// The codings of a body, in the order in which they are to be undone.
pub(super) fn of(headers: &HeaderMap) -> Result<Vec<Coding>, Unreadable> {
    let mut codings = Vec::new();
    for token in tokens(headers, &CONTENT_ENCODING) {
        let known = [
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("zstd", Coding::Zstd),
        ];
        let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
        match known.into_iter().find(|(name, _)| is(name)) {
            Some((_, coding)) => codings.insert(0, coding),
            None if is("identity") => {}
            None => return Err(Unreadable::Coding),
        }
    }
    if codings.len() > MOST { Err(Unreadable::Coding) } else { Ok(codings) }
}

/// Whether the header names anything but this.
pub(super) fn has_other(headers: &HeaderMap, name: &HeaderName, plain: &str) -> bool {
    tokens(headers, name).any(|token| !token.eq_ignore_ascii_case(plain.as_bytes()))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).into_iter();
    let split = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    split.map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}
