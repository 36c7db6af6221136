//! A team's key gives way to another while sixteen clients read and write: not one of them
//! fails, and in the end everything is sealed under the new key.

use std::process::Command;
use std::sync::Arc;
use strongroom_testbed::{self as testbed, Cluster};

use crate::harness::{Client, Ended, Place, Server, clean, run};
use crate::record::Stage;
use crate::shared::Shared;
use crate::traffic::Traffic;

/// Secrets that are there before.
const BEFORE: usize = 400;

fn keys(place: &Place, server: &Server, key: &str, args: &[&str]) -> Ended {
    let mut command: Command = clean(crate::harness::BINARY);
    let url = format!("http://{}", server.address);
    command.current_dir(place.path("")).arg("keys").args(args).args(["--url", &url]);
    command
        .env("STRONGROOM_API_KEY", key)
        .env("HOME", place.path(""))
        .env("XDG_CONFIG_HOME", place.path("config"));
    run(&mut command)
}

fn no_read_fails(place: &Place, server: &Server, key: &str, database: &testbed::Database) {
    let stage = Arc::new(Stage::set(server, key));
    let mut client = Client::new(server.address, key);
    (0..BEFORE).for_each(|_| drop(client.create("a value").unwrap().unwrap()));
    let under = || -> i64 {
        let count = "SELECT count(DISTINCT substr(sealed, 3, 16)) FROM versions";
        database.query_row(count, [0_i64; 0], |row| row.get(0)).unwrap()
    };
    assert_eq!(under(), 1);
    let traffic = Traffic::start(&stage, &[server.address]);
    let rotated = keys(place, server, key, &["rotate", "team"]);
    rotated.done();
    let status = keys(place, server, key, &["status"]);
    assert!(status.done().contains("are sealed under the newest"), "{}", status.done());
    let requests = traffic.finish();
    assert!(requests > 100, "{requests}");
    let mut reader = Client::new(server.address, &stage.run);
    assert!(reader.get("/v2/run/environment").body.contains("a value"));
}

#[test]
fn no_read_fails_while_a_teams_key_is_rotated() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let connection = rusqlite::Connection::open(place.database()).unwrap();
    no_read_fails(&place, &server, &key, &testbed::Database::sqlite(connection));
    server.stop();
    place.run("doctor", &[]).done();
}

#[test]
fn no_read_fails_while_a_teams_key_is_rotated_by_one_of_two_servers() {
    let shared = Shared::new(Cluster::shared());
    let (server, other) = (shared.serve(), shared.serve());
    let database = testbed::Database::connect(&shared.url);
    no_read_fails(&shared.place, &server, &shared.key, &database);
    // The other one read the new key when it needed it.
    let mut client = other.client(&shared.key);
    client.create("a value").unwrap().unwrap();
    shared.run("doctor", &[]);
}
