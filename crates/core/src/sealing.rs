//! The one way in which anything is encrypted here: AES-256-GCM under a key
//! that is used once and committed to. `docs/reference/sealing.md` describes
//! the bytes for strangers, and a test follows that text with another library.
//!
//! Nothing here ever falls back: an unknown format, a foreign key or a changed
//! bit is an [`IntegrityViolation`].

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Salt};
use aws_lc_rs::hmac;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use crate::ids::KeyId;
use crate::memory::KeyBytes;
use crate::random::{self, Random};

/// The layout of the blob.
const FORMAT: u8 = 1;
/// HKDF-SHA-512, AES-256-GCM, 32-byte commitment.
const SUITE: u8 = 1;
/// Format, suite, key id.
const HEADER: usize = 1 + 1 + 16;
const SALT: usize = 32;
const COMMITMENT: usize = 32;
const TAG: usize = 16;
/// What a blob has beyond its plaintext, in bytes.
pub const OVERHEAD: usize = HEADER + SALT + COMMITMENT + TAG;

/// Every key seals one record, so the nonce needs no variety.
const NONCE: [u8; 12] = [0; 12];
/// Keeps the key of the salt's hedge apart from record keys.
const HEDGE_LABEL: &[u8] = b"strongroom.hedge.v1";

/// Stored bytes that aren't what was sealed: changed, moved, swapped, cut, of
/// an unknown format or of another key. Deliberately says no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored record is not what was sealed")]
pub struct IntegrityViolation;

/// What a blob is and where it belongs. A blob opens in no other context.
pub struct Context(Vec<u8>);

impl Context {
    /// A context of this kind: a label that no other kind of record has.
    pub fn new(label: &str) -> Self {
        Self(Vec::with_capacity(128)).field(label.as_bytes())
    }

    /// Adds a field, behind its length in 4 big-endian bytes.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend(bytes);
        self
    }

    /// Its bytes, for a keeper that binds what it seals by itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A sealed record: header, salt, commitment, ciphertext, tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// Bytes from a store; whether they are anything shows on opening.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which key sealed this, by the (yet unproven) header.
    ///
    /// # Errors
    /// When format or suite are unknown or bytes are missing.
    pub fn key_id(&self) -> Result<KeyId, IntegrityViolation> {
        Parts::split(&self.0).map(|parts| parts.key_id)
    }
}

/// A blob's pieces, in their order.
struct Parts<'a> {
    key_id: KeyId,
    header: &'a [u8],
    salt: &'a [u8],
    commitment: &'a [u8],
    ciphertext: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(blob: &'a [u8]) -> Result<Self, IntegrityViolation> {
        let (header, rest) = blob.split_at_checked(HEADER).ok_or(IntegrityViolation)?;
        let (salt, rest) = rest.split_at_checked(SALT).ok_or(IntegrityViolation)?;
        let (commitment, ciphertext) = rest.split_at_checked(COMMITMENT).ok_or(IntegrityViolation)?;
        match header {
            [FORMAT, SUITE, id @ ..] if ciphertext.len() >= TAG => {
                let key_id = KeyId::from_slice(id).map_err(|_| IntegrityViolation)?;
                Ok(Self { key_id, header, salt, commitment, ciphertext })
            }
            _ => Err(IntegrityViolation),
        }
    }
}

/// A key that seals other things: the root key, the master key, a team's key.
/// It never encrypts itself; each record gets a key derived for it alone.
pub struct SealingKey {
    id: KeyId,
    secret: KeyBytes,
    /// Derived once: it is the same for every record.
    hedge: KeyBytes,
}

impl SealingKey {
    /// Takes the key and erases `secret`.
    pub fn take(id: KeyId, secret: &mut [u8; 32]) -> Self {
        let mut hedge = [0; 32];
        derive(&*secret, &[], &[HEDGE_LABEL], &mut hedge);
        Self { id, secret: KeyBytes::take(secret), hedge: KeyBytes::take(&mut hedge) }
    }

    /// A root key, named by what it is: its id is derived from its bytes, so
    /// that a wrong one is recognised before anything is decrypted.
    pub fn take_root(secret: &mut [u8; 32]) -> Self {
        let mut id = [0; 16];
        derive(&*secret, &[], &[b"strongroom.root-key-id.v1"], &mut id);
        Self::take(KeyId::from_uuid(Uuid::from_bytes(id)), secret)
    }

    /// Which key this is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether the key's page is locked in memory.
    pub fn locked(&self) -> bool {
        self.secret.locked() && self.hedge.locked()
    }

