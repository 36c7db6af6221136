//! A second reader and writer of everything that is sealed, written from
//! `docs/reference/sealing.md` alone, with the `RustCrypto` crates. It must
//! never use a function of the crate under test: where the two disagree, one of
//! them or the page is wrong.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha512};

pub(crate) type Id = [u8; 16];
pub(crate) type Key32 = [u8; 32];

pub(crate) const HEADER: usize = 18;
const SALT: usize = 32;
const COMMITMENT: usize = 32;
const TAG: usize = 16;
/// The bytes that a record has around its ciphertext, all but the tag in front
/// of it.
pub(crate) const BEFORE: usize = HEADER + SALT + COMMITMENT;
pub(crate) const OVERHEAD: usize = BEFORE + TAG;

/// Why a record was refused. The tests tell them apart, so that none passes for
/// another's reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Short,
    FormatOrSuite,
    Commitment,
    Tag,
}

/// `lp(x)`: the length in four bytes, then the bytes.
pub(crate) fn lp(bytes: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

/// `lp(label) ‖ lp(field 1) ‖ lp(field 2) ‖ …`.
pub(crate) fn context(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut out = lp(label.as_bytes());
    for field in fields {
        out.extend(lp(field));
    }
    out
}

pub(crate) fn master_context(instance: &Id) -> Vec<u8> {
    context("strongroom.master.v1", &[instance])
}

pub(crate) fn key_context(
    instance: &Id,
    owner: &str,
    team: Option<&Id>,
    key_id: &Id,
    version: u16,
) -> Vec<u8> {
    let team: &[u8] = team.map_or(&[], |id| id);
    context("strongroom.key.v1", &[instance, owner.as_bytes(), team, key_id, &version.to_be_bytes()])
}

pub(crate) fn version_context(instance: &Id, team: &Id, secret: &Id, number: u32) -> Vec<u8> {
    context("strongroom.version.v1", &[instance, team, secret, &number.to_be_bytes()])
}

pub(crate) fn hkdf<const N: usize>(ikm: &[u8], salt: &[u8], info: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha512>::new(Some(salt), ikm).expand(info, &mut out).unwrap();
    out
}

fn hmac(key: &[u8], message: &[u8]) -> Key32 {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// `K_enc` and `K_commit` of a record with this header and salt.
pub(crate) fn record_keys(key: &Key32, salt: &[u8], header: &[u8], context: &[u8]) -> (Key32, Key32) {
    let both = hkdf::<64>(key, salt, &[header, context].concat());
    (both[..32].try_into().unwrap(), both[32..].try_into().unwrap())
}

/// AES-256-GCM under the twelve zero bytes, without anything that is around it
/// in a record.
pub(crate) fn gcm_open(key: &Key32, aad: &[u8], ciphertext_and_tag: &[u8]) -> Option<Vec<u8>> {
    let payload = Payload { msg: ciphertext_and_tag, aad };
    Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key)).decrypt(&Nonce::default(), payload).ok()
}

pub(crate) fn gcm_seal(key: &Key32, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plaintext, aad };
    Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key)).encrypt(&Nonce::default(), payload).unwrap()
}

/// Opens a sealed record. The key's id in the header is the caller's to have
/// chosen `key` by.
pub(crate) fn open(key: &Key32, context: &[u8], record: &[u8]) -> Result<Vec<u8>, Refused> {
    if record.len() < OVERHEAD {
        return Err(Refused::Short);
    }
    if record[..2] != [1, 1] {
        return Err(Refused::FormatOrSuite);
    }
    let (header, rest) = record.split_at(HEADER);
    let (salt, rest) = rest.split_at(SALT);
    let (commitment, ciphertext) = rest.split_at(COMMITMENT);
    let (enc, commit) = record_keys(key, salt, header, context);
    // Not in constant time: nobody times a test.
    if commit != commitment {
        return Err(Refused::Commitment);
    }
    gcm_open(&enc, &[header, context].concat(), ciphertext).ok_or(Refused::Tag)
}

pub(crate) fn header(key_id: &Id) -> Vec<u8> {
    [&[1, 1], key_id.as_slice()].concat()
}

/// The id of the sealing key that a record names.
pub(crate) fn key_id_of(record: &[u8]) -> Id {
    record[2..HEADER].try_into().unwrap()
}

/// The salt of a record, from 32 random bytes.
pub(crate) fn hedged_salt(key: &Key32, context: &[u8], random: &Key32, plaintext: &[u8]) -> Key32 {
    let hedge = hkdf::<32>(key, &[], b"strongroom.hedge.v1");
    hmac(&hedge, &[random.as_slice(), &lp(context), plaintext].concat())
}

