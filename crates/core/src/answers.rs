//! Answers that are kept so that a request which comes a second time is done
//! once. What is kept of the request is a keyed digest; the answer is the
//! front's own bytes, which never hold a value or a token.

use crate::clock::Timestamp;
use crate::keyed_hash::KeyedHash;
use crate::rows::{Fields, Row};

/// How long an answer is kept: 24 hours, in milliseconds.
pub const KEPT_FOR: i64 = 24 * 60 * 60 * 1_000;

/// A request that carries an idempotency key, as it is told from others.
pub struct Repeatable<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without the query.
    pub path: &'a str,
    /// The idempotency key.
    pub key: &'a str,
    /// Whatever else makes it another request, always as many pieces in the
    /// same order: the query, each header that counts, the body.
    pub rest: &'a [&'a [u8]],
}

/// Names a kept answer: a keyed digest of API key, method, path and
/// idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerId([u8; AnswerId::LENGTH]);

impl AnswerId {
    /// Bytes of an id.
    pub const LENGTH: usize = KeyedHash::LENGTH;

    /// From a stored column; `None` when the length is off.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    pub(crate) const fn new(digest: KeyedHash) -> Self {
        Self(*digest.as_bytes())
    }

    /// Which version of the key made it.
    pub(crate) const fn key_version(&self) -> u16 {
        let [high, low, ..] = self.0;
        u16::from_be_bytes([high, low])
    }
}

/// Stands for the whole of a request, its body and its [`AnswerId`] too: equal
/// bodies under two keys can't be told from others.
#[derive(Clone, Copy, Debug)]
pub struct RequestDigest(KeyedHash);

impl RequestDigest {
    /// Bytes of a digest.
    pub const LENGTH: usize = KeyedHash::LENGTH;

    /// From a stored column; `None` when the length is off.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        KeyedHash::from_slice(bytes).map(Self)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }

    pub(crate) const fn new(digest: KeyedHash) -> Self {
        Self(digest)
    }

    /// Whether both stand for the same request.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.matches(&other.0)
    }
}

/// The answer to one request.
#[derive(Clone, Debug)]
pub struct KeptAnswer {
    /// Names it.
    pub id: AnswerId,
    /// To which request.
    pub request: RequestDigest,
    /// The answer, in the front's own form.
    pub answer: Vec<u8>,
    /// When it was given.
    pub created_at: Timestamp,
}

impl Row for KeptAnswer {
    const TABLE: &'static str = "answers";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("request", self.request.as_bytes());
        fields.bytes("answer", &self.answer);
        fields.number("created_at", self.created_at.as_millis());
    }
}
