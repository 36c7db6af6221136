//! The record of an instance itself: whatever a writer to the database does to it is found.

use serde_json::Value;
use std::fs;
use strongroom_testbed::Cell;

use super::{Desk, on_both};
use crate::harness::eventually;

#[test]
fn a_sound_record_is_well_beside_its_server() {
    on_both(|desk| {
        desk.happen(12);
        let key = desk.run(&["audit", "key"]).done().trim().to_owned();
        let well = desk.verify(&["--state", "--key", &key]);
        for part in [
            "ok    record          the signed head is over 13 events",
            "ok    kept heads",
            "ok    signature",
            "ok    rows",
            "All is well.",
        ] {
            assert!(well.done().contains(part), "{part}: {}", well.stdout);
        }
        let json: Value = serde_json::from_str(desk.verify(&["--json"]).done()).unwrap();
        assert_eq!((&json["ok"], &json["checks"][0]["name"]), (&true.into(), &"record".into()));
        let other = Desk::new(None);
        let theirs = other.run(&["audit", "key"]).done().trim().to_owned();
        let found = desk.findings(&["--key", &theirs]);
        assert!(found.contains("FAIL  signature") && found.contains("to do:"), "{found}");
    });
}

#[test]
fn whatever_is_done_to_the_record_is_found() {
    on_both(|mut desk| {
        desk.happen(20);
        desk.stop();
        desk.verify(&[]).done();
        let clean = desk.raw().query("SELECT kind, at FROM events WHERE sequence = 7", [0_i64; 0]).unwrap();
        let (kind, at): (String, i64) = (clean[0].get(0).unwrap(), clean[0].get(1).unwrap());
        let restore = format!("UPDATE events SET kind = '{kind}', at = {at} WHERE sequence = 7");
        for edit in ["kind = 'secret.deleted'", "at = at + 1"] {
            desk.execute(&format!("UPDATE events SET {edit} WHERE sequence = 7"));
            let found = desk.findings(&[]);
            assert!(
                found.contains("FAIL  record") && found.contains("the event of leaf 6 is not what it was"),
                "{edit}: {found}"
            );
            assert!(found.contains("to do:") && found.contains("keep a copy"), "{found}");
            desk.execute(&restore);
        }
        desk.verify(&[]).done();
        desk.execute("DELETE FROM events WHERE sequence = 7");
        let found = desk.findings(&["--json"]);
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!((&found["ok"], &found["checks"][0]["ok"]), (&false.into(), &false.into()));
        assert!(
            found["checks"][0]["detail"].as_str().unwrap().contains("7 in the record, is missing"),
            "{found}"
        );
    });
}

#[test]
fn altered_hashes_and_heads_are_found() {
    on_both(|mut desk| {
        desk.happen(20);
        desk.stop();
        let older = desk.older();
        desk.execute("UPDATE audit_tiles SET hashes = (SELECT hashes FROM audit_tiles WHERE level = 0 AND place = 1) WHERE level = 0 AND place = 0");
        let found = desk.findings(&[]);
        assert!(found.contains("stored hashes from leaf 0 on were altered"), "{found}");
        desk.put_back(&older);
        desk.verify(&[]).done();
        desk.execute("UPDATE audit_head SET note = replace(note, '21', '20')");
        let found = desk.findings(&[]);
        assert!(found.contains("the stored head is not signed by this instance"), "{found}");
        desk.execute("DELETE FROM audit_head");
        let found = desk.findings(&[]);
        assert!(found.contains("there is no signed head, and one over 21 events is kept"), "{found}");
    });
}