/// Seals a record as the page says that it is done.
pub(crate) fn seal(key: &Key32, key_id: &Id, context: &[u8], random: &Key32, plaintext: &[u8]) -> Vec<u8> {
    let salt = hedged_salt(key, context, random, plaintext);
    seal_with_salt(key, key_id, context, &salt, plaintext)
}

/// Seals under a salt of the caller's choice, as a careless or hostile writer
/// could.
pub(crate) fn seal_with_salt(
    key: &Key32,
    key_id: &Id,
    context: &[u8],
    salt: &Key32,
    plaintext: &[u8],
) -> Vec<u8> {
    seal_under_header(key, &header(key_id), context, salt, plaintext)
}

/// Seals under a header of the caller's choice.
pub(crate) fn seal_under_header(
    key: &Key32,
    header: &[u8],
    context: &[u8],
    salt: &Key32,
    plaintext: &[u8],
) -> Vec<u8> {
    let (enc, commit) = record_keys(key, salt, header, context);
    let ciphertext = gcm_seal(&enc, &[header, context].concat(), plaintext);
    [header, salt, &commit, &ciphertext].concat()
}

/// The root key of a `root.key` file.
pub(crate) fn root_key_file(text: &str) -> Key32 {
    let digits = text.trim_end().strip_prefix("strongroom-root-key-v1:").unwrap();
    from_hex(digits).try_into().unwrap()
}

pub(crate) fn root_key_id(root_key: &Key32) -> Id {
    hkdf::<16>(root_key, &[], b"strongroom.root-key-id.v1")
}

/// The variables of a version's plaintext, in their order.
pub(crate) fn bundle(mut plaintext: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut take = |n: usize| {
        let (taken, rest) = plaintext.split_at(n);
        plaintext = rest;
        (taken, rest.is_empty())
    };
    let mut variables = Vec::new();
    let mut done = take(0).1;
    while !done {
        let name_length = u16::from_be_bytes(take(2).0.try_into().unwrap());
        let name = String::from_utf8(take(name_length.into()).0.to_vec()).unwrap();
        let value_length = u32::from_be_bytes(take(4).0.try_into().unwrap());
        let (value, end) = take(value_length.try_into().unwrap());
        variables.push((name, value.to_vec()));
        done = end;
    }
    variables
}

/// The plaintext of a version with these variables.
pub(crate) fn bundle_plaintext(variables: &[(String, Vec<u8>)]) -> Vec<u8> {
    let variable = |(name, value): &(String, Vec<u8>)| {
        let name_length = u16::try_from(name.len()).unwrap().to_be_bytes();
        [name_length.as_slice(), name.as_bytes(), &lp(value)].concat()
    };
    variables.iter().flat_map(variable).collect()
}

/// A row's `row_mac`: `columns` in the page's order, a null one as `None`.
pub(crate) fn row_mac(
    key: &Key32,
    key_version: u16,
    instance: &Id,
    table: &str,
    columns: &[(&str, Option<Vec<u8>>)],
) -> Vec<u8> {
    let mut message = [lp(b"strongroom.row.v1"), lp(instance), lp(table.as_bytes())].concat();
    for (column, value) in columns {
        if let Some(value) = value {
            message.extend(lp(column.as_bytes()));
            message.extend(lp(value));
        }
    }
    [key_version.to_be_bytes().as_slice(), &hmac(key, &message)].concat()
}

/// What is kept of a token.
pub(crate) fn token_hash(pepper: &Key32, pepper_version: u16, token: &str) -> Vec<u8> {
    [pepper_version.to_be_bytes().as_slice(), &hmac(pepper, token.as_bytes())].concat()
}

/// The key version in front of a `row_mac` or a token's hash.
pub(crate) fn version_of(mac: &[u8]) -> u16 {
    assert_eq!(mac.len(), 34, "two bytes of version and 32 of MAC");
    u16::from_be_bytes(mac[..2].try_into().unwrap())
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(crate) fn base62(mut number: u128, digits: usize) -> String {
    let mut out = vec![b'0'; digits];
    for place in out.iter_mut().rev() {
        *place = BASE62[usize::try_from(number % 62).unwrap()];
        number /= 62;
    }
    assert_eq!(number, 0, "does not fit");
    String::from_utf8(out).unwrap()
}

/// A token's text, from its prefix, id and 256 bits.
pub(crate) fn token(prefix: &str, id: &Id, secret: &Key32) -> String {
    let half = |bytes: &[u8]| base62(u128::from_be_bytes(bytes.try_into().unwrap()), 22);
    let body = [prefix, &half(id), &half(&secret[..16]), &half(&secret[16..])].concat();
    let check = base62(crc32(body.as_bytes()).into(), 6);
    body + &check
}

/// CRC-32 (IEEE), a bit at a time.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

pub(crate) fn from_hex(digits: &str) -> Vec<u8> {
    assert_eq!(digits.len() % 2, 0, "hex digits come in pairs");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
