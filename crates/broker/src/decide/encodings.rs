//! Texts of a request without the encoding that their place has.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::HeaderValue;
use percent_encoding::percent_decode;

/// What `Basic` encodes in a header.
pub(crate) fn basic(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.as_bytes().split_first_chunk::<6>()?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let encoded = encoded.trim_ascii();
    STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok()
}

/// The user and the password of what `Basic` encodes: before and behind the first colon.
pub(crate) fn halves(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = encoded.iter().position(|byte| *byte == b':')?;
    Some((encoded.get(..colon)?, encoded.get(colon + 1..)?))
}

/// A text without its percent-encoding, however often it was encoded within reason.
pub(crate) fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    let mut bytes = Cow::Borrowed(text.as_bytes());
    for _ in 0..4 {
        let Cow::Owned(decoded) = Cow::from(percent_decode(&bytes)) else { break };
        bytes = Cow::Owned(decoded);
    }
    bytes
}

/// A name or a value of a form.
pub(crate) fn form_decoded(text: &str) -> Vec<u8> {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).collect()
}
