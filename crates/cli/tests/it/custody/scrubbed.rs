//! What was replaced is in no file of the database any more: neither what the old root key
//! opens, nor the way from the old master key to the new one.

use std::fs;
use std::process::Stdio;

use super::Held;
use crate::harness::eventually;

impl Held {
    /// Whether these bytes are in a file of the database.
    fn has(&self, bytes: &[u8]) -> bool {
        let files = fs::read_dir(self.place.data()).unwrap().map(|entry| entry.unwrap().path());
        let ours =
            files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("strongroom.db"));
        ours.map(|path| fs::read(path).unwrap())
            .any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    }

    /// What a column holds, if there is such a row.
    fn blob(&self, query: &str) -> Option<Vec<u8>> {
        self.database().query_row(query, [0_i64; 0], |row| row.get(0)).ok()
    }
}

const MASTER: &str = "SELECT master FROM instance";
const COPY: &str = "SELECT master FROM root_copies";
const WAY: &str = "SELECT sealed FROM keys WHERE owner = 'master'";

#[test]
fn what_was_replaced_is_overwritten_beside_a_server() {
    let held = Held::on_sqlite();
    let server = held.serve();
    server.client(&held.key).create("a value").unwrap().unwrap();
    let old = held.blob(MASTER).unwrap();
    assert!(held.has(&old), "the control");
    held.run("keys rotate root").done();
    eventually("the old root key opens nothing of it", || !held.has(&old));
    held.place.private("passphrase", "correct horse battery staple\n");
    held.run("keys add-root passphrase --new-passphrase-file passphrase").done();
    let copy = held.blob(COPY).unwrap();
    held.run("keys remove-root passphrase").done();
    eventually("nor does the one that was removed", || !held.has(&copy));
    let mut command = held.command("keys rotate master");
    let mut rotating = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut way = None;
    eventually("there is a way to the new master key", || {
        way = way.take().or_else(|| held.blob(WAY));
        way.is_some()
    });
    let way = way.unwrap();
    assert!(held.has(&way), "the control");
    assert!(rotating.wait().unwrap().success());
    eventually("the way is gone", || !held.has(&way));
    server.stop();
    held.is_well();
}

#[test]
fn what_was_replaced_is_overwritten_without_a_server() {
    let held = Held::on_sqlite();
    let old = held.blob(MASTER).unwrap();
    held.run("keys rotate root").done();
    assert!(!held.has(&old));
    assert!(held.has(&held.blob(MASTER).unwrap()), "the control");
    held.is_well();
}
