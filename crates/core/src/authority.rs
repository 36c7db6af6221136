//! The key of the instance's own certificate authority, which the processes of brokered
//! runs trust. It signs here; nothing hands it out.

use std::sync::Arc;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyUncompressedBin};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::ids::InstanceId;
use crate::memory::KeyBytes;
use crate::sealing::IntegrityViolation;

/// What a private key is derived for from its seed.
const LABEL: &[u8] = b"strongroom.authority.v1";
/// Not every text of 32 bytes is a private key; one in four thousand million isn't.
const TRIES: u8 = 8;

/// Signs certificates with ECDSA on P-256 and SHA-256.
pub struct Authority {
    instance: InstanceId,
    version: u16,
    created_at: Timestamp,
    pair: EcdsaKeyPair,
}

impl Authority {
    /// The authority of one version of the instance's key for it.
    pub(crate) fn new(
        instance: InstanceId,
        (version, created_at): (u16, Timestamp),
        seed: &KeyBytes,
    ) -> Result<Arc<Self>, IntegrityViolation> {
        let pair = (0..TRIES).find_map(|attempt| pair(seed, attempt)).ok_or(IntegrityViolation)?;
        Ok(Arc::new(Self { instance, version, created_at, pair }))
    }

    /// Whose it is.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Which of the instance's keys for this purpose it is, from 1.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Since when there is this key.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The public key: 65 bytes, an uncompressed point of P-256.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs a text: an ASN.1 signature.
    ///
    /// # Errors
    /// When the library can't.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, IntegrityViolation> {
        let signature = self.pair.sign(&SystemRandom::new(), text).map_err(|_| IntegrityViolation)?;
        Ok(signature.as_ref().to_vec())
    }
}

fn pair(seed: &KeyBytes, attempt: u8) -> Option<EcdsaKeyPair> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, seed.expose());
    let tag = hmac::sign(&key, &[LABEL, &[attempt]].concat());
    let mut scalar = Zeroizing::new([0; 32]);
    scalar.copy_from_slice(tag.as_ref());
    let private = PrivateKey::from_private_key(&ECDH_P256, &*scalar).ok()?;
    let public: EcPublicKeyUncompressedBin<'_> = private.compute_public_key().ok()?.as_be_bytes().ok()?;
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &*scalar, public.as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    use uuid::Uuid;

    fn authority(byte: u8) -> Arc<Authority> {
        let instance = InstanceId::from_uuid(Uuid::from_u128(1));
        let seed = KeyBytes::take(&mut [byte; 32]);
        Authority::new(instance, (1, Timestamp::from_millis(0)), &seed).unwrap()
    }

    #[test]
    fn a_seed_has_one_key_and_it_signs() {
        let (one, again, other) = (authority(1), authority(1), authority(2));
        assert_eq!(one.public_key(), again.public_key());
        assert_ne!(one.public_key(), other.public_key());
        let signature = one.sign(b"text").unwrap();
        let verified = |key: &Authority, text: &[u8]| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key()).verify(text, &signature).is_ok()
        };
        assert!(verified(&again, b"text"));
        assert!(!verified(&again, b"texts") && !verified(&other, b"text"));
    }
}
