//! HMAC-SHA-256 under a versioned key: what MACs of rows and hashes of tokens
//! are made of.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::memory::KeyBytes;

/// Bytes of a key's version.
const VERSION: usize = 2;
/// Bytes of HMAC-SHA-256.
const DIGEST: usize = 32;

/// As it is stored: the key's version, big-endian, then the digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedHash([u8; KeyedHash::LENGTH]);

impl KeyedHash {
    pub(crate) const LENGTH: usize = VERSION + DIGEST;

    pub(crate) fn new(version: u16, key: &KeyBytes, bytes: &[u8]) -> Self {
        Self::join(version, hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), bytes).as_ref())
    }

    fn join(version: u16, digest: &[u8]) -> Self {
        let mut hash = [0; Self::LENGTH];
        let (head, tail) = hash.split_at_mut(VERSION);
        head.copy_from_slice(&version.to_be_bytes());
        tail.copy_from_slice(digest);
        Self(hash)
    }

    /// Over a label and pieces, each behind its length in 8 big-endian bytes.
    pub(crate) fn of_pieces(version: u16, key: &KeyBytes, label: &str, pieces: &[&[u8]]) -> Self {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
        for piece in [label.as_bytes()].iter().chain(pieces) {
            mac.update(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(piece);
        }
        Self::join(version, mac.sign().as_ref())
    }

    /// `None` when the length is off.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// The digest alone.
    pub(crate) fn digest(&self) -> &[u8] {
        self.0.get(VERSION..).unwrap_or_default()
    }

    /// Which version of the key made it.
    pub(crate) const fn key_version(&self) -> u16 {
        let [high, low, ..] = self.0;
        u16::from_be_bytes([high, low])
    }

    /// Whether both are the same, in constant time.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}
