//! Frozen bytes. What was sealed once must open forever, and the same chance
//! must give the same bytes.
//!
//! # RELEASED VECTORS NEVER CHANGE
//!
//! The files in `vectors/` stand for databases that exist: a change to one of
//! them would hide that those databases no longer open. When the format gains
//! something, ADD files with the next number, beside the old ones.
//! `STRONGROOM_WRITE_VECTORS=1 cargo test -p strongroom-core --test it vectors`
//! writes the files that aren't there, with the independent writer; it
//! overwrites none.

#[cfg(test)]
mod records;
#[cfg(test)]
mod rows;

use serde_json::{Value, json};
use std::path::PathBuf;
use strongroom_core::RootKey as _;
use strongroom_core::keyring::Purpose;
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::tokens::{Token, TokenHash, TokenKind};
use uuid::Uuid;

use crate::independent::{self, Id, Key32, from_hex, to_hex};
use crate::support::{KnownMaster, Scripted, seeded_id, seeded_key};

/// The tables of vectors, and how many each must at least have.
const KINDS: [(&str, usize); 4] = [("records", 80), ("rows", 180), ("tokens", 25), ("root_keys", 10)];

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "it", "vectors"].iter().collect()
}

/// Every vector of this kind, of all files.
fn vectors(kind: &str) -> Vec<Value> {
    write_missing();
    let prefix = format!("{kind}-");
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&prefix)).collect();
    files.sort();
    let read = |path: &PathBuf| -> Vec<Value> {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let vectors: Vec<_> = files.iter().flat_map(read).collect();
    let least = KINDS.iter().find(|(name, _)| *name == kind).unwrap().1;
    assert!(vectors.len() >= least, "only {} vectors of {kind}", vectors.len());
    vectors
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("no text {name} in {vector}"))
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    from_hex(text(vector, name))
}

fn key(vector: &Value, name: &str) -> Key32 {
    bytes(vector, name).try_into().unwrap()
}

fn id(vector: &Value, name: &str) -> Id {
    bytes(vector, name).try_into().unwrap()
}

fn number(vector: &Value, name: &str) -> u16 {
    vector[name].as_u64().unwrap().try_into().unwrap()
}

fn write_tokens() -> Vec<Value> {
    let extremes = [([0; 16], [0; 32]), ([0xFF; 16], [0xFF; 32])];
    let seeds = (0..4).map(|at| (seeded_id(&format!("token {at}")), seeded_key(&format!("token {at}"))));
    let inputs: Vec<_> = extremes.into_iter().chain(seeds).collect();
    let one = |kind: TokenKind, at: usize, (id, secret): &(Id, Key32)| {
        let token = independent::token(kind.prefix(), id, secret);
        let (pepper, version) = (seeded_key(&token), [1, 2, 256, u16::MAX][at % 4]);
        json!({
            "prefix": kind.prefix(),
            "id": to_hex(id),
            "secret": to_hex(secret),
            "token": token,
            "pepper": to_hex(&pepper),
            "pepper_version": version,
            "hash": to_hex(&independent::token_hash(&pepper, version, &token)),
        })
    };
    let of_kind = |kind| inputs.iter().enumerate().map(move |(at, input)| one(kind, at, input));
    TokenKind::ALL.into_iter().flat_map(of_kind).collect()
}

#[test]
fn tokens_and_their_hashes_are_as_they_were() {
    for vector in vectors("tokens") {
        let kind = TokenKind::ALL.into_iter().find(|kind| kind.prefix() == text(&vector, "prefix")).unwrap();
        let id = Uuid::from_bytes(id(&vector, "id"));
        let minted = Token::mint(kind, id, &Scripted::new(&bytes(&vector, "secret")));
        assert_eq!(minted.reveal(), text(&vector, "token"));
        let parsed = Token::parse(kind, text(&vector, "token")).unwrap();
        assert_eq!(parsed.id(), id);
        let pepper = (Purpose::ApiKeyPepper, number(&vector, "pepper_version"), key(&vector, "pepper"));
        let ring = KnownMaster::new("tokens").keyring(&[pepper]);
        let hash = bytes(&vector, "hash");
        assert_eq!(ring.hash(&parsed).as_bytes().as_slice(), hash);
        assert!(ring.proves(&parsed, &ring.hash(&parsed), &TokenHash::from_slice(&hash).unwrap()));
        let mut other = hash.clone();
        other[1] ^= 1;
        assert!(
            !ring.proves(&parsed, &ring.hash(&parsed), &TokenHash::from_slice(&other).unwrap()),
            "of another pepper"
        );
        assert_eq!(independent::token_hash(&pepper.2, pepper.1, parsed.reveal()), hash);
    }
}

fn write_root_keys() -> Vec<Value> {
    let keys =
        [[0; 32], [0xFF; 32]].into_iter().chain((0..10).map(|at| seeded_key(&format!("root key {at}"))));
    let one = |key: Key32| json!({ "root_key": to_hex(&key), "id": to_hex(&independent::root_key_id(&key)) });
    keys.map(one).collect()
}

#[test]
fn root_keys_have_the_ids_that_they_had() {
    for vector in vectors("root_keys") {
        let root = LocalRootKey::take("file", &mut key(&vector, "root_key"));
        assert_eq!(root.id().as_bytes(), &id(&vector, "id"));
        assert_eq!(independent::root_key_id(&key(&vector, "root_key")), id(&vector, "id"));
    }
}

/// Writes the files that aren't there, when asked to; see the top of this file.
#[expect(clippy::disallowed_methods, reason = "an explicit request of whoever runs the tests")]
fn write_missing() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if std::env::var_os("STRONGROOM_WRITE_VECTORS").is_some_and(|value| value == "1") {
        ONCE.call_once(|| {
            write("records-1.json", &records::write());
            write("rows-2.json", &rows::write());
            write("rows-3.json", &rows::write_of_schema_3());
            write("rows-4.json", &rows::write_of_schema_7());
            write("tokens-1.json", &write_tokens());
            write("root_keys-1.json", &write_root_keys());
        });
    }
}

/// Creates a file, with a line for each vector. One that is there stays as it
/// is.
fn write(name: &str, vectors: &[Value]) {
    use std::io::Write as _;
    std::fs::create_dir_all(folder()).unwrap();
    let Ok(mut file) = std::fs::File::create_new(folder().join(name)) else { return };
    let lines: Vec<_> = vectors.iter().map(Value::to_string).collect();
    writeln!(file, "[\n{}\n]", lines.join(",\n")).unwrap();
}
