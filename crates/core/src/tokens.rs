//! Tokens: what callers prove themselves with. A token names its row (key id)
//! and carries 256 random bits; only a keyed hash of it is kept.
//!
//! `srk_` + base62(key id ‖ secret) + base62(CRC-32 of all before it). The
//! checksum lets a mistyped token be refused before the database is asked, and
//! lets scanners of leaked text be sure.

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::keyed_hash::KeyedHash;
use crate::memory::KeyBytes;
use crate::random::{self, Random};

/// What a token is for; its first four characters say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// An API key.
    ApiKey,
    /// A run: environment, extend, fill, stop.
    Run,
    /// A run's access to the broker, and nothing else.
    Broker,
    /// A link that is used once.
    Link,
    /// A browser's session.
    Session,
    /// Stands for a value inside one run.
    Placeholder,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::ApiKey, Self::Run, Self::Broker, Self::Link, Self::Session, Self::Placeholder];

    /// The first characters of such a token.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "srk_",
            Self::Run => "srr_",
            Self::Broker => "srb_",
            Self::Link => "srl_",
            Self::Session => "srs_",
            Self::Placeholder => "srp_",
        }
    }
}

/// A text that is no token: a typo, a cut, another kind. Found without a look
/// at the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token")]
pub struct NotAToken;

/// A token in the clear. Erased when dropped, never printed.
pub struct Token {
    id: Uuid,
    text: SecretString,
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base62 digits of 128 bits.
const WIDE: usize = 22;
/// Base62 digits of 32 bits.
const CHECK: usize = 6;
/// Prefix, three times 128 bits (the id and both halves of the secret), checksum.
const LENGTH: usize = 4 + 3 * WIDE + CHECK;

impl Token {
    /// Characters in a token.
    pub const LENGTH: usize = LENGTH;

    /// A fresh token for the row `id`.
    pub fn mint(kind: TokenKind, id: Uuid, random: &dyn Random) -> Self {
        Self::bearing(kind, id, &Zeroizing::new(random::bytes(random)))
    }

    /// The token for the row `id` with this secret in it.
    pub(crate) fn bearing(kind: TokenKind, id: Uuid, secret: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(kind.prefix());
        push_base62(&mut text, id.as_u128(), WIDE);
        for half in secret.as_chunks::<16>().0 {
            push_base62(&mut text, u128::from_be_bytes(*half), WIDE);
        }
        let check = crc32fast::hash(text.as_bytes());
        push_base62(&mut text, check.into(), CHECK);
        Self { id, text: text.into() }
    }

    /// Reads a token of this kind.
    ///
    /// # Errors
    /// When the text isn't one, which any single wrong character makes it.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, NotAToken> {
        if text.len() != LENGTH || !text.is_ascii() || !text.starts_with(kind.prefix()) {
            return Err(NotAToken);
        }
        let (body, check) = text.split_at_checked(LENGTH - CHECK).ok_or(NotAToken)?;
        if base62(check) != Some(crc32fast::hash(body.as_bytes()).into()) {
            return Err(NotAToken);
        }
        let mut pieces = body.as_bytes().get(4..).unwrap_or_default().chunks(WIDE);
        let id = pieces.next().and_then(digits).ok_or(NotAToken)?;
        if pieces.any(|piece| digits(piece).is_none()) {
            return Err(NotAToken);
        }
        Ok(Self { id: Uuid::from_u128(id), text: text.to_owned().into() })
    }

    /// The row that the token claims to belong to.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The secret in it.
    pub(crate) fn borne(&self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        let digits_of = self.reveal().as_bytes().get(4 + WIDE..).unwrap_or_default().chunks(WIDE);
        for (half, piece) in secret.as_chunks_mut::<16>().0.iter_mut().zip(digits_of) {
            *half = digits(piece).unwrap_or(0).to_be_bytes();
        }
        secret
    }

    /// The text, to hand to its owner, once.
    #[expect(clippy::disallowed_methods, reason = "a token is shown to its owner when it is made")]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    pub(crate) fn hash(&self, version: u16, pepper: &KeyBytes) -> TokenHash {
        TokenHash(KeyedHash::new(version, pepper, self.reveal().as_bytes()))
    }
}

/// What is kept of a token: the pepper's version in 2 big-endian bytes, then
/// HMAC-SHA-256 of its text under the pepper.
#[derive(Clone, Copy, Debug)]
pub struct TokenHash(KeyedHash);

