//! One blob, one key. AES-GCM alone doesn't promise it: here a ciphertext is
//! made that two keys both decrypt, tag and all. Put into a record, it opens
//! under the key whose commitment the record carries and under no other.
//!
//! What this shows: the comparison of commitments is what refuses it, since
//! nothing else differs. What it doesn't: that no two keys share a commitment.
//! That is HKDF-SHA-512's collision resistance over 32 bytes, not testable.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockEncrypt, KeyInit};

use crate::independent::{self, BEFORE, HEADER, Id, Key32, Refused, gcm_open, gcm_seal, header, record_keys};
use crate::support::{Place, opened, sealed_by_us, sealing_key, seeded_id, seeded_key};

/// GCM's nonce in every record.
const NONCE: [u8; 12] = [0; 12];

/// A product in GCM's field (NIST SP 800-38D §6.3), whose first bit is the
/// highest here.
fn product(x: u128, y: u128) -> u128 {
    let (mut sum, mut power) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            sum ^= power;
        }
        let carry = power & 1;
        power = (power >> 1) ^ (carry * (0xE1 << 120));
    }
    sum
}

/// `x` to the power 2¹²⁸ − 2.
fn inverse(x: u128) -> u128 {
    let (mut result, mut square) = (1 << 127, x);
    for _ in 1..128 {
        square = product(square, square);
        result = product(result, square);
    }
    result
}