    /// Seals `plaintext` into this context; the plaintext is erased.
    pub fn seal(&self, context: &Context, mut plaintext: Zeroizing<Vec<u8>>, random: &dyn Random) -> Sealed {
        let salt = self.hedged_salt(context, &plaintext, random);
        let header = self.header();
        let record = self.record_key(&salt, &header, context);
        let tag = record.seal(&header, context, &mut plaintext);
        let mut blob = Vec::with_capacity(OVERHEAD + plaintext.len());
        for piece in [&header[..], &salt, &record.commitment[..], &plaintext, &tag] {
            blob.extend(piece);
        }
        Sealed(blob)
    }

    /// Opens what was sealed into this context by this key.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn open(&self, context: &Context, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, IntegrityViolation> {
        let parts = Parts::split(&sealed.0)?;
        if parts.key_id != self.id {
            return Err(IntegrityViolation);
        }
        let record = self.record_key(parts.salt, parts.header, context);
        verify_slices_are_equal(&record.commitment[..], parts.commitment).map_err(|_| IntegrityViolation)?;
        record.open(parts.header, context, parts.ciphertext)
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = [FORMAT; HEADER];
        let [_, suite, id @ ..] = &mut header;
        *suite = SUITE;
        id.copy_from_slice(self.id.as_bytes());
        header
    }

    /// The record's salt: chance, hedged with the plaintext under a key of its
    /// own, so that a machine whose randomness repeats (a cloned one) repeats a
    /// record key only for the very same record.
    fn hedged_salt(&self, context: &Context, plaintext: &[u8], random: &dyn Random) -> [u8; SALT] {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.hedge.expose()));
        mac.update(&random::bytes::<32>(random));
        mac.update(&u32::try_from(context.0.len()).unwrap_or(u32::MAX).to_be_bytes());
        mac.update(&context.0);
        mac.update(plaintext);
        let mut salt = [0; SALT];
        salt.copy_from_slice(mac.sign().as_ref());
        salt
    }

    /// `K_enc ‖ K_commit = HKDF-SHA-512(key, salt, header ‖ context)`.
    fn record_key(&self, salt: &[u8], header: &[u8], context: &Context) -> RecordKey {
        let mut okm = Zeroizing::new([0; 64]);
        derive(self.secret.expose(), salt, &[header, &context.0], &mut *okm);
        let (encryption, commitment) = okm.split_at(32);
        let mut record = RecordKey { encryption: [0; 32], commitment: [0; COMMITMENT] };
        record.encryption.copy_from_slice(encryption);
        record.commitment.copy_from_slice(commitment);
        record
    }
}

/// The two halves derived for one record.
struct RecordKey {
    encryption: [u8; 32],
    commitment: [u8; COMMITMENT],
}

impl Drop for RecordKey {
    fn drop(&mut self) {
        self.encryption.zeroize();
    }
}

#[expect(clippy::expect_used, reason = "AWS-LC refuses only wrong lengths, which are constants here")]
impl RecordKey {
    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.encryption).expect("32 bytes"))
    }

    /// Encrypts in place and returns the tag.
    fn seal(&self, header: &[u8], context: &Context, plaintext: &mut [u8]) -> [u8; TAG] {
        let nonce = Nonce::assume_unique_for_key(NONCE);
        let sealed = self.cipher().seal_in_place_separate_tag(nonce, bound(header, context), plaintext);
        let mut tag = [0; TAG];
        tag.copy_from_slice(sealed.expect("a record is far below the cipher's 64 GiB").as_ref());
        tag
    }

    fn open(
        &self,
        header: &[u8],
        context: &Context,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, IntegrityViolation> {
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(NONCE);
        let opened = self.cipher().open_in_place(nonce, bound(header, context), &mut buffer);
        let length = opened.map_err(|_| IntegrityViolation)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// The associated data: header and context, the same bytes as the derivation's.
fn bound(header: &[u8], context: &Context) -> Aad<Vec<u8>> {
    Aad::from([header, &context.0].concat())
}

/// An output length for HKDF.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA-512: fills `out` (a few hundred bytes at most here) from `key`, `salt`, `info`.
#[expect(clippy::expect_used, reason = "HKDF refuses only outputs over 255 blocks; ours have a few")]
pub(crate) fn derive(key: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    let extracted = Salt::new(HKDF_SHA512, salt).extract(key);
    let expanded = extracted.expand(info, Length(out.len())).expect("a few blocks");
    expanded.fill(out).expect("the length asked for");
}