impl TokenHash {
    /// Bytes in a stored hash.
    pub const LENGTH: usize = KeyedHash::LENGTH;

    /// From a stored column; `None` when the length is off.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        KeyedHash::from_slice(bytes).map(Self)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }

    pub(crate) const fn pepper_version(&self) -> u16 {
        self.0.key_version()
    }

    /// Whether both are of the same token, in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.matches(&other.0)
    }
}

fn push_base62(text: &mut String, mut number: u128, width: usize) {
    let mut digits = Zeroizing::new([b'0'; WIDE]);
    for digit in digits.iter_mut().take(width).rev() {
        let index = usize::try_from(number % 62).unwrap_or(0);
        *digit = ALPHABET.get(index).copied().unwrap_or(b'0');
        number /= 62;
    }
    text.extend(digits.iter().take(width).map(|digit| char::from(*digit)));
}

fn base62(text: &str) -> Option<u128> {
    digits(text.as_bytes())
}

/// The number, unless a character is none of the alphabet or it overflows.
fn digits(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0_u128, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number.checked_mul(62)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;
    use proptest::prelude::*;

    fn token() -> Token {
        Token::mint(TokenKind::ApiKey, Uuid::from_u128(7), &OsRandom)
    }

    #[test]
    fn what_is_minted_parses_as_its_kind_only() {
        for kind in TokenKind::ALL {
            let token = Token::mint(kind, Uuid::from_u128(42), &OsRandom);
            assert_eq!(token.reveal().len(), LENGTH);
            for other in TokenKind::ALL {
                let parsed = Token::parse(other, token.reveal());
                assert_eq!(
                    parsed.map(|t| t.id()),
                    if other == kind { Ok(Uuid::from_u128(42)) } else { Err(NotAToken) }
                );
            }
        }
    }

    #[test]
    fn every_single_typo_is_refused() {
        let token = token();
        for at in 0..LENGTH {
            for typo in (0..=127_u8).filter(|b| *b != token.reveal().as_bytes()[at]) {
                let mut text = token.reveal().as_bytes().to_vec();
                text[at] = typo;
                let text = String::from_utf8(text).unwrap();
                assert!(Token::parse(TokenKind::ApiKey, &text).is_err(), "position {at}");
            }
        }
    }

    #[test]
    fn what_it_bears_is_what_was_put_in() {
        let secret = std::array::from_fn(|at| 251 - u8::try_from(at).unwrap());
        let token = Token::bearing(TokenKind::Link, Uuid::from_u128(7), &secret);
        let parsed = Token::parse(TokenKind::Link, token.reveal()).unwrap();
        assert_eq!(*parsed.borne(), secret);
    }

    #[test]
    fn a_cut_or_longer_token_is_refused() {
        let token = token();
        for length in 0..LENGTH {
            assert!(Token::parse(TokenKind::ApiKey, &token.reveal()[..length]).is_err());
        }
        assert!(Token::parse(TokenKind::ApiKey, &format!("{}0", token.reveal())).is_err());
    }

    #[test]
    fn a_million_tokens_have_no_duplicate() {
        let tokens = (0..1_000_000).map(|_| {
            let token = token();
            let mut tail = [0; 16];
            tail.copy_from_slice(&token.reveal().as_bytes()[48..64]);
            tail
        });
        let distinct: std::collections::HashSet<_> = tokens.collect();
        assert_eq!(distinct.len(), 1_000_000);
    }

    #[test]
    fn hashes_depend_on_pepper_and_text() {
        let (one, two) = (KeyBytes::take(&mut [1; 32]), KeyBytes::take(&mut [2; 32]));
        let (token, other) = (token(), token());
        assert!(token.hash(1, &one).matches(&token.hash(1, &one)));
        assert!(!token.hash(1, &one).matches(&token.hash(1, &two)));
        assert!(!token.hash(1, &one).matches(&other.hash(1, &one)));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_a_panic(text in "\\PC{0,90}") {
            prop_assert!(Token::parse(TokenKind::ApiKey, &text).is_err());
        }

        #[test]
        fn base62_round_trips(number: u128) {
            let mut text = String::new();
            push_base62(&mut text, number, WIDE);
            prop_assert_eq!(base62(&text), Some(number));
        }
    }
}