fn encrypt_block(key: &Key32, block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// GHASH of whole blocks.
fn ghash(key: &Key32, blocks: &[u128]) -> u128 {
    let h = encrypt_block(key, 0);
    blocks.iter().fold(0, |sum, block| product(sum ^ block, h))
}

/// What makes a tag of a GHASH, by XOR: the key stream's block for the
/// counter's first value, `J0`.
fn mask(key: &Key32) -> u128 {
    let mut first = [0; 16];
    first[..12].copy_from_slice(&NONCE);
    first[15] = 1;
    encrypt_block(key, u128::from_be_bytes(first))
}

fn blocks(bytes: &[u8]) -> Vec<u128> {
    let padded = |chunk: &[u8]| {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        u128::from_be_bytes(block)
    };
    bytes.chunks(16).map(padded).collect()
}

/// A ciphertext of two blocks and its tag that are valid under both keys, each
/// with its own associated data of one length. The first block is free; the
/// second solves the linear equation that makes both tags the same.
fn two_key_ciphertext(keys: [&Key32; 2], associated: [&[u8]; 2], free: u128) -> Vec<u8> {
    let lengths = u128::try_from(associated[0].len() * 8).unwrap() << 64 | 256;
    let message = |associated: &[u8], solved| [blocks(associated), vec![free, solved, lengths]].concat();
    let tag = |at: usize, solved| ghash(keys[at], &message(associated[at], solved)) ^ mask(keys[at]);
    // The solved block is the last but one, so it counts with H².
    let weight = |key| {
        let h = encrypt_block(key, 0);
        product(h, h)
    };
    let solved = product(tag(0, 0) ^ tag(1, 0), inverse(weight(keys[0]) ^ weight(keys[1])));
    assert_eq!(tag(0, solved), tag(1, solved));
    [free, solved, tag(0, solved)].into_iter().flat_map(u128::to_be_bytes).collect()
}

/// A record that both keys decrypt, and the commitments of both for it.
struct TwoKeyRecord {
    keys: [Key32; 2],
    ids: [Id; 2],
    place: Place,
    salt: Key32,
    commitments: [Key32; 2],
    ciphertext: Vec<u8>,
}

impl TwoKeyRecord {
    fn new(ids: [Id; 2]) -> Self {
        let keys = [seeded_key("one"), seeded_key("other")];
        let salt = seeded_key("a salt of the attacker's");
        let place = Place::version(&seeded_id("i"), &seeded_id("t"), &seeded_id("s"), 1);
        let derived = [0, 1].map(|at| record_keys(&keys[at], &salt, &header(&ids[at]), &place.bytes()));
        let associated = ids.map(|id| [header(&id), place.bytes()].concat());
        let ciphertext =
            two_key_ciphertext([&derived[0].0, &derived[1].0], [&associated[0], &associated[1]], 0xFEED);
        for ((encryption, _), associated) in derived.iter().zip(&associated) {
            assert!(gcm_open(encryption, associated, &ciphertext).is_some(), "GCM takes it under both keys");
        }
        Self { keys, ids, place, salt, commitments: derived.map(|(_, commitment)| commitment), ciphertext }
    }

    /// The whole record under this header's id and with this commitment.
    fn blob(&self, id: usize, commitment: &Key32) -> Vec<u8> {
        [header(&self.ids[id]).as_slice(), &self.salt, commitment, &self.ciphertext].concat()
    }

    /// Under which of the two keys it opens.
    fn opens(&self, blob: &[u8]) -> [bool; 2] {
        [0, 1].map(|at| opened(&sealing_key(&self.ids[at], &self.keys[at]), &self.place, blob).is_some())
    }
}

#[test]
fn the_field_is_gcms() {
    let key = seeded_key("field");
    let associated = b"sixteen bytes ofand some more...";
    let sealed = gcm_seal(&key, associated, &[0; 32]);
    let ciphertext = blocks(&sealed[..32]);
    let lengths = 256 << 64 | 256;
    let message = [blocks(associated), ciphertext, vec![lengths]].concat();
    assert_eq!((ghash(&key, &message) ^ mask(&key)).to_be_bytes(), sealed[32..]);
    assert_eq!(product(0xABCD, inverse(0xABCD)), 1 << 127);
}

#[test]
fn a_ciphertext_of_two_keys_opens_under_the_committed_one_only() {
    // Both keys go by one id, as no two keys do: otherwise the id alone would
    // refuse.
    let record = TwoKeyRecord::new([[9; 16]; 2]);
    let [one, other] = record.commitments;
    assert_eq!(record.opens(&record.blob(0, &one)), [true, false]);
    assert_eq!(record.opens(&record.blob(0, &other)), [false, true]);
    assert_eq!(record.opens(&record.blob(0, &[0; 32])), [false, false]);
    let half: Vec<u8> = [&one[..16], &other[16..]].concat();
    assert_eq!(record.opens(&record.blob(0, &half.try_into().unwrap())), [false, false]);
    let refused = independent::open(&record.keys[1], &record.place.bytes(), &record.blob(0, &one));
    assert_eq!(refused, Err(Refused::Commitment), "the other reader says why");
}

#[test]
fn a_ciphertext_of_two_keys_with_ids_of_their_own_opens_once() {
    let record = TwoKeyRecord::new([seeded_id("one"), seeded_id("other")]);
    let [one, other] = record.commitments;
    assert_eq!(record.opens(&record.blob(0, &one)), [true, false]);
    assert_eq!(record.opens(&record.blob(1, &other)), [false, true]);
    assert_eq!(record.opens(&record.blob(1, &one)), [false, false]);
    assert_eq!(record.opens(&record.blob(0, &other)), [false, false]);
}

#[test]
fn a_blob_of_one_key_is_refused_under_every_other() {
    let ids: Vec<_> = (0..20).map(|at| seeded_id(&format!("id {at}"))).collect();
    let keys: Vec<_> = (0..20).map(|at| seeded_key(&format!("key {at}"))).collect();
    let place = Place::new("place", &[]);
    for (sealer, id) in keys.iter().zip(&ids) {
        let blob = sealed_by_us(&sealing_key(id, sealer), &place, b"a value");
        for (opener, other) in keys.iter().zip(&ids) {
            let same = opener == sealer;
            assert_eq!(opened(&sealing_key(id, opener), &place, &blob).is_some(), same, "by the same id");
            let mut renamed = blob.clone();
            renamed[2..HEADER].copy_from_slice(other);
            assert_eq!(opened(&sealing_key(other, opener), &place, &renamed).is_some(), same, "renamed");
        }
        assert!(opened(&sealing_key(&[0; 16], sealer), &place, &blob).is_none(), "by another id");
    }
}

#[test]
fn a_commitment_of_another_record_is_refused() {
    let key = sealing_key(&[1; 16], &seeded_key("key"));
    let place = Place::new("place", &[]);
    let [mut one, other] = [b"one", b"two"].map(|plain| sealed_by_us(&key, &place, plain));
    let salt_end = BEFORE - 32;
    one[salt_end..BEFORE].copy_from_slice(&other[salt_end..BEFORE]);
    assert!(opened(&key, &place, &one).is_none());
    one[HEADER..salt_end].copy_from_slice(&other[HEADER..salt_end]);
    assert!(opened(&key, &place, &one).is_none(), "with its salt: now the tag refuses");
}
