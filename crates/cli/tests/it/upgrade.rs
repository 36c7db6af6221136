//! An instance that an older program made: brought up to date, but not before
//! its root key is proven.

use std::fs;

use crate::harness::{Place, chmod};

/// A place with the data directory of schema 1, and its API key.
fn old() -> (Place, String) {
    let place = Place::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/schema-1");
    fs::create_dir(place.data()).unwrap();
    chmod(&place.data(), 0o700);
    for name in ["strongroom.db", "root.key"] {
        let copy = place.data().join(name);
        fs::copy(format!("{fixture}/{name}"), &copy).unwrap();
        chmod(&copy, 0o600);
    }
    (place, fs::read_to_string(format!("{fixture}/api_key")).unwrap().trim().to_owned())
}

#[test]
fn an_older_instance_goes_on_with_its_secrets_keys_and_values() {
    let (place, key) = old();
    let before = place.run("doctor", &[]);
    assert!(before.done().contains("schema 1"), "{}", before.stdout);
    for _ in 0..2 {
        let server = place.serve();
        let mut client = server.client(&key);
        let list = client.get("/v1/credentials").json();
        let names: Vec<_> = list.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Old", "Mine"]);
        let id = list[0]["id"].as_str().unwrap();
        let patched =
            client.request("PATCH", &format!("/v1/credentials/{id}"), r#"{"rename_keys": {"A": "A"}}"#);
        assert_eq!(patched.unwrap().status, 200, "an old value opens and is sealed again");
        let team = list[0]["team_id"].as_str().unwrap();
        let members = client.get(&format!("/v2/teams/{team}/members"));
        assert_eq!(members.json()["total"], 1, "the old key is for what came later, too");
        server.stop();
    }
    let after = place.run("doctor", &[]);
    assert!(!after.done().contains("schema 1"), "{}", after.stdout);
}

#[test]
fn a_wrong_root_key_changes_no_byte_of_an_older_instance() {
    let (place, _) = old();
    let (other, _) = Place::with_instance();
    fs::copy(other.data().join("root.key"), place.data().join("root.key")).unwrap();
    let before = fs::read(place.database()).unwrap();
    let refused = place.run("serve", &["--listen", "127.0.0.1:0"]);
    assert!(refused.refusal().contains("root key"), "{}", refused.stderr);
    assert!(fs::read(place.database()).unwrap() == before, "the database changed");
    let (control, _) = old();
    control.serve().stop();
    assert!(fs::read(control.database()).unwrap() != before, "the control: the right one migrates");
}
