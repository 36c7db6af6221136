//! `strongroom doctor`: finds what is wrong, says what to do, changes nothing.

use rusqlite::Connection;
use serde_json::Value;
use std::fs;

use crate::harness::{Place, chmod};
use crate::load::Load;

fn with_secrets(count: usize) -> Place {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let mut client = server.client(&key);
    for _ in 0..count {
        client.create("value").unwrap().unwrap();
    }
    server.stop();
    place
}

/// Doctor's words about an instance in which it finds something.
fn findings(place: &Place) -> String {
    let found = place.run("doctor", &[]);
    assert_eq!(found.code, Some(1), "{}", found.stdout);
    found.stdout
}

#[test]
fn a_sound_instance_is_well() {
    let place = with_secrets(3);
    let well = place.run("doctor", &[]);
    let text = well.done();
    for part in
        ["data directory", "database files", "SQLite 3.", "root key", "every seal opens", "All is well."]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("FAIL") && well.stderr.is_empty(), "{text}{}", well.stderr);
}

#[test]
fn beside_a_running_server_it_works_and_changes_nothing() {
    let place = with_secrets(3);
    let server = place.serve();
    let before = fs::read(place.database()).unwrap();
    place.run("doctor", &[]).done();
    assert!(before == fs::read(place.database()).unwrap());
    server.stop();
}

#[test]
fn what_a_server_beside_it_signs_meanwhile_is_no_finding() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let load = Load::start(server.address, &key);
    // So many that it takes about as long to look at them as passes between two heads.
    load.reach(2_000);
    for _ in 0..12 {
        place.run("doctor", &[]).done();
    }
    load.finish();
    server.stop();
}

#[test]
fn json_is_one_object() {
    let place = with_secrets(1);
    let well = place.run("doctor", &["--json"]);
    let report: Value = serde_json::from_str(well.done()).unwrap();
    assert_eq!(report["ok"], true);
    let names: Vec<_> = report["checks"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["data directory", "database files", "database", "root key", "rows", "audit"]);
    chmod(&place.data(), 0o750);
    let report: Value = serde_json::from_str(&place.run("doctor", &["--json"]).stdout).unwrap();
    assert_eq!((&report["ok"], &report["checks"][0]["ok"]), (&false.into(), &false.into()));
    assert!(report["checks"][0]["remedy"].as_str().unwrap().starts_with("run: chmod 700"));
}

#[test]
fn an_older_database_is_found_by_the_heads_that_are_kept() {
    let (place, key) = Place::with_instance();
    let create = || {
        let server = place.serve();
        server.client(&key).create("value").unwrap().unwrap();
        server.stop();
    };
    // What a server leaves may be in the log beside the file.
    let whole = || {
        let database = Connection::open(place.database()).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    };
    create();
    whole();
    let older = fs::read(place.database()).unwrap();
    create();
    whole();
    assert!(place.run("doctor", &[]).done().contains("going on from the head that is kept"));
    fs::write(place.database(), &older).unwrap();
    let found =
        |text: &str| text.contains("does not go on from the head in") && text.contains("audit verify");
    let text = findings(&place);
    assert!(found(&text), "{text}");
    // Also one in which nothing is sealed yet.
    let database = Connection::open(place.database()).unwrap();
    database
        .execute_batch("DELETE FROM audit_head; DELETE FROM audit_spans; DELETE FROM audit_tiles")
        .unwrap();
    drop(database);
    let text = findings(&place);
    assert!(found(&text), "{text}");
}

#[test]
fn what_waits_to_be_sealed_is_told() {
    let place = with_secrets(1);
    let sealed = |count: u32| format!("audit           {count} events sealed, going on from");
    let text = place.run("doctor", &[]).done().to_owned();
    assert!(text.contains(&sealed(2)) && !text.contains("not yet"), "{text}");
    // As if the server had been cut off before it sealed the last one.
    let database = Connection::open(place.database()).unwrap();
    let again = "INSERT INTO events (at, kind, object_table) SELECT 1800000000000, kind, object_table FROM events LIMIT 2";
    database.execute_batch(again).unwrap();
    let text = place.run("doctor", &[]).done().to_owned();
    assert!(text.contains(&sealed(2)), "{text}");
    let words: Vec<_> = text.split_whitespace().collect();
    let waiting = "; 2 not yet, the first of 2027-01-15T08:00:00.000Z: a server seals them";
    assert!(words.join(" ").contains(waiting), "{text}");
}

#[test]
fn lax_modes_are_found_each_with_its_remedy() {
    let place = with_secrets(0);
    for (name, lax, good) in [("", 0o755, 0o700), ("strongroom.db", 0o644, 0o600), ("root.key", 0o640, 0o600)]
    {
        let path = if name.is_empty() { place.data() } else { place.data().join(name) };
        chmod(&path, lax);
        let text = findings(&place);
        assert!(text.contains(&format!("chmod {good:o} {}", path.display())), "{text}");
        chmod(&path, good);
    }
    place.run("doctor", &[]).done();
}

#[test]
fn a_key_that_is_not_the_instances_is_found() {
    let (place, other) = (with_secrets(0), with_secrets(0));
    fs::copy(other.data().join("root.key"), place.data().join("root.key")).unwrap();
    assert!(findings(&place).contains("this instance is sealed under the root key"));
    fs::remove_file(place.data().join("root.key")).unwrap();
    assert!(findings(&place).contains("root.key is missing"));
}

#[test]
fn no_database_is_found() {
    let place = Place::new();
    assert!(findings(&place).contains("can't be looked at"));
    let place = with_secrets(0);
    fs::remove_file(place.database()).unwrap();
    assert!(findings(&place).contains("restore the database from a backup"));
}

#[test]
fn forged_swapped_and_removed_rows_are_found() {
    for (forgery, words) in [
        ("UPDATE secrets SET owner = NULL WHERE id = (SELECT min(id) FROM secrets)", "its MAC does not hold"),
        ("UPDATE api_keys SET role = 'owner', scopes = 'admin'", "its MAC does not hold"),
        ("UPDATE versions SET sealed = (SELECT max(sealed) FROM versions)", "does not open"),
        ("UPDATE versions SET sealed = substr(sealed, 1, length(sealed) - 1)", "does not open"),
        ("DELETE FROM versions WHERE secret_id = (SELECT min(secret_id) FROM versions)", "is missing"),
    ] {
        let place = with_secrets(3);
        Connection::open(place.database()).unwrap().execute(forgery, []).unwrap();
        let text = findings(&place);
        assert!(text.contains(words) && text.contains("restore a backup"), "{forgery}: {text}");
    }
}

#[test]
fn a_damaged_file_is_found() {
    let place = with_secrets(50);
    let mut bytes = fs::read(place.database()).unwrap();
    let length = bytes.len();
    for byte in bytes.iter_mut().skip(length / 2).step_by(997) {
        *byte ^= 0xff;
    }
    fs::write(place.database(), bytes).unwrap();
    findings(&place);
}
