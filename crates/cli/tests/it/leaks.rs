//! No value is found where it shouldn't be: neither in the database and its
//! companions, nor in what the server prints at its most talkative.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Place, Server};

/// Has characters that every encoding writes differently.
const VALUE: &str = "canary \"7f3a\" <b&c>\\ käse\n0123456789abcdef";

#[test]
fn no_value_and_no_token_is_found_on_disk_or_in_logs() {
    let (place, key) = Place::with_instance();
    let args = ["--listen", "127.0.0.1:0", "--log", "trace"];
    let server = Server::start(place.command("serve", &args), place.path("stderr"));
    let mut client = server.client(&key);
    for _ in 0..20 {
        client.create(VALUE).unwrap().unwrap();
    }
    let body = serde_json::json!({"name": 1, "values": {"KEY": VALUE}}).to_string();
    assert_eq!(client.post("/v1/credentials", &body).status, 400);
    let broken = format!("{{\"name\": \"n\", \"values\": {{\"KEY\": {}", serde_json::json!(VALUE));
    assert_eq!(client.post("/v1/credentials", &broken).status, 400);
    assert!(fs::metadata(place.data().join("strongroom.db-wal")).unwrap().len() > 0);
    let searched = files(&place);
    assert_eq!(hits(&searched, &key), [""; 0], "while it serves");
    let stderr = server.stderr.clone();
    server.signal(rustix::process::Signal::TERM);
    let (_, stdout) = server.wait();
    fs::write(place.path("stdout"), stdout).unwrap();
    assert!(fs::metadata(stderr).unwrap().len() > 0, "the log was searched, so there must be one");
    assert_eq!(hits(&files(&place), &key), [""; 0], "after it ended");
}

#[test]
fn the_search_finds_each_encoding_planted_in_a_database() {
    let (place, key) = Place::with_instance();
    for needle in encodings(VALUE).into_iter().chain(encodings(&key)) {
        let mut bytes = fs::read(place.database()).unwrap();
        let middle = bytes.len() / 2;
        bytes.splice(middle..middle, needle);
        let planted = place.path("planted");
        fs::write(&planted, bytes).unwrap();
        assert_eq!(hits(&[planted], &key).len(), 1);
    }
    let line =
        format!("{}\n", base64(format!("{{\"before\": 1, \"value\": \"{VALUE}\"}}").as_bytes(), *b"+/"));
    fs::write(place.path("planted"), line).unwrap();
    assert_eq!(hits(&[place.path("planted")], &key).len(), 1, "in the midst of encoded text");
}

/// Every file but the two that hold keys of their own.
fn files(place: &Place) -> Vec<PathBuf> {
    let names = place.tree().into_iter().filter(|name| !name.ends_with("recovery.key"));
    names.map(|name| place.path(&name)).filter(|path| !path.is_dir()).collect()
}

/// The files in which a value or the key is found, in any encoding.
fn hits(files: &[PathBuf], key: &str) -> Vec<String> {
    let needles: Vec<_> = encodings(VALUE).into_iter().chain(encodings(key)).collect();
    let found = |path: &&PathBuf| {
        let bytes = match fs::read(path) {
            // A head that was being written has its name by now.
            Err(_) if path.ends_with("checkpoints/.new") => return false,
            bytes => bytes.unwrap(),
        };
        needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle))
    };
    files.iter().filter(found).map(|path| name(path)).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// A text as it may be found, however it was written.
pub(crate) fn encodings(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let json = serde_json::to_string(text).unwrap();
    let ascii: String = json
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) })
        .collect();
    let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let mut all = vec![
        bytes.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        percent(bytes).into_bytes(),
        json.trim_matches('"').into(),
        ascii.trim_matches('"').into(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ];
    all.extend((0..3).flat_map(|before| [*b"+/", *b"-_"].map(|last| base64_within(bytes, before, last))));
    all
}

fn percent(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    bytes
        .iter()
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// What of a text's base64 is always the same when so many bytes stand before
/// it, whatever they are and whatever follows.
fn base64_within(bytes: &[u8], before: usize, last: [u8; 2]) -> Vec<u8> {
    let padded = [&vec![0; before], bytes].concat();
    let text = base64(&padded, last);
    let (start, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    text.as_bytes()[start..end].to_vec()
}

fn base64(bytes: &[u8], last: [u8; 2]) -> String {
    let alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(last).collect();
    let digits = |chunk: &[u8]| {
        let number =
            (0..3).fold(0_usize, |number, at| number << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
        (0..=chunk.len()).map(move |at| number >> (18 - 6 * at) & 63).collect::<Vec<_>>()
    };
    bytes.chunks(3).flat_map(digits).map(|digit| char::from(alphabet[digit])).collect()
}
