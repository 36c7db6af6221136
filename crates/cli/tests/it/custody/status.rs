//! What is told of an instance's keys, before one is replaced and after.

use serde_json::{Value, json};

use super::{Held, PASSPHRASE, text};

/// Version, whether it is in use, and how many rows were made with it, of each key of a purpose.
fn of(status: &Value, purpose: &str) -> Vec<(u64, bool, u64)> {
    let keys = status["purposes"].as_array().unwrap().iter().filter(|key| key["purpose"] == purpose);
    keys.map(|key| {
        let rows = key["rows"].as_u64().unwrap();
        (key["version"].as_u64().unwrap(), key["in_use"].as_bool().unwrap(), rows)
    })
    .collect()
}

/// How many rows have a MAC, as the database has them; but for the instance's own.
fn with_a_mac(held: &Held) -> u64 {
    let database = held.database();
    let tables = if held.url.is_some() {
        "SELECT table_name::text FROM information_schema.columns WHERE column_name = 'row_mac' AND table_name <> 'instance'"
    } else {
        "SELECT t.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND c.name = 'row_mac' AND t.name <> 'instance'"
    };
    let tables = database.query(tables, [0_i64; 0]).unwrap();
    let count = |table: String| -> i64 {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [0_i64; 0], |row| row.get(0)).unwrap()
    };
    let counts: Vec<_> = tables.iter().map(|table| count(table.get(0).unwrap())).collect();
    assert!(counts.len() > 10, "{counts:?}");
    u64::try_from(counts.iter().sum::<i64>()).unwrap()
}

fn counted(held: &Held) {
    let server = held.serve();
    (0..5).for_each(|_| drop(server.client(&held.key).create("a value").unwrap().unwrap()));
    server.stop();
    let before = held.json("keys status --count");
    let [(1, true, rows)] = of(&before, "row_mac")[..] else { panic!("{before}") };
    assert_eq!(rows, with_a_mac(held), "{before}");
    assert_eq!(before["versions"], json!({"newest": 5, "older": 0}));
    let key = held.json("keys rotate purpose row_mac");
    assert_eq!((&key["version"], &key["in_use"]), (&json!(2), &json!(false)));
    let soon = held.json("keys status --count");
    assert_eq!(of(&soon, "row_mac"), [(1, true, rows), (2, false, 0)]);
    assert_eq!(of(&soon, "api_key_pepper"), of(&before, "api_key_pepper"), "no other changed");

    let older = "UPDATE keys SET created_at = created_at - 60000 WHERE owner = 'row_mac' AND version = 2";
    assert_eq!(held.database().execute(older, [0_i64; 0]).unwrap(), 1);
    let server = held.serve();
    (0..3).for_each(|_| drop(server.client(&held.key).create("a value").unwrap().unwrap()));
    server.stop();
    let after = held.json("keys status --count");
    let [(1, false, old), (2, true, new)] = of(&after, "row_mac")[..] else { panic!("{after}") };
    // What the server wrote anew is under the new one, too.
    assert!(new >= 3 && old + new == with_a_mac(held), "{before} {after}");
    assert_eq!(after["versions"], json!({"newest": 8, "older": 0}));
    assert_eq!(after["history"][0]["kind"], "purpose_key.rotated");
    let words = held.run("keys status --count");
    assert!(words.done().contains("row_mac") && words.stdout.contains("in use"), "{}", words.stdout);
    assert!(held.status()["purposes"][0].get("rows").is_none(), "nothing is counted unless it is asked for");
    held.is_well();
}

#[test]
fn what_was_made_with_each_key_is_counted() {
    Held::on_both().iter().for_each(counted);
}

/// The kinds and ids of the root keys that open it.
fn roots(status: &Value) -> Vec<(String, String)> {
    let roots = status["root_keys"].as_array().unwrap().iter();
    roots.map(|root| (text(&root["provider"]), text(&root["id"]))).collect()
}

/// From a file to a passphrase, to another, and back to a file.
fn by_passphrases(held: &Held) {
    held.place.private("passphrase.one", PASSPHRASE);
    held.place.private("passphrase.two", "staple battery horse correct");
    let file = held.root();
    let server = held.serve();
    let made = held.json("keys rotate root --root-key passphrase --new-passphrase-file passphrase.one");
    let told = (text(&made["root_key"]["provider"]), text(&made["root_key"]["id"]));
    assert_eq!(text(&made["old_file"]), format!("data/root.key.was-{file}"));
    assert!(!held.place.data().join("root.key").exists());
    let with = |name: &str| format!("--passphrase-file passphrase.{name}");
    let status = |name: &str| roots(&held.json(&format!("keys status {}", with(name))));
    assert_eq!(status("one"), [told]);
    let refused = held.run("keys status");
    assert!(refused.refusal().contains("needs a passphrase"), "{}", refused.stderr);

    held.run(&format!("keys rotate root {} --new-passphrase-file passphrase.two", with("one"))).done();
    let refused = held.run(&format!("keys status {}", with("one")));
    assert!(refused.refusal().contains("\nhint: the passphrase is wrong"), "{}", refused.stderr);
    let second = status("two");
    assert_eq!(second[0].0, "passphrase");
    server.stop();
    let server = held.serve_with(&with("two"));
    server.client(&held.key).create("a value").unwrap().unwrap();

    held.run(&format!("keys rotate root --root-key file {}", with("two"))).done();
    assert_eq!(held.status()["root_keys"][0]["provider"], "file");
    assert_ne!(held.root(), file);
    let history = held.status()["history"].clone();
    let rotations = history.as_array().unwrap().iter().filter(|event| event["kind"] == "root_key.rotated");
    assert_eq!(rotations.count(), 3, "{history}");
    server.stop();
    held.serve().client(&held.key).create("a value").unwrap().unwrap();
    held.is_well();
    held.logged_nothing();
}

#[test]
fn a_root_key_goes_from_a_file_to_a_passphrase_and_back() {
    Held::on_both().iter().for_each(by_passphrases);
}
