//! What can't be done to the keys: it is said why and what to do, and no byte changes.

use std::fs;
use std::os::unix::fs::chown;

use super::{Held, PASSPHRASE};
use crate::harness::{Ended, chmod};
use crate::upgrade;

/// One sentence, and what to do.
fn refusal(ended: &Ended) -> (&str, &str) {
    let (why, remedy) = ended.refusal().split_once("\nhint: ").unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(!remedy.trim_end().contains('\n') && !why.contains('\n'), "{}", ended.stderr);
    (why, remedy.trim_end())
}

/// It is refused with these words and this remedy, and nothing is another afterwards.
fn refused(held: &Held, words: &str, says: &str, helps: &str) {
    let before = held.bytes();
    let ended = held.run(words);
    let (why, remedy) = refusal(&ended);
    assert!(why.contains(says) && remedy.contains(helps), "{words}: {}", ended.stderr);
    let after = held.bytes();
    let names = |bytes: &[(std::path::PathBuf, Vec<u8>)]| -> Vec<_> {
        bytes.iter().map(|(path, _)| path.clone()).collect()
    };
    assert_eq!(names(&after), names(&before), "{words}");
    for ((path, was), (_, is)) in before.iter().zip(&after) {
        assert!(was == is, "{words}: {} is another", path.display());
    }
}

/// Every command that replaces a key.
const ALL: [&str; 6] = [
    "keys rotate root",
    "keys rotate master",
    "keys rotate purpose row_mac",
    "keys add-root passphrase --new-passphrase-file passphrase",
    "keys remove-root passphrase",
    "recovery replace --recovery-key-file recovery.new",
];

fn nothing_changes(held: &Held) {
    held.place.private("passphrase", PASSPHRASE);
    held.place.private("passphrase.short", "short");
    held.place.private("notes", "dear");
    let root = held.place.data().join("root.key");
    let (own, other) = (fs::read(&root).unwrap(), Held::on_sqlite());
    for words in ALL {
        fs::copy(other.place.data().join("root.key"), &root).unwrap();
        refused(held, words, "this instance is sealed under the root key file:", "--root-key-file");
        fs::remove_file(&root).unwrap();
        refused(held, words, "root.key is missing", "restore it from its backup");
        fs::write(&root, &own).unwrap();
        chmod(&root, 0o644);
        refused(held, words, "has mode 0644", "chmod 600");
        fs::write(&root, &own[..40]).unwrap();
        chmod(&root, 0o600);
        refused(held, words, "does not hold a whole root key", "restore it from its backup");
        fs::write(&root, &own).unwrap();
    }
    let add = "keys add-root passphrase --new-passphrase-file passphrase";
    refused(held, "keys add-root file", "the instance's own root key is of that kind", "another kind");
    let elsewhere = "keys add-root file --new-root-key-file root.key.second";
    refused(held, elsewhere, "the instance's own root key is of that kind", "another kind");
    refused(held, "keys remove-root passphrase", "no root key of that kind was added", "keys status");
    refused(held, "keys remove-root file", "no root key of that kind was added", "keys status");
    let short = "keys rotate root --root-key passphrase --new-passphrase-file passphrase.short";
    assert!(held.run(short).refusal().contains("at least 12 characters"));
    let nowhere = "keys rotate root --new-root-key-file missing/root.key";
    assert!(held.run(nowhere).refusal().contains("missing"));
    held.run(add).done();
    let onto = "keys rotate root --root-key passphrase --new-passphrase-file passphrase";
    refused(held, onto, "a root key of that kind was added already", "remove it first");
    refused(held, "keys rotate master", "needs a passphrase", "--passphrase-file");
    let another = "keys rotate master --passphrase-file passphrase.short";
    refused(held, another, "each root key that opens the instance is needed", "keys status");
    held.run("keys rotate purpose cookies").done();
    refused(
        held,
        "keys rotate purpose cookies",
        "its newest key is not in use yet: that takes a minute",
        "try again",
    );
    let before = held.bytes();
    let unknown = held.run("keys rotate purpose coookies");
    assert_eq!(unknown.code, Some(64), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("coookies") && unknown.stderr.contains("cookies, audit_signing"));
    assert!(held.bytes() == before);
    held.is_well();
}

#[test]
fn what_is_refused_changes_no_byte_and_says_what_to_do() {
    Held::on_both().iter().for_each(nothing_changes);
}

/// What lies where a new root key is to be put, or beside that, stays.
fn others_stay(held: &Held) {
    let other = Held::on_sqlite();
    fs::copy(other.place.data().join("root.key"), held.place.path("root.key.other")).unwrap();
    held.place.private("notes", "dear");
    held.place.private("letters.new", "dear");
    fs::create_dir(held.place.path("directory")).unwrap();
    let name = "--new-root-key-file";
    for place in ["notes", "directory", "root.key.other"] {
        refused(held, &format!("keys rotate root {name} {place}"), "is there already", name);
    }
    refused(
        held,
        &format!("keys rotate root {name} letters"),
        "letters.new is there already",
        "move it away",
    );
    held.place.private("data/root.key.new", "dear");
    refused(held, "keys rotate root", "root.key.new is there already", "move it away");
    // What was cut off when it was written is nobody's.
    held.place.private("data/root.key.new", "");
    held.run("keys rotate root").done();
    held.is_well();
}

#[test]
fn a_new_root_key_takes_the_place_of_nothing_else() {
    Held::on_both().iter().for_each(others_stay);
}

#[test]
fn an_instance_of_an_older_program_keeps_its_keys() {
    let (place, key) = upgrade::old();
    let held = Held { place, url: None, key };
    held.place.private("passphrase", PASSPHRASE);
    for words in ALL {
        refused(&held, words, "has the schema of an older program", "start this program's server once");
    }
    held.serve().stop();
    held.run("keys rotate root").done();
    held.run("keys rotate master").done();
    held.is_well();
}

#[test]
fn somebody_elses_database_is_left_to_them() {
    let held = Held::on_sqlite();
    held.place.private("passphrase", PASSPHRASE);
    if !rustix::process::geteuid().is_root() {
        // Only root can give a file away.
        return;
    }
    chown(held.place.database(), Some(65534), None).unwrap();
    for words in ALL {
        refused(&held, words, "belongs to user 65534, but this is user 0", "run it as the user");
    }
    chown(held.place.database(), Some(0), None).unwrap();
    held.run("keys rotate root").done();
}
