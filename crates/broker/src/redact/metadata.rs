//! Texts that gRPC writes into headers and trailers in codings of its own. A star in one of them
//! is none that a client can read, and some clients end when they try: so what is taken out is
//! taken out of what such a text means.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD};
use base64::{alphabet, engine::DecodePaddingMode};
use http::header::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// Base64 as clients take it: with padding and without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a message encodes of ASCII (PROTOCOL-HTTP2.md, Percent-Encoded); some servers encode more.
pub(crate) const IN_MESSAGES: &AsciiSet = &CONTROLS.add(b'%');

/// A text in such a coding.
#[derive(Clone, Copy)]
pub(super) enum Text {
    /// The message of a status, with percent signs.
    Message,
    /// Bytes, in base64.
    Bytes { is_padded: bool },
}

impl Text {
    /// Which one a header or trailer is, if it is any.
    pub(super) fn of(name: &HeaderName, value: &HeaderValue) -> Option<Self> {
        match name.as_str() {
            "grpc-message" => Some(Self::Message),
            name if name.ends_with("-bin") => {
                Some(Self::Bytes { is_padded: value.as_bytes().ends_with(b"=") })
            }
            _ => None,
        }
    }

    pub(super) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Message => Some(percent_decode(text).collect()),
            Self::Bytes { .. } => LENIENT.decode(text).ok(),
        }
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Message => percent_encode(bytes, IN_MESSAGES).to_string(),
            Self::Bytes { is_padded: true } => STANDARD.encode(bytes),
            Self::Bytes { is_padded: false } => STANDARD_NO_PAD.encode(bytes),
        }
    }
}