#[test]
fn an_older_database_is_found_by_the_heads_that_were_kept() {
    on_both(|mut desk| {
        desk.happen(5);
        if desk.database.is_none() {
            desk.stop();
        }
        let older = desk.older();
        if desk.database.is_none() {
            desk.serve();
        }
        desk.happen(5);
        desk.run(&["audit", "witness", "--to", "w.log", "--once"]).done();
        desk.stop();
        desk.put_back(&older);
        let found = desk.findings(&[]);
        assert!(found.contains("FAIL  kept heads") && found.contains("it ends with 6 events"), "{found}");
        assert!(
            found.contains("checkpoints/latest") && found.contains("if a backup was restored"),
            "{found}"
        );
        // The server puts the head aside when it starts, and goes on.
        desk.serve();
        let aside = desk.place.data().join("checkpoints/diverged-11");
        eventually("the head is put aside", || aside.exists());
        desk.happen(9);
        let found = desk.findings(&[]);
        assert!(
            found.contains("diverged-11: when a server started") && found.contains("ok    record"),
            "{found}"
        );
        fs::remove_file(&aside).unwrap();
        desk.verify(&[]).done();
        // Whoever could write there, too, is found by a head on another machine.
        let found = desk.findings(&["--checkpoint", &desk.path("w.log")]);
        assert!(found.contains("the first 11 events are not those") && found.contains("w.log"), "{found}");
    });
}

#[test]
fn a_head_that_is_not_its_own_is_found() {
    let (desk, other) = (Desk::new(None), Desk::new(None));
    desk.happen(2);
    other.happen(2);
    let theirs = other.place.data().join("checkpoints/latest");
    fs::copy(theirs, desk.place.data().join("checkpoints/2026-11-07")).unwrap();
    let found = desk.findings(&[]);
    assert!(found.contains("2026-11-07 can't be believed: it is signed by none of the keys"), "{found}");
}

#[test]
fn a_row_that_was_put_back_is_found_when_rows_are_looked_at() {
    on_both(|mut desk| {
        desk.run(&["keys", "create", "--name", "spare"]).done();
        desk.sealed();
        if desk.database.is_none() {
            desk.stop();
        }
        let before = "SELECT row_mac FROM api_keys WHERE name = 'spare'";
        let mac: Vec<u8> = desk.raw().query_row(before, [0_i64; 0], |row| row.get(0)).unwrap();
        if desk.database.is_none() {
            desk.serve();
        }
        let keys: Value = serde_json::from_str(desk.run(&["keys", "list", "--json"]).done()).unwrap();
        let spare = keys["api_keys"].as_array().unwrap().iter().find(|key| key["name"] == "spare").unwrap();
        desk.run(&["keys", "revoke", spare["id"].as_str().unwrap(), "--yes"]).done();
        desk.sealed();
        desk.stop();
        desk.verify(&["--state"]).done();
        let put_back = "UPDATE api_keys SET revoked_at = NULL, row_mac = ?1 WHERE name = 'spare'";
        assert_eq!(desk.raw().execute(put_back, [Cell::Bytes(mac)]), Ok(1));
        desk.verify(&[]).done();
        let found = desk.findings(&["--state"]);
        assert!(found.contains("FAIL  rows") && found.contains("an earlier row was put back"), "{found}");
        assert!(found.contains(&format!("api_keys {}", spare["id"].as_str().unwrap())), "{found}");
    });
}

#[test]
fn what_an_instance_is_opened_with_is_found_in_its_file() {
    let desk = Desk::new(Some(strongroom_testbed::Cluster::shared().database()));
    desk.happen(2);
    let file = format!("database_url = \"{}\"\n", desk.database.as_ref().unwrap());
    fs::write(desk.place.data().join("strongroom.toml"), file).unwrap();
    let data = desk.path("data");
    desk.alone(&["audit", "verify", "--data-dir", &data]).done();
    desk.alone(&["audit", "export", "--out", "a.jsonl", "--data-dir", &data]).done();
    fs::write(desk.place.data().join("strongroom.toml"), "database_ulr = \"x\"\n").unwrap();
    let wrong = desk.alone(&["audit", "verify", "--data-dir", &data]);
    assert!(wrong.refusal().contains("did you mean `database_url`?"), "{}", wrong.stderr);
}
