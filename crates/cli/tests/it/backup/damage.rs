//! Damage of every kind: none is taken for a backup, and nothing is written for it. What
//! finds it is the same for `backup verify` and for `restore`; both are asked.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use strongroom_core::backup::{Container, MAGIC};

use super::{Backup, strongroom};
use crate::copy::Instance;
use crate::harness::{BINARY, Place, chance, clean, run};

/// What is done to a backup, in words, and what comes of it.
type Damaged = (String, Vec<u8>);

fn flipped(bytes: &[u8], bit: usize) -> Damaged {
    let mut damaged = bytes.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    (format!("bit {bit} flipped"), damaged)
}

fn below(end: usize) -> usize {
    usize::try_from(chance(end as u64)).unwrap()
}

/// Every kind.
fn damages(bytes: &[u8], other: &[u8]) -> Vec<Damaged> {
    let (payload, of_other) = (payload(bytes), payload(other));
    let mut all: Vec<_> = (0..500).map(|_| flipped(bytes, below(bytes.len() * 8))).collect();
    // Every byte of what is around the payload, and of the head of that.
    let around = (0..MAGIC.len() + 400).chain(payload.end..bytes.len());
    all.extend(around.map(|byte| flipped(bytes, byte * 8 + below(8))));
    let lengths = [0, 1, MAGIC.len(), payload.end, bytes.len() - 43, bytes.len() - 1];
    let lengths = (0..194).map(|_| below(bytes.len())).chain(lengths);
    all.extend(lengths.map(|length| (format!("cut to {length}"), bytes[..length].to_vec())));
    for appended in [&b"\n"[..], b"\0", b"x", &bytes[payload.end..], bytes] {
        all.push((format!("{} appended", appended.len()), [bytes, appended].concat()));
    }
    all.push(("preceded".into(), [b"x", bytes].concat()));
    let (head, tail) = (&bytes[..payload.start], &bytes[payload.end..]);
    all.push(("payload of another".into(), [head, &other[of_other.clone()], tail].concat()));
    all.push(("manifest of another".into(), [&bytes[..payload.end], &other[of_other.end..]].concat()));
    all.push(("no payload".into(), [head, tail].concat()));
    all.push(("doubled payload".into(), [head, &bytes[payload.clone()], &bytes[payload], tail].concat()));
    all.push(("zeros".into(), vec![0; bytes.len()]));
    all
}

/// Where the payload is.
fn payload(bytes: &[u8]) -> std::ops::Range<usize> {
    let container = Container::open(&mut Cursor::new(bytes), None).unwrap();
    let length = usize::try_from(container.manifest.payload.length).unwrap();
    MAGIC.len()..MAGIC.len() + length
}

/// Asks both commands about a damaged file, which must change nothing.
fn is_refused(file: &Path, identity: &str, what: &str) {
    let path = file.to_str().unwrap();
    let verified = strongroom(&["backup", "verify", path]);
    assert!(verified.refusal().contains("damaged.backup"), "{what}: {}", verified.stderr);
    let nowhere = Place::new();
    let args = ["restore", path, "--identity", identity, "--data-dir"];
    let restored = run(clean(BINARY).args(args).arg(nowhere.data()));
    assert_eq!(restored.refusal(), verified.stderr, "{what}");
    assert!(nowhere.tree().is_empty(), "{what}: {:?}", nowhere.tree());
}

#[test]
fn no_damage_is_taken_for_a_backup() {
    let backup = Backup::of(&Instance::new(), None);
    let other = Backup::of(&Instance::new(), None);
    let bytes = fs::read(backup.file()).unwrap();
    let damages = damages(&bytes, &fs::read(other.file()).unwrap());
    assert!(damages.len() > 1_500, "{}", damages.len());
    let (at, identity) = (AtomicUsize::new(0), backup.identity.to_str().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let place = Place::new();
                let file = place.path("damaged.backup");
                while let Some((what, damaged)) = damages.get(at.fetch_add(1, Ordering::SeqCst)) {
                    fs::write(&file, damaged).unwrap();
                    is_refused(&file, identity, what);
                }
            });
        }
    });
    // A control: what nobody touched is one.
    backup.verify(&[]).done();
    backup.restore(&Place::new(), &[]).done();
}

#[test]
fn what_is_no_backup_is_said_to_be_none() {
    let place = Place::new();
    fs::write(place.path("text"), "hello").unwrap();
    for (name, says) in [("text", "not a Strongroom backup"), ("none", "No such file"), (".", "not a file")] {
        let refused = strongroom(&["backup", "verify", place.path(name).to_str().unwrap()]);
        assert!(refused.refusal().contains(says), "{}", refused.stderr);
    }
}
